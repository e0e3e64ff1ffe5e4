//! `GET /api/logs/tail`: live events, resumed without gap or double, to clients fast, slow, dead and real.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::testing::{Connection, PATIENCE, wait_for, wait_up_to};
use serde_json::{Value, json};

use crate::driver::{Container, Stream};
use crate::events::Events;
use crate::{KEY, Viewer, start, start_in, target};

/// Tails at a time; the contract's figure.
const TAILS_MAX: usize = 5;

impl Viewer {
    #[track_caller]
    fn tail(&self, query: &[(&str, &str)]) -> Events {
        let events = self.try_tail(query);
        assert_eq!(events.head.status, 200, "{}", events.head.text());
        events
    }

    fn try_tail(&self, query: &[(&str, &str)]) -> Events {
        Events::open(self.address(), &self.client(), &target("/api/logs/tail", query))
    }

    /// A tail that goes on after an entry.
    #[track_caller]
    fn resume(&self, id: &str, query: &[(&str, &str)]) -> Events {
        let client = self.client().with_header("Last-Event-ID", id);
        Events::open(self.address(), &client, &target("/api/logs/tail", query))
    }
}

#[track_caller]
fn write_and_wait(viewer: &Viewer, container: &mut Container, line: &str) {
    container.stdout(line);
    viewer.wait_for_message(line);
}

#[test]
fn new_entries_arrive_as_they_are_listed() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    write_and_wait(&viewer, &mut web, "before anybody looks");
    let mut tail = viewer.tail(&[]);
    let headers = &tail.head.headers;
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(headers[name], value);
    }
    web.stdout("[WARN] <new> \u{2028} é \r\u{85} \"quoted\"");
    let event = tail.next().unwrap();
    assert_eq!(event.name, "log");
    let listed = viewer.logs(&[("limit", "1")]).remove(0);
    assert_eq!((event.json(), event.id.as_str()), (listed.clone(), listed["id"].to_string().as_str()));
    tail.expect_silence();
}

#[test]
fn what_is_not_wanted_is_not_sent() {
    let viewer = start();
    let (mut web, mut db) = (viewer.docker().container("web"), viewer.docker().container("shop db"));
    write_and_wait(&viewer, &mut web, "ready");
    write_and_wait(&viewer, &mut db, "ready too");
    let mut by_container = viewer.tail(&[("container", "shop db")]);
    let mut by_level = viewer.tail(&[("level", ">=WARNING")]);
    let mut by_search = viewer.tail(&[("search", "order paid")]);
    let mut by_all = viewer.tail(&[("q", "order"), ("level", "ERROR"), ("container", "web")]);
    web.stdout("[INFO] order was paid");
    web.stdout("[ERROR] order not found");
    db.stdout("[CRITICAL] order of magnitude");
    db.stdout("[INFO] idle");
    web.stdout("[INFO] the end");
    viewer.wait_for_message("[INFO] the end");
    let messages =
        |tail: &mut Events, count| -> Vec<String> { tail.take_logs(count).iter().map(|log| log.message()).collect() };
    assert_eq!(messages(&mut by_container, 2), ["[CRITICAL] order of magnitude", "[INFO] idle"]);
    let mut graver = messages(&mut by_level, 2);
    graver.sort();
    assert_eq!(graver, ["[CRITICAL] order of magnitude", "[ERROR] order not found"]);
    assert_eq!(messages(&mut by_search, 1), ["[INFO] order was paid"]);
    assert_eq!(messages(&mut by_all, 1), ["[ERROR] order not found"]);
    for tail in [&mut by_container, &mut by_level, &mut by_search, &mut by_all] {
        tail.expect_silence();
    }
}

#[test]
fn nonsense_is_refused_before_a_stream_begins() {
    let viewer = start();
    assert_eq!(viewer.try_tail(&[("level", "LOUD")]).head.status, 400);
    assert_eq!(viewer.try_tail(&[("level", &"x".repeat(500))]).head.status, 400);
    // Neither is a search an error, nor does a broken id matter.
    for search in ["(", "\"", "a AND", "*"] {
        assert_eq!(viewer.try_tail(&[("search", search)]).head.status, 200, "{search}");
    }
    assert_eq!(viewer.resume("what?", &[]).head.status, 200);
}

#[test]
fn a_client_that_comes_back_misses_nothing() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    write_and_wait(&viewer, &mut web, "0");
    let mut tail = viewer.tail(&[]);
    (1..=10).for_each(|number| web.stdout(number.to_string()));
    let last = tail.take_logs(5).pop().unwrap();
    drop(tail);
    (11..=500).for_each(|number| web.stdout(number.to_string()));
    viewer.wait_for_entries(501);
    let mut tail = viewer.resume(&last.id, &[("container", "web")]);
    (501..=510).for_each(|number| web.stdout(number.to_string()));
    let found: Vec<_> = tail.take_logs(505).iter().map(|log| log.message()).collect();
    let expected: Vec<_> = (6..=510).map(|number| number.to_string()).collect();
    assert_eq!(found, expected);
    tail.expect_silence();
}

#[test]
fn a_restart_of_the_service_loses_no_event() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    write_and_wait(&viewer, &mut web, "0");
    let mut tail = viewer.tail(&[]);
    web.stdout("1");
    let last = tail.take_logs(1).remove(0);
    let home = viewer.kill();
    (2..=50).for_each(|number| web.stdout(number.to_string()));
    let viewer = start_in(home, &[]);
    let mut tail = viewer.resume(&last.id, &[]);
    (51..=60).for_each(|number| web.stdout(number.to_string()));
    let found: Vec<_> = tail.take_logs(59).iter().map(|log| log.message()).collect();
    assert_eq!(found, (2..=60).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_silent_stream_shows_that_it_lives() {
    let viewer = start();
    let mut tail = viewer.tail(&[]);
    let began = Instant::now();
    let event = tail.next().unwrap();
    assert_eq!((event.name.as_str(), event.data.as_str()), ("heartbeat", "{}"));
    assert!((Duration::from_secs(10)..Duration::from_secs(20)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[test]
fn the_sixth_tail_is_refused_until_one_ends() {
    let viewer = start();
    let mut tails: Vec<_> = (0..TAILS_MAX).map(|_| viewer.tail(&[])).collect();
    let refused = viewer.try_tail(&[]);
    assert_eq!((refused.head.status, refused.head.detail().as_str()), (503, "Too many SSE connections"));
    assert!(refused.head.headers.contains_key("retry-after"));
    // The others are not disturbed, and nobody else is.
    let mut web = viewer.docker().container("web");
    write_and_wait(&viewer, &mut web, "to all");
    for tail in &mut tails {
        assert_eq!(tail.take_logs(1)[0].message(), "to all");
    }
    let left = Instant::now();
    tails.pop();
    wait_for("the place of a client that left", || (viewer.try_tail(&[]).head.status == 200).then_some(()));
    assert!(left.elapsed() < Duration::from_secs(5), "{:?}", left.elapsed());
}

#[test]
fn tails_cost_no_worker() {
    let viewer = start_in(crate::Home::new(), &[("WORKERS", "1")]);
    let _tails: Vec<_> = (0..TAILS_MAX).map(|_| viewer.tail(&[])).collect();
    for _ in 0..20 {
        assert_eq!(viewer.client().get("/api/logs").status, 200);
    }
}

/// Who is too slow is told and closed, who is gone is closed, the others get everything.
#[test]
fn a_client_that_does_not_read_costs_nobody_anything() {
    // Several times what the kernel and the service keep for one who does not read.
    const LINES: usize = 20_000;
    // Half of what the service keeps for those who are behind.
    const BEHIND_MAX: usize = 1000;
    // The kernel may take a part of a piece at first; then the client has its time once more.
    const GONE_AFTER_MAX: Duration = Duration::from_secs(2 * 20);
    let viewer = start();
    let mut web = viewer.docker().container("web");
    write_and_wait(&viewer, &mut web, "ready");
    let [mut slow, gone] = [(), ()].map(|()| {
        let mut connection = Connection::open(viewer.address()).unwrap();
        connection.write(&viewer.client().request("GET", "/api/logs/tail", b"")).unwrap();
        assert_eq!(connection.read_head().unwrap().status, 200);
        connection
    });
    let mut quick = viewer.tail(&[]);
    let filler = "x".repeat(500);
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let reading = std::thread::spawn(move || {
        (0..LINES).all(|number| {
            counted.store(number, Ordering::Relaxed);
            quick.take_logs(1)[0].message().starts_with(&format!("{number} "))
        })
    });
    for number in 0..LINES {
        web.line(Stream::Stdout, format!("{number} {filler}"));
        // Some ten thousand lines a second, as a busy server writes them; fewer where the machine is too slow for them, or
        // all at once after a disk stalled would be too much for the quick client as well.
        if number % 100 == 0 {
            std::thread::sleep(Duration::from_millis(10));
            wait_for("the quick client", || (read.load(Ordering::Relaxed) + BEHIND_MAX > number).then_some(()));
        }
    }
    assert!(reading.join().unwrap(), "the quick client missed something");
    let mut received = String::new();
    while let Ok(Some(chunk)) = slow.read_chunk() {
        received += &String::from_utf8_lossy(&chunk);
    }
    assert!(
        received.ends_with("event: close\ndata: {\"reason\":\"too_slow\"}\n\n"),
        "{:?}",
        &received[received.len() - 200..]
    );
    wait_up_to(GONE_AFTER_MAX + PATIENCE, "the place of the client that is gone", || {
        viewer.client().get("/metrics").text().contains("monlight_log_tails 0\n").then_some(())
    });
    drop(gone);
}

#[test]
fn tails_end_politely_with_the_service() {
    let viewer = start();
    let mut tail = viewer.tail(&[]);
    viewer.stop();
    let event = tail.next().unwrap();
    assert_eq!((event.name.as_str(), event.json()), ("close", json!({"reason": "shutdown"})));
    assert_eq!(tail.next(), None);
}

/// A published `EventSource` client, which connects anew by itself.
struct Client {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Client {
    fn start(url: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sse/client.js");
        assert!(script.with_file_name("node_modules").exists(), "`scripts/setup.sh test` installs what is missing");
        let mut child = Command::new("node").arg(script).arg(url).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// What it got next.
    #[track_caller]
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A proxy whose port outlives the service would do the same; here the service comes back on the port it had.
#[test]
fn a_real_event_source_survives_a_restart() {
    let viewer = start();
    let port = viewer.address().port().to_string();
    let mut web = viewer.docker().container("web");
    write_and_wait(&viewer, &mut web, "0");
    let mut client = Client::start(&format!("http://{}/api/logs/tail?api_key={KEY}", viewer.address()));
    assert_eq!(client.next(), json!("open"));
    web.stdout("1 <é>\u{2028}");
    let first = client.next();
    assert_eq!((&first["event"], &first["data"]["message"]), (&json!("log"), &json!("1 <é>\u{2028}")));
    let home = viewer.kill();
    (2..=20).for_each(|number| web.stdout(number.to_string()));
    let viewer = start_in(home, &[("PORT", &port)]);
    (21..=30).for_each(|number| web.stdout(number.to_string()));
    viewer.wait_for_entries(31);
    for number in 2..=30 {
        let event = loop {
            let event = client.next();
            if event != json!("open") {
                break event;
            }
        };
        assert_eq!(event["data"]["message"], number.to_string());
    }
}
