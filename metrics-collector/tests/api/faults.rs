//! What goes wrong around the service: full disks, signals, hostile clients. Nothing that was acknowledged is lost.

use std::time::{Duration, Instant};

use common::testing::{Connection, Service, SmallDisk, wait_for};
use serde_json::json;

use super::{KEY, binary, database_in, start};

/// How long a service may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// A batch of so many points that take room.
fn batch(number: usize) -> String {
    let text = "x".repeat(200);
    let items: Vec<_> = (0..50)
        .map(|item| json!({"name": "disk", "type": "gauge", "value": 1, "labels": {"session_id": format!("{number}-{item}-{text}")}}))
        .collect();
    json!(items).to_string()
}

fn stored(service: &Service) -> u64 {
    let dashboard = service.client(KEY).get("/api/dashboard?period=1h").json();
    dashboard["summary"]["total_datapoints"].as_u64().unwrap()
}

#[test]
fn a_full_disk() {
    let Some(disk) = SmallDisk::mount() else { return };
    let database = database_in(disk.folder());
    let variables = [("API_KEY", KEY), ("RATE_LIMIT", "0"), ("DATABASE_PATH", database.to_str().unwrap())];
    let service = Service::start(&binary(), &variables);
    let client = service.client(KEY);
    let mut kept = 0;
    let mut send = |number: usize| {
        let answer = client.post("/api/metrics", batch(number));
        kept += if answer.status == 202 { 50 } else { 0 };
        (answer, kept)
    };
    assert_eq!(send(0).0.status, 202);
    disk.fill();
    let refusal = wait_for("a refusal", || Some(send(1).0).filter(|answer| answer.status != 202));
    assert_eq!((refusal.status, refusal.detail().as_str()), (507, "The disk is full, nothing was stored"));
    assert_eq!(client.get("/health").status, 503);
    assert_eq!(client.get("/api/metrics?name=disk").status, 200, "what is stored can be read");

    disk.empty();
    wait_for("the service to notice by itself", || (client.get("/health").status == 200).then_some(()));
    let (answer, kept) = wait_for("room", || Some(send(2)).filter(|(answer, _)| answer.status == 202));
    assert_eq!((answer.status, stored(&service)), (202, kept));

    disk.fill();
    service.kill();
    let service = Service::start(&binary(), &variables);
    assert_eq!(stored(&service), kept);
}

#[test]
fn a_stop_answers_what_is_in_progress() {
    let collector = start();
    let client = collector.client();
    let sender = std::thread::spawn(move || {
        let mut accepted = 0;
        for number in 0.. {
            match client.send("POST", "/api/metrics", batch(number).as_bytes()) {
                Ok(answer) if answer.status == 202 => accepted += 50,
                _ => break,
            }
        }
        accepted
    });
    wait_for("points", || (stored(&collector) > 500).then_some(()));
    let super::Collector { service, folder } = collector;
    let began = Instant::now();
    assert!(service.terminate().success());
    assert!(began.elapsed() < STOP_TIME_MAX, "{:?}", began.elapsed());
    let accepted: u64 = sender.join().unwrap();
    let collector = super::start_here(folder, &[]);
    assert!(stored(&collector) >= accepted, "{} of {accepted}", stored(&collector));
}

/// Bodies that are promised and not sent, by clients with the key: others go on, and memory stays within its limit.
#[test]
fn stalled_bodies_hold_up_nobody() {
    let collector = start();
    let head = format!("POST /api/metrics HTTP/1.1\r\nx-api-key: {KEY}\r\ncontent-length: 500000\r\n\r\n[{{\"name\"");
    let stalled: Vec<Connection> = (0..100)
        .map(|_| {
            let mut connection = Connection::open(collector.address()).unwrap();
            connection.write(head.as_bytes()).unwrap();
            connection
        })
        .collect();
    for number in 0..20 {
        assert_eq!(collector.client().post("/api/metrics", batch(number)).status, 202);
    }
    assert_eq!(collector.client().get("/health").status, 200);
    assert!(collector.peak_memory() < 20_000_000, "{}", collector.peak_memory());
    drop(stalled);
}
