//! A back end that is away loses nothing of what was accepted, and gets nothing twice.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::testing::{Client, Service, TempDir, wait_for};
use serde_json::json;

use super::backend::{Act, Backend};
use super::{Relay, error, start, start_in, start_with};

/// How many events wait, as the relay itself tells.
fn waiting(relay: &Relay) -> u64 {
    let page = relay.admin().get("/metrics").text();
    let line = page.lines().find(|line| line.starts_with("monlight_outbox_events ")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[track_caller]
fn queued(relay: &Relay, name: &str) {
    let answer = relay.page().post_json("/api/browser/errors", &error(name));
    assert_eq!((answer.status, answer.json()), (202, json!({"status": "queued"})), "{name}");
}

#[test]
fn what_a_back_end_cannot_take_waits_and_arrives_in_order_and_once() {
    let relay = start();
    let address = relay.errors.address();
    let Relay { service, folder, errors, metrics } = relay;
    errors.stop();
    let relay = Relay { service, folder, errors: Backend::start(), metrics };
    for number in 0..20 {
        queued(&relay, &format!("{number}"));
    }
    assert_eq!(waiting(&relay), 20);
    // Metrics go on meanwhile.
    let metrics = json!({"metrics": [{"name": "a", "type": "gauge", "value": 1}]});
    assert_eq!(relay.page().post_json("/api/browser/metrics", &metrics).status, 202);

    let back = Backend::start_on(address);
    let received = back.wait_for(20);
    let messages: Vec<String> = received.iter().map(|one| one.json()["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(messages, (0..20).map(|number| format!("no {number}")).collect::<Vec<_>>());
    let keys: HashSet<&String> = received.iter().map(|one| &one.headers["idempotency-key"]).collect();
    assert_eq!(keys.len(), 20);
    wait_for("an empty outbox", || (waiting(&relay) == 0).then_some(()));
    // And now they go straight through again.
    let direct = || relay.page().post_json("/api/browser/errors", &error("later")).status == 201;
    wait_for("a direct way", || direct().then_some(()));
}

#[test]
fn every_way_of_being_away_makes_events_wait() {
    for act in [
        Act::Answer(500, "", "{}"),
        Act::Answer(503, "retry-after: 1\r\n", "{}"),
        Act::Answer(429, "retry-after: 1\r\n", "{}"),
        Act::HangUp,
        Act::Garble,
        Act::Hang,
    ] {
        let relay = start();
        relay.errors.next([act.clone()]);
        let began = Instant::now();
        queued(&relay, "first");
        assert!(began.elapsed().as_secs() < 10, "{act:?}");
        let received = relay.errors.wait_for(2);
        assert_eq!(received[0].headers["idempotency-key"], received[1].headers["idempotency-key"], "{act:?}");
        wait_for("an empty outbox", || (waiting(&relay) == 0).then_some(()));
    }
}

#[test]
fn a_redirect_is_not_followed_and_loses_nothing() {
    let relay = start();
    let elsewhere = Backend::start();
    let location: &'static str = format!("location: {}/stolen\r\n", elsewhere.url()).leak();
    // At first, and again when it is tried later.
    relay.errors.next([Act::Answer(307, location, ""), Act::Answer(302, location, "")]);
    queued(&relay, "first");
    let received = relay.errors.wait_for(3);
    assert!(received.iter().all(|one| one.headers["idempotency-key"] == received[0].headers["idempotency-key"]));
    wait_for("an empty outbox", || (waiting(&relay) == 0).then_some(()));
    assert!(relay.admin().get("/metrics").text().contains("monlight_outbox_refused_total 0"));
    assert_eq!(elsewhere.received().len(), 0);
}

#[test]
fn what_waits_and_is_refused_blocks_nothing() {
    let relay = start();
    relay.errors.next([Act::HangUp, Act::Answer(400, "", "{}")]);
    queued(&relay, "bad");
    let sent = || relay.page().post_json("/api/browser/errors", &error("good")).status == 201;
    wait_for("a direct way", || sent().then_some(()));
    assert!(relay.admin().get("/metrics").text().contains("monlight_outbox_refused_total 1"));
    assert_eq!(waiting(&relay), 0);
}

#[test]
fn what_waits_behind_a_refused_key_is_kept() {
    let relay = start();
    relay.errors.next([Act::HangUp, Act::Answer(401, "", "{}"), Act::Answer(403, "", "{}")]);
    queued(&relay, "kept");
    assert_eq!(relay.errors.wait_for(4)[3].json()["message"], "no kept");
    wait_for("an empty outbox", || (waiting(&relay) == 0).then_some(()));
    assert!(relay.admin().get("/metrics").text().contains("monlight_outbox_refused_total 0"));
}

/// error-tracker counts by the browser's address: one that sends too much is no reason to let others wait.
#[test]
fn a_browser_over_its_limit_holds_up_no_other() {
    let relay = start_with(&[("TRUST_PROXY", "true")]);
    let page = |address: &str| relay.page().with_header("x-forwarded-for", address);
    let send = |address: &str, name: &str| page(address).post_json("/api/browser/errors", &error(name)).status;
    // Before it is over, all have sent theirs, also where a disk stalls.
    relay.errors.next([Act::Answer(429, "retry-after: 6\r\n", "{}")]);
    assert_eq!((send("192.0.2.1", "1"), send("192.0.2.1", "2")), (202, 202));
    assert_eq!((send("192.0.2.2", "other"), send("192.0.2.1", "3"), send("192.0.2.3", "other")), (201, 202, 201));
    let received = relay.errors.wait_for(6);
    let messages: Vec<_> = received.iter().map(|one| one.json()["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(messages, ["no 1", "no other", "no other", "no 1", "no 2", "no 3"]);
    assert!(received[3].at - received[0].at >= Duration::from_secs(6), "it was to come back later");
    wait_for("an empty outbox", || (waiting(&relay) == 0).then_some(()));
    assert_eq!(send("192.0.2.1", "4"), 201);
}

#[test]
fn a_back_end_that_says_when_is_not_tried_before() {
    for answer in [Act::Answer(503, "retry-after: 2\r\n", "{}"), Act::Answer(429, "retry-after: 2\r\n", "{}")] {
        let relay = start();
        relay.errors.next([answer.clone(), answer]);
        queued(&relay, "first");
        let received = relay.errors.wait_for(3);
        for pair in received.windows(2) {
            assert!(pair[1].at - pair[0].at >= Duration::from_secs(2));
        }
    }
}

/// The first try arrived, only its answer did not; the second has times that the first had not.
#[test]
fn metrics_that_arrived_after_all_are_not_called_refused() {
    let relay = start();
    relay
        .metrics
        .next([Act::HangUp, Act::Answer(422, "", r#"{"detail":"Idempotency-Key was used with another body"}"#)]);
    let body = json!({"metrics": [{"name": "a", "type": "gauge", "value": 1}]});
    assert_eq!(relay.page().post_json("/api/browser/metrics", &body).json(), json!({"status": "queued"}));
    wait_for("an empty outbox", || (relay.metrics.received().len() == 2 && waiting(&relay) == 0).then_some(()));
    let figures = relay.admin().get("/metrics").text();
    assert!(
        figures.contains("monlight_outbox_refused_total 0") && figures.contains("monlight_outbox_delivered_total 1")
    );
}

#[test]
fn a_stop_stores_what_a_back_end_hangs_over() {
    let relay = start();
    relay.errors.always(Act::Hang);
    let Relay { service, folder, errors, metrics } = relay;
    let page = Client::new(service.address()).with_header("x-monlight-key", super::DSN);
    let answer = thread::scope(|scope| {
        let answer = scope.spawn(|| page.post_json("/api/browser/errors", &error("late")));
        errors.wait_for(1);
        let began = Instant::now();
        service.terminate();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        answer.join().unwrap()
    });
    assert_eq!((answer.status, answer.json()), (202, json!({"status": "queued"})));
    drop(errors);
    let relay = start_in(folder, Backend::start(), metrics, &[]);
    assert_eq!(relay.errors.wait_for(1)[0].json()["message"], "no late");
}

#[test]
fn metrics_that_wait_keep_their_time() {
    let relay = start();
    relay.metrics.next([Act::HangUp]);
    let body = json!({"metrics": [
        {"name": "a", "type": "gauge", "value": 1},
        {"name": "b", "type": "gauge", "value": 1, "timestamp": "2026-01-01T00:00:00.000Z"}]});
    assert_eq!(relay.page().post_json("/api/browser/metrics", &body).json(), json!({"status": "queued"}));
    let items = relay.metrics.wait_for(2)[1].json();
    assert_eq!(items[0]["timestamp"].as_str().unwrap().len(), "2026-01-01T00:00:00.000Z".len());
    assert_eq!(items[1]["timestamp"], "2026-01-01T00:00:00.000Z");
}

#[test]
fn what_waits_survives_kill_9() {
    let relay = start();
    let Relay { service, folder, errors, metrics } = relay;
    let address = errors.stop();
    let relay = Relay { service, folder, errors: Backend::start(), metrics };
    for number in 0..5 {
        queued(&relay, &format!("{number}"));
    }
    let Relay { service, folder, metrics, .. } = relay;
    service.kill();
    let back = Backend::start_on(address);
    let relay = start_in(folder, back, metrics, &[]);
    assert_eq!(relay.errors.wait_for(5).len(), 5);
    wait_for("an empty outbox", || (waiting(&relay) == 0).then_some(()));
}

/// The real back ends, killed and started again under load, one, the other and both: every accepted event is there, and once.
#[test]
fn back_ends_killed_under_load_lose_and_double_nothing() {
    const CLIENTS: usize = 4;
    let home = TempDir::new();
    let (mut tracker, mut collector) =
        (RealBackend::start("error-tracker", home.path()), RealBackend::start("metrics-collector", home.path()));
    let variables = [
        ("ERROR_TRACKER_URL", tracker.url.as_str()),
        ("ERROR_TRACKER_API_KEY", BACKEND_KEY),
        ("METRICS_COLLECTOR_URL", collector.url.as_str()),
        ("METRICS_COLLECTOR_API_KEY", BACKEND_KEY),
    ];
    let relay = start_in(TempDir::new(), Backend::start(), Backend::start(), &variables);
    let (stop, accepted) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (relay, stop, accepted) = (&relay, &stop, &accepted);
            scope.spawn(move || {
                let page = relay.page();
                let metrics = json!({"metrics": [{"name": "clicks", "type": "counter", "value": 1}]});
                for number in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let mut body = error("tracker");
                    body["message"] = format!("{client}-{number}").into();
                    let status = page.post_json("/api/browser/errors", &body).status;
                    assert!([200, 201, 202].contains(&status), "{status}");
                    let answer = page.post_json("/api/browser/metrics", &metrics);
                    assert_eq!(answer.status, 202, "{}", answer.text());
                    accepted.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let some_events = || {
            let before = accepted.load(Ordering::SeqCst);
            wait_for("events", || (accepted.load(Ordering::SeqCst) > before + 50).then_some(()));
        };
        for (kill_tracker, kill_collector) in [(true, false), (false, true), (true, true)] {
            some_events();
            if kill_tracker {
                tracker.kill();
            }
            if kill_collector {
                collector.kill();
            }
            some_events();
            tracker.start_again();
            collector.start_again();
        }
        stop.store(true, Ordering::SeqCst);
    });
    wait_for("an empty outbox", || (waiting(&relay) == 0).then_some(()));
    let accepted = accepted.load(Ordering::SeqCst);
    let errors = tracker.client().get("/api/errors?project=web").json();
    assert_eq!(errors["errors"][0]["count"], accepted, "{} groups", errors["total"]);
    let clicks = collector.client().get("/api/metrics?name=clicks&period=1h&agg=sum").json();
    let buckets = clicks["data"].as_array().unwrap().iter();
    let sum: f64 = buckets.map(|bucket| bucket["value"].as_f64().unwrap()).sum();
    assert_eq!(sum as usize, accepted);
}

/// The real service behind the relay, which can be killed and comes back at its address.
struct RealBackend {
    name: &'static str,
    database: PathBuf,
    url: String,
    port: u16,
    service: Option<Service>,
}

const BACKEND_KEY: &str = "key-of-back-ends";

impl RealBackend {
    fn start(name: &'static str, folder: &Path) -> Self {
        let mut backend =
            Self { name, database: folder.join(format!("{name}.db")), url: String::new(), port: 0, service: None };
        backend.start_again();
        backend
    }

    fn start_again(&mut self) {
        if self.service.is_some() {
            return;
        }
        // Its binary is beside ours.
        let beside = super::binary().with_file_name(self.name);
        let binary = common::testing::binary(self.name, beside.to_str().unwrap());
        let variables = [
            ("API_KEY", BACKEND_KEY),
            ("RATE_LIMIT", "0"),
            ("DATABASE_PATH", self.database.to_str().unwrap()),
            ("PORT", &self.port.to_string()),
        ];
        let service = Service::start(&binary, &variables);
        self.port = service.address().port();
        self.url = format!("http://{}", service.address());
        self.service = Some(service);
    }

    fn kill(&mut self) {
        self.service.take().expect("it runs").kill();
    }

    fn client(&self) -> Client {
        self.service.as_ref().expect("it runs").client(BACKEND_KEY)
    }
}
