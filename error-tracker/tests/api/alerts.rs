//! Mails: to a real SMTP server, and what becomes of them when there is none.

use std::thread;
use std::time::{Duration, Instant};

use common::testing::{Client, wait_for};
use serde_json::{Value, json};

use super::sink::Sink;
use super::{Tracker, report, start_in, start_with};

/// Variables that turn alerts on, for a sink on this port.
fn smtp<'a>(port: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut variables = vec![
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", port),
        ("SMTP_FROM", "monlight@example.com"),
        ("ALERT_EMAILS", "one@example.com, two@example.com"),
        ("BASE_URL", "https://errors.example.com/"),
        ("ALERT_RETRY_SECONDS", "0,0,0"),
    ];
    variables.extend_from_slice(more);
    variables
}

/// The alerts of the API once `settled` of them have an end.
fn settled(client: &Client, settled: usize) -> Vec<Value> {
    wait_for("alerts to end", || {
        let alerts = client.get("/api/alerts?limit=200").json()["alerts"].as_array().unwrap().clone();
        let ended = alerts.iter().filter(|alert| alert["state"] != "pending").count();
        (ended >= settled).then_some(alerts)
    })
}

fn create(tracker: &Tracker, report: &Value) {
    assert!(matches!(tracker.client().post_json("/api/errors", report).status, 200 | 201));
}

#[test]
fn a_new_error_and_its_return_are_mailed_to_each_recipient() {
    let sink = Sink::start(&["--mode", "plain"]);
    let port = sink.port.to_string();
    let tracker = start_with(&smtp(&port, &[]));
    create(&tracker, &report("a"));
    create(&tracker, &report("a"));
    let messages = sink.wait_for_messages(2);
    let recipients: Vec<_> = messages.iter().map(|message| message["to"].to_string()).collect();
    assert!(recipients[0].contains("one@example.com") && recipients[1].contains("two@example.com"), "{recipients:?}");
    assert_eq!(messages[0]["subject"], "[shop] ValueError: cannot do a (#1)");
    let text = messages[0]["text"].as_str().unwrap();
    assert!(text.contains("https://errors.example.com/errors/1"), "{text}");
    assert!(messages[0]["html"].as_str().unwrap().contains("cannot do a"));

    tracker.client().post("/api/errors/1/resolve", "");
    create(&tracker, &report("a"));
    let messages = sink.wait_for_messages(4);
    assert!(
        messages[2]["subject"].as_str().unwrap().to_lowercase().contains("regression"),
        "{}",
        messages[2]["subject"]
    );

    let alerts = settled(&tracker.client(), 2);
    assert_eq!((&alerts[0]["reason"], &alerts[0]["state"]), (&json!("regression"), &json!("sent")));
    assert_eq!((&alerts[1]["reason"], &alerts[1]["error_id"]), (&json!("new"), &json!(1)));
    wait_for("the log to say so", || {
        let log = tracker.log().join("\n");
        log.contains("Email alert sent to one@example.com via SMTP (plain)").then_some(())
    });
}

#[test]
fn no_field_can_inject_a_header_or_end_the_mail() {
    let sink = Sink::start(&["--mode", "plain"]);
    let port = sink.port.to_string();
    let tracker = start_with(&smtp(&port, &[("ALERT_EMAILS", "one@example.com")]));
    create(
        &tracker,
        &json!({
            "project": "p\r\nBcc: a@evil.example", "exception_type": "E\nBcc: b@evil.example",
            "message": "m\r\n\r\nBcc: c@evil.example", "traceback": "line\r\n.\r\nQUIT\r\nMAIL FROM:<d@evil.example>",
        }),
    );
    let message = &sink.wait_for_messages(1)[0];
    assert!(message["to"].to_string().contains("one@example.com") && !message["to"].to_string().contains("evil"));
    let raw = message["data"].as_str().unwrap_or_default().to_lowercase();
    let head = raw.split("\r\n\r\n").next().unwrap();
    assert!(!head.lines().any(|line| line.starts_with("bcc")), "{head}");
    assert!(message["text"].as_str().unwrap().contains("MAIL FROM:<d@evil.example>"));
}

#[test]
fn a_storm_becomes_a_digest() {
    // The storm comes while the mail server is away, so that what waits does not depend on who is faster.
    let tracker = start_with(&smtp("1", &[("ALERT_RETRY_SECONDS", "0,3600")]));
    thread::scope(|scope| {
        for worker in 0..8 {
            let tracker = &tracker;
            scope.spawn(move || {
                for number in 0..25 {
                    create(tracker, &report(&format!("storm{worker}x{number}")));
                }
            });
        }
    });
    let Tracker { service, folder } = tracker;
    service.kill();

    let sink = Sink::start(&["--mode", "plain"]);
    let port = sink.port.to_string();
    let tracker = start_in(folder, &smtp(&port, &[("ALERT_EMAILS", "one@example.com")]));
    let alerts = settled(&tracker.client(), 200);
    assert!(alerts.iter().all(|alert| alert["state"] == "sent"));
    assert_eq!(sink.wait_for_messages(1).len(), 1);
    let metrics = tracker.client().get("/metrics").text();
    assert!(metrics.contains("monlight_alert_digests_total 1"), "{metrics}");
}

#[test]
fn a_dead_server_delays_no_report_and_is_shown() {
    let tracker = start_with(&smtp("1", &[]));
    create(&tracker, &report("a"));
    let alerts = settled(&tracker.client(), 1);
    assert_eq!((&alerts[0]["state"], &alerts[0]["attempts"]), (&json!("failed"), &json!(3)));
    assert!(alerts[0]["last_error"].as_str().unwrap().contains("refused"), "{}", alerts[0]);
    let metrics = tracker.client().get("/metrics").text();
    assert!(metrics.contains("monlight_alert_attempts_total 3"), "{metrics}");
}

#[test]
fn a_crash_loses_no_alert() {
    let tracker = start_with(&smtp("1", &[("ALERT_RETRY_SECONDS", "0,3600")]));
    create(&tracker, &report("a"));
    wait_for("the first attempt", || {
        (tracker.client().get("/api/alerts").json()["alerts"][0]["attempts"] == 1).then_some(())
    });
    let Tracker { service, folder } = tracker;
    service.kill();

    let sink = Sink::start(&["--mode", "plain"]);
    let port = sink.port.to_string();
    let tracker = start_in(folder, &smtp(&port, &[]));
    sink.wait_for_messages(2);
    assert_eq!(settled(&tracker.client(), 1)[0]["state"], "sent");
}

#[test]
fn a_test_mail() {
    let sink = Sink::start(&["--mode", "starttls"]);
    let port = sink.port.to_string();
    let ca_file = sink.ca_file.to_string_lossy().into_owned();
    let tracker = start_with(&smtp(&port, &[("SMTP_CA_FILE", &ca_file)]));
    let answer = tracker.client().post("/api/test-alert?x=y", "");
    assert_eq!(answer.status, 202);
    assert_eq!(
        answer.json(),
        json!({"status": "test alert dispatched", "detail": "Check service logs for SMTP transaction result"})
    );
    assert_eq!(sink.wait_for_messages(2)[0]["subject"], "[error-tracker] SMTP test alert");
    wait_for("the log to say so", || tracker.log().join("\n").contains("via SMTP (STARTTLS)").then_some(()));
}

#[test]
fn what_is_missing_is_said() {
    let tracker = start_with(&[("SMTP_HOST", ""), ("ALERT_EMAILS", "a@example.com")]);
    let answer = tracker.client().post("/api/test-alert", "");
    assert_eq!((answer.status, answer.detail().as_str()), (503, "SMTP not configured: SMTP_HOST is not set"));
    let tracker = start_with(&[("SMTP_HOST", "localhost")]);
    let answer = tracker.client().post("/api/test-alert", "");
    assert_eq!((answer.status, answer.detail().as_str()), (503, "SMTP not configured: ALERT_EMAILS is not set"));
    create(&tracker, &report("a"));
    assert_eq!(tracker.client().get("/api/alerts").json()["total"], 0);
}

#[test]
fn a_server_that_says_nothing_delays_neither_reports_nor_the_stop() {
    let sink = Sink::start(&["--hang"]);
    let port = sink.port.to_string();
    let tracker = start_with(&smtp(&port, &[]));
    for number in 0..20 {
        create(&tracker, &report(&format!("n{number}")));
    }
    sink.wait_for_sessions(1);
    // All were answered while the first session still waits for a greeting.
    let alerts = tracker.client().get("/api/alerts?limit=200").json();
    assert_eq!((&alerts["total"], &alerts["enabled"]), (&json!(20), &json!(true)));
    assert!(alerts["alerts"].as_array().unwrap().iter().all(|alert| alert["attempts"] == 0), "{alerts}");
    let began = Instant::now();
    assert!(tracker.service.terminate().success());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn the_list_has_pages() {
    let tracker = start_with(&smtp("1", &[("ALERT_RETRY_SECONDS", "3600")]));
    for name in ["a", "b", "c"] {
        create(&tracker, &report(name));
    }
    let client = tracker.client();
    let list = client.get("/api/alerts?limit=1&offset=1").json();
    assert_eq!((&list["alerts"][0]["id"], &list["total"]), (&json!(2), &json!(3)));
    assert_eq!((&list["limit"], &list["offset"]), (&json!(1), &json!(1)));
    let alert = &list["alerts"][0];
    assert_eq!((&alert["error_id"], &alert["reason"], &alert["state"]), (&json!(2), &json!("new"), &json!("pending")));
    assert_eq!((&alert["finished_at"], &alert["last_error"]), (&Value::Null, &Value::Null));
    assert_eq!(client.get("/api/alerts?offset=9").json()["alerts"], json!([]));
    assert_eq!(client.get("/api/alerts?limit=x").status, 400);
}
