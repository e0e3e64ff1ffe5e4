//! The environment variables that every service has.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::env::Env;
use crate::http::screen::LOCAL_DESCRIPTORS_MAX;
use crate::process;

/// More workers than this only make a small machine switch between them.
const WORKERS_MAX: usize = 64;
/// Each connection is a thread; this many fill the memory limit.
const CONNECTIONS_MAX: usize = 1024;

/// File descriptors of a worker: its database connection's.
const WORKER_DESCRIPTORS: usize = 3;
/// File descriptors of everything else: the log, the writer, streams and their database connections, mail.
const OTHER_DESCRIPTORS: usize = 100;

/// What one service sets differently from another.
pub struct Defaults {
    /// Where its database is, relative to the working directory.
    pub database_path: &'static str,
    /// Requests per minute and client.
    pub rate_limit: u32,
    /// Threads that answer requests.
    pub workers: usize,
}

const PORT: u16 = 8000;
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const CONNECTIONS: usize = 256;

/// What `--help` says of them.
pub fn help(defaults: &Defaults) -> String {
    let Defaults { database_path, rate_limit, workers } = defaults;
    format!(
        "\
As every service:
  DATABASE_PATH        {database_path}
  PORT                 {PORT}
  BIND_ADDRESS         {ADDRESS}
  WORKERS              {workers:<9} threads that answer requests
  MAX_CONNECTIONS      {CONNECTIONS:<9} connections at a time
  RATE_LIMIT           {rate_limit:<9} requests per minute and client, 0 for no limit
  TRUST_PROXY          false     take the client's address from X-Forwarded-For
  LOG_LEVEL            info      error, warn, info, debug
"
    )
}

/// The common settings.
#[derive(Debug)]
pub struct Settings {
    /// Where to listen.
    pub address: SocketAddr,
    /// The database file.
    pub database_path: PathBuf,
    /// Threads that answer requests.
    pub workers: usize,
    /// Connections at a time.
    pub connections_max: usize,
    /// Requests per minute and client; 0 for no limit.
    pub rate_limit: u32,
    /// Whether the client's address is taken from `X-Forwarded-For`.
    pub trust_proxy: bool,
    /// What is logged.
    pub log_level: log::LevelFilter,
}

impl Settings {
    /// Reads them; problems stay in `env`.
    pub fn read(env: &mut Env, defaults: &Defaults) -> Self {
        let settings = Self {
            address: address(env),
            database_path: database_path(env, defaults),
            workers: env.integer("WORKERS", defaults.workers, 1..=WORKERS_MAX),
            connections_max: env.integer("MAX_CONNECTIONS", CONNECTIONS, 1..=CONNECTIONS_MAX),
            rate_limit: env.integer("RATE_LIMIT", defaults.rate_limit, 0..=1_000_000),
            trust_proxy: env.flag("TRUST_PROXY", false),
            log_level: log_level(env),
        };
        settings.check_descriptors(env);
        settings
    }

    /// A service that runs out of descriptors cannot even tell its clients so.
    fn check_descriptors(&self, env: &mut Env) {
        let besides = LOCAL_DESCRIPTORS_MAX + WORKER_DESCRIPTORS * self.workers + OTHER_DESCRIPTORS;
        let needed = self.connections_max + besides;
        let Some(limit) = process::descriptors_max().filter(|limit| *limit < needed as u64) else { return };
        env.problem(format!(
            "MAX_CONNECTIONS: {} connections take {needed} open files, the limit is {limit} (ulimit -n)",
            self.connections_max
        ));
    }
}

/// `BIND_ADDRESS` and `PORT`; also what `--healthcheck` needs.
pub fn address(env: &mut Env) -> SocketAddr {
    let port = env.integer("PORT", PORT, 0..=u16::MAX);
    let ip = env.text("BIND_ADDRESS").map_or(ADDRESS, |text| {
        text.parse().unwrap_or_else(|_| {
            env.problem(format!("BIND_ADDRESS: expected an IP address, got {text:?}"));
            ADDRESS
        })
    });
    SocketAddr::new(ip, port)
}

/// `DATABASE_PATH`; also what `--backup` needs.
pub fn database_path(env: &mut Env, defaults: &Defaults) -> PathBuf {
    PathBuf::from(env.text_or("DATABASE_PATH", defaults.database_path))
}

fn log_level(env: &mut Env) -> log::LevelFilter {
    use log::LevelFilter::{Debug, Error, Info, Warn};
    let words = [("error", Error), ("err", Error), ("warn", Warn), ("warning", Warn), ("info", Info), ("debug", Debug)];
    env.one_of("LOG_LEVEL", Info, &words)
}
