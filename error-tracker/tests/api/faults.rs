//! What goes wrong around the service: crashes, full and foreign disks, signals, a second instance. Nothing that was
//! acknowledged is lost, and what cannot work is refused with words that help.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::testing::database::{check_integrity, read_write};
use common::testing::{Client, Connection, Random, Service, SmallDisk, TempDir, skip, wait_for};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use serde_json::Value;

use crate::{KEY, Tracker, binary, database_in, report, start, start_in};

/// How long a service may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);
/// `nobody`, for tests that run as root.
const NOBODY: &str = "65534";

/// A report that the service has promised to keep.
struct Acknowledged {
    name: String,
    id: i64,
    fingerprint: String,
}

impl Acknowledged {
    fn read(name: &str, answer: &Value) -> Self {
        let fingerprint = answer["fingerprint"].as_str().unwrap().to_owned();
        Self { name: name.to_owned(), id: answer["id"].as_i64().unwrap(), fingerprint }
    }
}

/// Reports an error; none when it was not acknowledged.
fn send(client: &Client, name: &str) -> Option<Acknowledged> {
    let answer = client.send("POST", "/api/errors", report(name).to_string().as_bytes()).ok()?;
    if answer.status >= 300 {
        assert!(answer.status >= 500 && !answer.detail().is_empty(), "{}", answer.text());
        return None;
    }
    Some(Acknowledged::read(name, &answer.json()))
}

#[track_caller]
fn check_kept(client: &Client, reports: &[Acknowledged]) {
    for Acknowledged { name, id, fingerprint } in reports {
        let answer = client.get(&format!("/api/errors/{id}"));
        assert_eq!(answer.status, 200, "{name} was acknowledged as {id} and is gone");
        let found = answer.json();
        assert_eq!(
            (&found["fingerprint"], &found["message"]),
            (&fingerprint.as_str().into(), &report(name)["message"])
        );
    }
}

#[test]
fn what_was_acknowledged_survives_kill() {
    const ROUNDS: usize = 6;
    const CLIENTS: usize = 6;
    let mut random = Random::new();
    let mut kept = Vec::new();
    let (mut repeated, attempts) = (0, AtomicU32::new(0));
    let mut folder = TempDir::new();
    for round in 0..ROUNDS {
        let tracker = start_in(folder, &[]);
        let (client, fresh, again) = (tracker.client(), Mutex::new(Vec::new()), AtomicU32::new(0));
        let killed_after = 1 + random.below(400);
        folder = thread::scope(|scope| {
            for number in 0..CLIENTS {
                let (client, fresh) = (&client, &fresh);
                scope.spawn(move || {
                    let reports = (0..).map_while(|n| send(client, &format!("r{round}-c{number}-{n}")));
                    reports.for_each(|report| fresh.lock().unwrap().push(report));
                });
            }
            scope.spawn(|| {
                while attempts.fetch_add(1, Ordering::Relaxed) < u32::MAX && send(&client, "again").is_some() {
                    again.fetch_add(1, Ordering::Relaxed);
                }
            });
            wait_for("reports to be acknowledged", || (fresh.lock().unwrap().len() >= killed_after).then_some(()));
            let Tracker { service, folder } = tracker;
            service.kill();
            folder
        });
        kept.append(&mut fresh.into_inner().unwrap());
        repeated += again.into_inner();
    }
    let tracker = start_in(folder, &[]);
    eprintln!("{} reports were acknowledged before {ROUNDS} kills", kept.len());
    check_kept(&tracker.client(), &kept);
    check_integrity(&tracker.database());
    let list = tracker.client().get("/api/errors?search=again").json();
    let count = list["errors"][0]["count"].as_u64().unwrap();
    assert!((u64::from(repeated)..=u64::from(attempts.into_inner())).contains(&count), "{count} of {repeated}");
    assert_eq!(list["total"], 1, "one error, one group");
}

#[test]
fn many_at_once_with_a_new_error_make_one_group() {
    const CLIENTS: u64 = 64;
    let tracker = start();
    let client = tracker.client();
    let body = report("new").to_string();
    let request = client.request("POST", "/api/errors", body.as_bytes());
    // All connections first, so that the requests arrive together.
    let mut connections: Vec<_> = (0..CLIENTS).map(|_| Connection::open(tracker.address()).unwrap()).collect();
    for connection in &mut connections {
        connection.write(&request).unwrap();
    }
    let answers: Vec<Value> = connections.iter_mut().map(|c| c.read_answer(false).unwrap().json()).collect();

    let created = answers.iter().filter(|answer| answer["status"] == "created").count();
    assert_eq!(created, 1, "{answers:?}");
    let mut counts: Vec<_> = answers.iter().map(|answer| answer["count"].as_u64().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=CLIENTS).collect::<Vec<_>>());
    let list = client.get("/api/errors").json();
    assert_eq!((&list["total"], &list["errors"][0]["count"]), (&1.into(), &CLIENTS.into()));
}

#[test]
fn a_full_disk() {
    let Some(disk) = SmallDisk::mount() else { return };
    let database = database_in(disk.folder());
    let variables = [("API_KEY", KEY), ("RATE_LIMIT", "0"), ("DATABASE_PATH", database.to_str().unwrap())];
    let service = Service::start(&binary(), &variables);
    let client = service.client(KEY);
    let mut kept: Vec<_> = (0..20).filter_map(|n| send(&client, &format!("before-{n}"))).collect();
    assert_eq!(kept.len(), 20);

    disk.fill();
    kept.extend(send_at_once(&client, "while-full", 32));
    // A few more may fit where the log was long already.
    let refusal = wait_for("a refusal", || {
        let answer = client.post_json("/api/errors", &report("does-not-fit"));
        (answer.status >= 300).then_some(answer)
    });
    assert_eq!((refusal.status, refusal.detail().as_str()), (507, "The disk is full, nothing was stored"));
    assert_eq!(client.get("/api/errors").status, 200, "what is stored can be read");
    let health = client.get("/health");
    assert_eq!(health.status, 503);
    assert!(health.detail().contains("full"), "{}", health.text());

    disk.empty();
    wait_for("the service to notice by itself", || (client.get("/health").status == 200).then_some(()));
    kept.extend((0..20).filter_map(|n| send(&client, &format!("after-{n}"))));
    assert!(kept.len() >= 40, "the disk has room again");
    check_kept(&client, &kept);

    // A crash on a full disk, and a start on it.
    disk.fill();
    service.kill();
    let service = Service::start(&binary(), &variables);
    let client = service.client(KEY);
    check_kept(&client, &kept);
    disk.empty();
    wait_for("a report to be taken", || send(&client, "at-last"));

    // A stop, after which the disk fills, and a start on it.
    assert!(service.terminate().success());
    disk.fill();
    let service = Service::start(&binary(), &variables);
    let client = service.client(KEY);
    check_kept(&client, &kept);
    disk.empty();
    wait_for("a report to be taken", || send(&client, "in-the-end"));
    check_integrity(&database);
}

/// The write-ahead log is a file that is written again from its beginning, so a full disk takes data as long as it has room. Its
/// index grows with it, and must never be what there is no room for: then writes fail with their data in the log, and the next
/// start fails.
#[test]
fn a_full_disk_with_room_in_the_log() {
    let Some(disk) = SmallDisk::mount_of(64) else { return };
    let database = database_in(disk.folder());
    let variables = [("API_KEY", KEY), ("RATE_LIMIT", "0"), ("DATABASE_PATH", database.to_str().unwrap())];
    let service = Service::start(&binary(), &variables);
    let is_copied = || fs::metadata(&database).unwrap().len() > 1 << 20;
    let large = |client: &Client, number: u32| {
        let mut report = report("large");
        report["exception_type"] = format!("Error{number}").into();
        report["traceback"] = "x".repeat(200_000).into();
        client.post_json("/api/errors", &report)
    };
    let mut numbers = 0..500;
    while !is_copied() {
        assert_eq!(large(&service.client(KEY), numbers.next().expect("a checkpoint")).status, 201);
    }
    // From its beginning again.
    assert_eq!(large(&service.client(KEY), numbers.next().unwrap()).status, 201);
    service.kill();

    let service = Service::start(&binary(), &variables);
    disk.fill();
    let refusal = loop {
        let answer = large(&service.client(KEY), numbers.next().expect("a refusal"));
        if answer.status != 201 {
            break answer;
        }
    };
    assert_eq!(refusal.status, 507, "{}", refusal.text());
    service.kill();

    let service = Service::start(&binary(), &variables);
    let stored = service.client(KEY).get("/api/errors").json()["total"].as_u64().unwrap();
    assert_eq!(stored, u64::from(numbers.start) - 1, "all but the refused one");
    service.kill();
    disk.empty();
    check_integrity(&database);
}

/// Sends different reports, each from a thread of its own; those acknowledged.
fn send_at_once(client: &Client, name: &str, count: usize) -> Vec<Acknowledged> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|n| scope.spawn(move || send(client, &format!("{name}-{n}")))).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn somebody_elses_lock() {
    const REPORTS: usize = 12;
    let tracker = start();
    let other = read_write(&tracker.database());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    assert!(send_at_once(&tracker.client(), "locked-out", REPORTS).is_empty());
    assert!(began.elapsed() < STOP_TIME_MAX, "it took {:?} to say so", began.elapsed());
    assert_eq!(tracker.client().get("/api/errors").status, 200, "what is stored can be read");

    thread::scope(|scope| {
        let client = tracker.client();
        let under_way = scope.spawn(move || send_at_once(&client, "at-the-end", REPORTS).len());
        let asked = Instant::now();
        let Tracker { service, folder } = tracker;
        assert!(service.terminate().success());
        assert!(asked.elapsed() < STOP_TIME_MAX, "it took {:?} to stop", asked.elapsed());
        assert_eq!(under_way.join().unwrap(), 0);
        drop(other);
        let list = start_in(folder, &[]).client().get("/api/errors").json();
        assert_eq!(list["total"], 0, "what was refused is not stored: {list}");
    });
}

#[test]
fn a_request_survives_that_the_service_is_stopped_and_goes_on() {
    const TIMES: usize = 10;
    // Half of what the service waits for somebody else's lock: a slow machine stops it fewer times.
    const LOCKED_TIME: Duration = Duration::from_millis(500);
    let tracker = start();
    let (client, pid) = (tracker.client(), tracker.service.pid());
    let other = read_write(&tracker.database());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| send(&client, "meanwhile"));
        let locked = Instant::now();
        // Some of the stops find it waiting for the commit. The kernel breaks off system calls with a time limit then.
        for _ in (0..TIMES).take_while(|_| locked.elapsed() < LOCKED_TIME) {
            tracker.service.signal(Signal::STOP);
            wait_for("the service to be stopped", || (state(pid) == 'T').then_some(()));
            tracker.service.signal(Signal::CONT);
            wait_for("the service to go on", || (state(pid) != 'T').then_some(()));
        }
        other.execute_batch("ROLLBACK").unwrap();
        let report = waiting.join().unwrap();
        assert!(report.is_some(), "it was refused and stored: {:?}", tracker.service.log());
        check_kept(&client, &[report.unwrap()]);
    });
}

/// Of a process: `T` when it is stopped (proc(5)).
fn state(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

#[test]
fn sigterm_lets_requests_finish() {
    let Tracker { service, folder } = start();
    let pid = process(&service.pid().to_string());
    let kept = stop_while_busy(service, pid);
    check_stopped_cleanly(folder, &kept);
}

#[test]
fn sigterm_lets_requests_finish_as_pid_1() {
    let folder = TempDir::new();
    let database = database_in(&folder);
    let Some(mut unshare) = own_pid_namespace() else { return };
    unshare.arg(binary());
    let variables = [("API_KEY", KEY), ("RATE_LIMIT", "0"), ("DATABASE_PATH", database.to_str().unwrap())];
    let service = Service::launch(unshare, &variables);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", service.pid())).unwrap();
    let kept = stop_while_busy(service, process(&children));
    check_stopped_cleanly(folder, &kept);
}

fn process(id: &str) -> Pid {
    id.trim().parse().ok().and_then(Pid::from_raw).expect("one process id")
}

/// A command whose argument runs as PID 1 of a namespace; it exits as that does.
fn own_pid_namespace() -> Option<Command> {
    let unshare = |more: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(more).args(["--pid", "--fork", "--kill-child"]);
        command
    };
    // Root may do it; others may where users can have namespaces of their own.
    let ways: [&[&str]; 2] = [&[], &["--user", "--map-current-user"]];
    let works =
        |more: &&&[&str]| unshare(more).arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    let way = ways.iter().find(works);
    if way.is_none() {
        skip("running as PID 1 was NOT tested: this user cannot make a PID namespace");
    }
    way.map(|more| unshare(more))
}

/// Stops a service while clients use it: what is under way is answered, and it exits with 0 in time.
fn stop_while_busy(service: Service, pid: Pid) -> Vec<Acknowledged> {
    let (client, kept) = (service.client(KEY), Mutex::new(Vec::new()));
    let under_way = UnderWay::start(&client, service.address());
    thread::scope(|scope| {
        for number in 0..4 {
            let (client, kept) = (&client, &kept);
            scope.spawn(move || {
                let reports = (0..).map_while(|n| send(client, &format!("c{number}-{n}")));
                reports.for_each(|report| kept.lock().unwrap().push(report));
            });
        }
        wait_for("reports to be acknowledged", || (kept.lock().unwrap().len() >= 50).then_some(()));
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        let asked = Instant::now();
        wait_for("the service to stop", || service.log().iter().any(|line| line.ends_with("stopping")).then_some(()));
        kept.lock().unwrap().push(under_way.finish());
        let log = service.log();
        assert_eq!(service.wait().code(), Some(0), "{log:?}");
        assert!(asked.elapsed() < STOP_TIME_MAX, "it took {:?} to stop", asked.elapsed());
    });
    kept.into_inner().unwrap()
}

/// A report of which a part has reached the service.
struct UnderWay {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl UnderWay {
    const NAME: &str = "under-way";

    fn start(client: &Client, address: SocketAddr) -> Self {
        let body = report(Self::NAME).to_string();
        let client = client.clone().with_header("Expect", "100-continue");
        let mut request = client.request("POST", "/api/errors", body.as_bytes());
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(STOP_TIME_MAX)).unwrap();
        let rest = request.split_off(request.len() - body.len());
        stream.write_all(&request).unwrap();
        // Tells that the head has been read.
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self { stream, rest }
    }

    fn finish(mut self) -> Acknowledged {
        self.stream.write_all(&self.rest).unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer to what was under way");
        assert!(head.starts_with("HTTP/1.1 201 ") && head.contains("connection: close"), "{answer}");
        Acknowledged::read(Self::NAME, &serde_json::from_str(body).unwrap())
    }
}

/// The log is in the file, and everything that was acknowledged too.
fn check_stopped_cleanly(folder: TempDir, kept: &[Acknowledged]) {
    let log = fs::metadata(folder.path().join("errors.db-wal")).map_or(0, |meta| meta.len());
    assert_eq!(log, 0, "the write-ahead log was not checkpointed");
    let tracker = start_in(folder, &[]);
    check_kept(&tracker.client(), kept);
    check_integrity(&tracker.database());
}

#[test]
fn idle_and_slow_connections_do_not_prevent_the_stop() {
    let tracker = start();
    let idle = Connection::open(tracker.address()).unwrap();
    let mut half = Connection::open(tracker.address()).unwrap();
    half.write(b"POST /api/errors HTTP/1.1\r\nContent-Le").unwrap();
    let mut kept = Connection::open(tracker.address()).unwrap();
    kept.write(b"GET /health HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(kept.read_answer(false).unwrap().status, 200);
    let asked = Instant::now();
    assert!(tracker.service.terminate().success());
    assert!(asked.elapsed() < STOP_TIME_MAX, "it took {:?} to stop", asked.elapsed());
    drop((idle, half));
}

#[test]
fn whoever_has_knocked_before_the_stop_is_answered() {
    let tracker = start();
    tracker.service.signal(Signal::STOP);
    let request = tracker.client().request("GET", "/api/projects", b"");
    let mut knocked: Vec<_> = (0..200)
        .map(|_| {
            let mut connection = Connection::open(tracker.address()).unwrap();
            connection.write(&request).unwrap();
            connection
        })
        .collect();
    tracker.service.signal(Signal::TERM);
    tracker.service.signal(Signal::CONT);
    let answers: Vec<_> = knocked.iter_mut().map(|connection| connection.read_answer(false).unwrap().status).collect();
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert!(tracker.service.wait().success());
}

/// Runs a service that must not start; its exit code and what it says.
#[track_caller]
fn gives_up(mut command: Command, database: &Path, port: u16) -> (Option<i32>, String) {
    let command = command.env_clear().env("API_KEY", KEY).env("DATABASE_PATH", database);
    command.env("BIND_ADDRESS", "127.0.0.1").env("PORT", port.to_string());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = wait_for("the service to give up", || child.try_wait().unwrap());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    (ended.code(), said)
}

#[track_caller]
fn is_refused(command: Command, database: &Path, port: u16) -> String {
    let (code, said) = gives_up(command, database, port);
    assert_eq!(code, Some(1), "{said}");
    said
}

#[test]
fn a_second_instance_is_refused() {
    let tracker = start();
    let said = is_refused(Command::new(binary()), &tracker.database(), 0);
    assert!(said.contains("another process is using it"), "{said}");

    let other = TempDir::new();
    let said = is_refused(Command::new(binary()), &database_in(&other), tracker.address().port());
    assert!(said.contains(&tracker.address().to_string()), "{said}");

    assert!(send(&tracker.client(), "undisturbed").is_some());
}

#[test]
fn what_cannot_be_written_is_refused_with_the_remedy() {
    let folder = TempDir::new();
    // Somebody else must be able to run it, wherever it was built.
    let program = folder.path().join("error-tracker");
    fs::copy(binary(), &program).unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let refused = || {
        // Permissions mean nothing to root.
        let command = if fs::metadata(&data).unwrap().uid() == 0 {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        let said = is_refused(command, &data.join("errors.db"), 0);
        let (_, remedy) = said.split_once("chown -R ").expect("the remedy");
        assert!(remedy.trim_end().ends_with(data.to_str().unwrap()), "{said}");
        said
    };
    fs::set_permissions(&data, fs::Permissions::from_mode(0o555)).unwrap();
    assert!(refused().contains("database folder "));
    // As left by somebody who only gave away the folder.
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    for name in ["errors.db", "errors.db-wal", "errors.db.lock"] {
        let file = data.join(name);
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(refused().contains(&format!("database file {} ", file.display())), "{name}");
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let Tracker { service, folder } = start();
    assert!(service.terminate().success());
    let database = database_in(&folder);
    let conn = read_write(&database);
    conn.execute("UPDATE _meta SET value = '99' WHERE key = 'schema_version'", []).unwrap();
    conn.close().unwrap();
    let said = is_refused(Command::new(binary()), &database, 0);
    assert!(said.contains("schema version 99 is newer"), "{said}");
}

#[test]
fn too_few_file_descriptors_for_its_connections_are_refused() {
    let folder = TempDir::new();
    let mut command = Command::new("prlimit");
    command.arg("--nofile=300").arg(binary());
    let (code, said) = gives_up(command, &database_in(&folder), 0);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("MAX_CONNECTIONS") && said.contains("300"), "{said}");
}

/// Whatever takes its descriptors away: a service that cannot answer any more ends, so that it is started anew.
#[test]
fn without_a_way_to_its_workers_it_ends() {
    let Tracker { service, folder: _folder } = start();
    let descriptors = std::path::PathBuf::from(format!("/proc/{}/fd", service.pid()));
    let free: Vec<_> = (0..).filter(|number: &u64| !descriptors.join(number.to_string()).exists()).take(20).collect();
    let pid = process(&service.pid().to_string());
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let request = service.client(KEY).request("GET", "/health", b"");
    // At one of these limits a client is accepted, and a way to the workers opened, but not their end of it.
    for number in free {
        let limit = Rlimit { current: Some(number + 1), maximum };
        rustix::process::prlimit(Some(pid), Resource::Nofile, limit).unwrap();
        for _ in 0..3 {
            // It may have ended already.
            let Ok(mut stream) = TcpStream::connect(service.address()) else { break };
            stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            // Whether it is answered, or accepted at all, does not matter here.
            let _ = stream.write_all(&request).and_then(|()| stream.read(&mut [0]));
        }
        if service.log().iter().any(|line| line.contains("level=error")) {
            break;
        }
    }
    assert_eq!(service.wait().code(), Some(1));
}

#[test]
fn it_can_be_restarted_again_and_again() {
    let mut folder = TempDir::new();
    for round in 0..10 {
        let tracker = start_in(folder, &[]);
        assert!(send(&tracker.client(), &format!("round-{round}")).is_some());
        let log = tracker.log();
        assert!(!log.iter().any(|line| line.contains("panicked") || line.contains("level=error")), "{log:?}");
        let Tracker { service, folder: same } = tracker;
        assert!(service.terminate().success());
        folder = same;
    }
    let tracker = start_in(folder, &[]);
    assert_eq!(tracker.client().get("/api/errors").json()["total"], 10);
}
