//! What may go wrong around the service: crashes, full disks, signals, second instances.

use std::io::Write as _;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::clock::Clock;
use common::testing::{Connection, TempDir, wait_for};
use rusqlite::OpenFlags;
use rustix::process::Signal;

use super::{KEY, Tracker, binary, database_in, report, start, start_in};

/// The limit for an orderly stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

fn integrity(database: &Path) -> String {
    let conn = rusqlite::Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}

/// Posts new errors from several clients until told to stop; the ids that were acknowledged.
fn post_until(stop: &AtomicBool, tracker: &Tracker, round: u32) -> Vec<i64> {
    let acknowledged = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for client in 0..8 {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    let body = report(&format!("r{round}c{client}n{number}")).to_string();
                    let Ok(answer) = tracker.client().send("POST", "/api/errors", body.as_bytes()) else { return };
                    assert_eq!(answer.status, 201, "{}", answer.text());
                    acknowledged.lock().unwrap().push(answer.json()["id"].as_i64().unwrap());
                    number += 1;
                }
            });
        }
    });
    acknowledged.into_inner().unwrap()
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let seed = Clock::System.now().millis() as u32;
    println!("seed {seed}");
    let mut folder = TempDir::new();
    let mut all = Vec::new();
    for round in 0..6 {
        let tracker = start_in(folder, &[]);
        let moment = Duration::from_millis(u64::from(seed.rotate_left(round * 5) % 400) + 20);
        let stop = AtomicBool::new(false);
        let acknowledged = thread::scope(|scope| {
            let posting = scope.spawn(|| post_until(&stop, &tracker, round));
            // The moment of the crash is what is random here.
            thread::sleep(moment);
            tracker.signal(Signal::KILL);
            stop.store(true, Ordering::Relaxed);
            posting.join().unwrap()
        });
        all.extend(acknowledged);
        folder = tracker.folder;
    }
    assert!(!all.is_empty());
    let tracker = start_in(folder, &[]);
    let client = tracker.client();
    for id in &all {
        assert_eq!(client.get(&format!("/api/errors/{id}")).status, 200, "error {id} was acknowledged and is gone");
    }
    let total = client.get("/api/errors?limit=1").json()["total"].as_u64().unwrap();
    assert!(total >= all.len() as u64);
    assert_eq!(integrity(&tracker.database()), "ok");
}

/// A file system of its own, so that it can be full; none when this user may not mount.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = TempDir::new();
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self { folder })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What stays mounted after a failed test is a few megabytes of memory.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

/// Writes until there is no more room.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    while file.write_all(&[0; 1024]).is_ok() {}
}

/// Says loudly that a test could not run; in CI that is a failure.
fn cannot(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}: not possible here, and CI must test it");
    println!("NOT TESTED: {what} is not possible here");
}

#[test]
fn a_full_disk_refuses_reports_and_heals() {
    let Some(disk) = SmallDisk::mount("6m") else { return cannot("mounting a small file system") };
    let data = disk.folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let database = data.join("errors.db");
    let database_text = database.to_str().unwrap().to_owned();
    let variables = [("API_KEY", KEY), ("RATE_LIMIT", "0"), ("DATABASE_PATH", database_text.as_str())];
    let service = common::testing::Service::start(&binary(), &variables);
    let client = service.client(KEY);
    let mut acknowledged = Vec::new();
    for number in 0..20 {
        acknowledged.push(client.post_json("/api/errors", &report(&format!("before{number}"))).json()["id"].clone());
    }

    let filler = disk.folder.path().join("filler");
    fill(&filler);
    let refused = wait_for("a refusal", || {
        let mut big = report("big");
        big["message"] = "m".repeat(200_000).into();
        let answer = client.post_json("/api/errors", &big);
        (answer.status == 507).then_some(answer)
    });
    assert_eq!(refused.detail(), "The disk is full, nothing was stored");
    let health = client.get("/health");
    assert_eq!(health.status, 503);
    assert!(health.detail().contains("full"), "{}", health.text());
    assert!(client.get("/api/errors").json()["total"].as_u64().unwrap() >= 20);

    std::fs::remove_file(&filler).unwrap();
    // Without any report, health recovers by itself.
    wait_for("health", || (client.get("/health").status == 200).then_some(()));
    assert_eq!(client.post_json("/api/errors", &report("after")).status, 201);
    for id in acknowledged {
        assert_eq!(client.get(&format!("/api/errors/{id}")).status, 200);
    }
    assert!(service.log().join("\n").contains("the database can be written again"));
    assert!(service.terminate().success());
    assert_eq!(integrity(&database), "ok");
}

#[test]
fn sigterm_answers_what_is_in_progress_and_ends_well() {
    let tracker = start();
    let answered = Arc::new(AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for client in 0..8 {
            let (tracker, stop, answered) = (&tracker, &stop, Arc::clone(&answered));
            scope.spawn(move || {
                let Ok(mut connection) = Connection::open(tracker.address()) else { return };
                for number in 0.. {
                    let body = report(&format!("c{client}n{number}")).to_string();
                    let request = tracker.client().request("POST", "/api/errors", body.as_bytes());
                    // After the signal a connection may be closed between two requests, never within an answer.
                    if connection.write(&request).is_err() || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let Ok(answer) = connection.read_answer(false) else { return };
                    assert_eq!(answer.status, 201);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_for("some answers", || (answered.load(Ordering::Relaxed) > 50).then_some(()));
        tracker.signal(Signal::TERM);
        stop.store(true, Ordering::Relaxed);
    });
    let Tracker { service, folder } = tracker;
    let began = Instant::now();
    assert!(service.wait().success());
    assert!(began.elapsed() < STOP_TIME_MAX, "took {:?}", began.elapsed());

    let database = database_in(&folder);
    let log = common::db::with_suffix(&database, "-wal");
    assert!(std::fs::metadata(log).map_or(0, |meta| meta.len()) == 0, "the log is checkpointed");
    assert_eq!(integrity(&database), "ok");
    let tracker = start_in(folder, &[]);
    let total = tracker.client().get("/api/errors?limit=1").json()["total"].as_u64().unwrap();
    assert!(total >= answered.load(Ordering::Relaxed));
}

#[test]
fn an_idle_connection_does_not_delay_the_stop() {
    let tracker = start();
    let _idle: Vec<_> = (0..10).map(|_| Connection::open(tracker.address()).unwrap()).collect();
    let mut half = Connection::open(tracker.address()).unwrap();
    half.write(b"POST /api/errors HTTP/1.1\r\nContent-Le").unwrap();
    let began = Instant::now();
    assert!(tracker.service.terminate().success());
    assert!(began.elapsed() < STOP_TIME_MAX, "took {:?}", began.elapsed());
}

/// As process 1 a program has no default signal actions: it must handle them itself.
#[test]
fn as_process_1_it_stops_on_sigterm_too() {
    let folder = TempDir::new();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--"]).arg(binary()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let database = database_in(&folder);
    command.envs([
        ("API_KEY", KEY),
        ("PORT", "0"),
        ("BIND_ADDRESS", "127.0.0.1"),
        ("DATABASE_PATH", database.to_str().unwrap()),
    ]);
    let Ok(mut child) = command.stderr(std::process::Stdio::null()).spawn() else { return cannot("a PID namespace") };
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let inner = wait_for("the service or a refusal", || {
        if child.try_wait().unwrap().is_some() {
            return Some(None);
        }
        let pid: i32 = std::fs::read_to_string(&children).ok()?.split_whitespace().next()?.parse().ok()?;
        // Listening: its private socket is there.
        common::db::with_suffix(&database, ".sock").exists().then_some(Some(pid))
    });
    let Some(inner) = inner else { return cannot("a PID namespace") };
    let began = Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_raw(inner).unwrap(), Signal::TERM).unwrap();
    let status = wait_for("the end", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    assert!(began.elapsed() < STOP_TIME_MAX, "took {:?}", began.elapsed());
}

/// Starts a second one that must refuse; what it says.
fn refusal(variables: &[(&str, &str)]) -> String {
    let output = Command::new(binary()).env_clear().envs(variables.iter().copied()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_second_instance_is_refused() {
    let tracker = start();
    let database = tracker.database();
    let same_file = [("API_KEY", KEY), ("PORT", "0"), ("DATABASE_PATH", database.to_str().unwrap())];
    let said = refusal(&same_file);
    assert!(said.contains("another process is using it"), "{said}");

    let folder = TempDir::new();
    let (port, database) = (tracker.address().port().to_string(), database_in(&folder));
    let same_port = [
        ("API_KEY", KEY),
        ("PORT", port.as_str()),
        ("BIND_ADDRESS", "127.0.0.1"),
        ("DATABASE_PATH", database.to_str().unwrap()),
    ];
    let said = refusal(&same_port);
    assert!(said.contains("in use"), "{said}");
    assert_eq!(tracker.client().post_json("/api/errors", &report("still")).status, 201);
}

#[test]
fn a_folder_of_another_user_is_refused_with_the_remedy() {
    if !rustix::process::geteuid().is_root() {
        return cannot("running as another user");
    }
    let folder = TempDir::new();
    chown(folder.path(), Some(0), Some(0)).unwrap();
    // The binary itself must be readable for the other user.
    let shared = TempDir::new();
    let copy = shared.path().join("error-tracker");
    std::fs::copy(binary(), &copy).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"])
        .arg(&copy)
        .env_clear()
        .envs([("API_KEY", KEY), ("PORT", "0"), ("DATABASE_PATH", database_in(&folder).to_str().unwrap())])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("chown -R 65534:65534 {}", folder.path().display())), "{said}");
}
