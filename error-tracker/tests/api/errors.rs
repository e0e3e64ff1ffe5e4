//! `/api/errors`.

use std::thread;

use common::testing::{Answer, Connection};
use serde_json::{Value, json};

use super::{KEY, Tracker, report, start};

/// The largest body a report may have.
const BODY_BYTES_MAX: usize = 262_144;

#[track_caller]
fn create(tracker: &Tracker, report: &Value) -> Value {
    let answer = tracker.client().post_json("/api/errors", report);
    assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.text());
    answer.json()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, detail: &str) {
    assert_eq!((answer.status, answer.detail().as_str()), (status, detail));
}

/// The messages of a list, in its order.
#[track_caller]
fn messages(tracker: &Tracker, query: &str) -> Vec<String> {
    let answer = tracker.client().get(&format!("/api/errors{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    errors.iter().map(|error| error["message"].as_str().unwrap().to_owned()).collect()
}

fn with(mut report: Value, members: &Value) -> Value {
    report.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    report
}

#[test]
fn a_report_is_created_incremented_resolved_and_reopened() {
    let tracker = start();
    let client = tracker.client();
    let first = client.post_json("/api/errors", &report("a"));
    assert_eq!(first.status, 201);
    let fingerprint = first.json()["fingerprint"].clone();
    assert_eq!(first.json(), json!({"status": "created", "id": 1, "fingerprint": fingerprint, "count": 1}));
    assert_eq!(fingerprint.as_str().unwrap().len(), 32);

    let second = client.post_json("/api/errors?any=query", &report("a"));
    assert_eq!(second.status, 200);
    assert_eq!(second.json(), json!({"status": "incremented", "id": 1, "fingerprint": fingerprint, "count": 2}));

    for _ in 0..2 {
        let resolved = client.post("/api/errors/1/resolve?x=y", "");
        assert_eq!((resolved.status, resolved.json()), (200, json!({"status": "resolved", "id": 1})));
    }
    assert_eq!(messages(&tracker, ""), Vec::<String>::new());
    assert_eq!(messages(&tracker, "?resolved=true").len(), 1);
    assert_eq!(messages(&tracker, "?resolved=all").len(), 1);

    let third = client.post_json("/api/errors", &report("a"));
    assert_eq!(third.status, 201);
    assert_eq!(third.json(), json!({"status": "reopened", "id": 1, "fingerprint": fingerprint, "count": 3}));
    assert_eq!(client.get("/api/errors/1").json()["resolved_at"], Value::Null);
}

#[test]
fn every_field_is_checked_and_named() {
    let tracker = start();
    let client = tracker.client();
    let check = |body: &str, detail: &str| refused(&client.post("/api/errors", body), 400, detail);
    check("", "Invalid JSON");
    check("{", "Invalid JSON");
    check("{}{}", "Invalid JSON");
    check("nonsense", "Invalid JSON");
    check("[1]", "Request body must be a JSON object");
    check("\"text\"", "Request body must be a JSON object");
    check("{}", "Missing required field: project");
    check(r#"{"project":null}"#, "Missing required field: project");
    check(r#"{"project":"p","exception_type":5}"#, "Missing required field: exception_type");
    check(r#"{"project":"p","exception_type":"E"}"#, "Missing required field: message");
    check(r#"{"project":"p","exception_type":"E","message":"m"}"#, "Missing required field: traceback");
    check(r#"{"project":"p","project":"p"}"#, "Invalid JSON");
    check(r#"{"project":"\ud800"}"#, "Invalid JSON");
    check(r#"{"project":NaN}"#, "Invalid JSON");
    check("{\"project\":\"a\nb\"}", "Invalid JSON");
    refused(&client.post("/api/errors", b"{\"project\":\"\xff\"}"), 400, "Invalid JSON");

    let sized = |field: &str, bytes: usize| with(report("a"), &json!({field: "x".repeat(bytes)}));
    for (field, most) in [("project", 100), ("exception_type", 200), ("environment", 50)] {
        assert_eq!(client.post_json("/api/errors", &sized(field, most)).status, 201, "{field}");
        let detail = format!("Field '{field}' exceeds maximum length of {most} characters");
        refused(&client.post_json("/api/errors", &sized(field, most + 1)), 400, &detail);
    }
    refused(
        &client.post_json("/api/errors", &with(report("a"), &json!({"environment": 1}))),
        400,
        "Field 'environment' must be a string",
    );
    assert_eq!(client.get("/api/errors?resolved=all").json()["total"], 3);
}

#[test]
fn nesting_has_a_limit() {
    let tracker = start();
    let nested = |levels: usize| {
        let extra = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        tracker
            .client()
            .post("/api/errors", report("a").to_string().replacen('{', &format!(r#"{{"extra":{extra},"#), 1))
    };
    assert_eq!(nested(127).status, 201);
    refused(&nested(128), 400, "Invalid JSON");
    refused(&nested(100_000), 400, "Invalid JSON");
    let detail = tracker.client().get("/api/errors/1");
    assert!(detail.text().contains(&"[".repeat(127)));
}

#[test]
fn a_body_has_a_limit() {
    let tracker = start();
    let padded = |bytes: usize| {
        let mut report = with(report("big"), &json!({"message": ""}));
        let missing = bytes - report.to_string().len();
        report["message"] = "m".repeat(missing).into();
        report.to_string()
    };
    let answer = tracker.client().post("/api/errors", padded(BODY_BYTES_MAX));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let answer = tracker.client().post("/api/errors", padded(BODY_BYTES_MAX + 1));
    refused(&answer, 413, "Request body exceeds maximum size");
    // A list shows the start of a long message, the error all of it.
    assert_eq!(messages(&tracker, "")[0].len(), 1024);
    let whole = tracker.client().get("/api/errors/1").json();
    assert!(whole["message"].as_str().unwrap().len() > 200_000);
}

#[test]
fn what_is_legal_is_kept() {
    let tracker = start();
    let body = r#"{"project":"","exception_type":"","message":"nul \u0000 and \u0007 é","traceback":"","unknown":{"a":1},
        "request_headers":{ "b" : 2, "a" : [1.50, 12345678901234567890123] },"extra":"text","user_id":7,"request_url":null}"#;
    assert_eq!(tracker.client().post("/api/errors", body).status, 201);
    let answer = tracker.client().get("/api/errors/1");
    assert!(
        answer.text().contains(r#""request_headers":{"b":2,"a":[1.50,12345678901234567890123]}"#),
        "{}",
        answer.text()
    );
    let error = answer.json();
    assert_eq!(error["message"], "nul \0 and \u{7} é");
    assert_eq!(error["fingerprint"], "4501c091b0366d76ea3218b6cfdd8097");
    let occurrence = &error["occurrences"][0];
    assert_eq!(occurrence["extra"], "text");
    assert_eq!((&occurrence["user_id"], &occurrence["request_url"]), (&Value::Null, &Value::Null));
    assert_eq!(messages(&tracker, "?search=%C3%89").len(), 1, "found behind the NUL");
}

#[test]
fn chunked_bodies_and_expect_are_taken() {
    let tracker = start();
    let body = report("chunked").to_string();
    let (first, rest) = body.split_at(10);
    let chunked = format!(
        "POST /api/errors HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n\
         {:x}\r\n{first}\r\n{:x};extension\r\n{rest}\r\n0\r\nTrailer: t\r\n\r\n",
        first.len(),
        rest.len()
    );
    let mut connection = Connection::open(tracker.address()).unwrap();
    connection.write(chunked.as_bytes()).unwrap();
    assert_eq!(connection.read_answer(false).unwrap().status, 201);
    connection.write(chunked.as_bytes()).unwrap();
    assert_eq!(connection.read_answer(false).unwrap().json()["count"], 2);
}

#[test]
fn filters() {
    let tracker = start();
    create(&tracker, &with(report("a"), &json!({"project": "my app", "environment": "staging"})));
    create(&tracker, &with(report("b"), &json!({"request_method": "BROWSER", "extra": {"session_id": "s 1"}})));
    create(&tracker, &with(report("c"), &json!({"message": "100% of Ünits\0 after", "exception_type": "KeyError"})));
    let only = |query: &str, expected: &[&str]| assert_eq!(messages(&tracker, query), expected, "{query}");

    only("", &["100% of Ünits\0 after", "cannot do b", "cannot do a"]);
    only("?project=my%20app", &["cannot do a"]);
    only("?project=my+app", &["cannot do a"]);
    only("?project=none", &[]);
    only("?environment=staging", &["cannot do a"]);
    only("?environment=stag", &[]);
    only("?environment=prod&source=browser", &["cannot do b"]);
    only("?session_id=s%201", &["cannot do b"]);
    only("?source=server&limit=1", &["100% of Ünits\0 after"]);
    only("?limit=1&offset=1", &["cannot do b"]);
    only("?limit=0&offset=2", &["cannot do a"]);
    only("?search=KEYERROR", &["100% of Ünits\0 after"]);
    only("?search=0%25+OF", &["100% of Ünits\0 after"]);
    only("?search=%C3%BCNITS", &["100% of Ünits\0 after"]);
    only("?search=AFTER", &["100% of Ünits\0 after"]);
    only("?search=Cannot&limit=1&offset=1", &["cannot do a"]);
    only("?search=cannot_do", &[]);
    only("?search=cannot%25do", &[]);
    only("?since=2020-01-01T00:00:00%2B02:00&project=shop&limit=1", &["100% of Ünits\0 after"]);
    only("?since=2999-01-01", &[]);
    only("?project=&source=&search=&limit=1", &["100% of Ünits\0 after"]);

    let total = |query: &str| tracker.client().get(&format!("/api/errors{query}")).json()["total"].clone();
    assert_eq!(total("?limit=1&offset=1"), 3);
    assert_eq!(total("?search=cannot&limit=1"), 2);
    assert_eq!(total("?search=cannot&offset=50"), 2);
}

#[test]
fn what_cannot_be_read_is_named() {
    let tracker = start();
    for (query, named) in [
        ("?limit=many", "limit"),
        ("?offset=1.5", "offset"),
        ("?source=phone", "source"),
        ("?resolved=perhaps", "resolved"),
        ("?since=yesterday", "since"),
        ("?project=%zz", "%"),
        ("?project=%ff", "UTF-8"),
    ] {
        let answer = tracker.client().get(&format!("/api/errors{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.detail().contains(named), "{query}: {}", answer.detail());
    }
    for query in ["?limit=99999999999999999999&offset=-5", "?limit=-1", "?unknown=1", "?limit"] {
        assert_eq!(tracker.client().get(&format!("/api/errors{query}")).status, 200, "{query}");
    }
    assert_eq!(tracker.client().get("/api/errors?limit=1000&offset=-5").json()["limit"], 200);
}

#[test]
fn one_error_has_its_last_five_occurrences() {
    let tracker = start();
    for number in 0..7 {
        create(
            &tracker,
            &with(report("a"), &json!({"user_id": number.to_string(), "environment": format!("e{}", number % 2)})),
        );
    }
    let error = tracker.client().get("/api/errors/1").json();
    let occurrences = error["occurrences"].as_array().unwrap();
    let users: Vec<_> = occurrences.iter().map(|one| one["user_id"].as_str().unwrap()).collect();
    assert_eq!(users, ["6", "5", "4", "3", "2"]);
    assert_eq!(error["count"], 7);
    assert_eq!(error["environments"], json!(["e0", "e1"]));
    assert_eq!(occurrences[0]["traceback"], error["traceback"]);
    assert_eq!(occurrences[0]["environment"], "e0");
}

#[test]
fn an_error_from_a_browser_stays_one() {
    let tracker = start();
    create(&tracker, &with(report("a"), &json!({"request_method": "BROWSER"})));
    for _ in 0..6 {
        create(&tracker, &report("a"));
    }
    assert_eq!(messages(&tracker, "?source=browser").len(), 1);
    assert_eq!(messages(&tracker, "?source=server").len(), 0);
}

#[test]
fn what_is_not_there_is_404_and_a_wrong_method_405() {
    let tracker = start();
    let client = tracker.client();
    refused(&client.get("/api/errors/1"), 404, "Error not found");
    refused(&client.post("/api/errors/1/resolve", ""), 404, "Error not found");
    create(&tracker, &report("a"));
    for path in [
        "/api/errors/",
        "/api/errors/abc",
        "/api/errors/0",
        "/api/errors/1/",
        "/api/errors/-1",
        "/api",
        "/x",
        "/api/errors/1/resolveX",
    ] {
        refused(&client.get(path), 404, "Not found");
    }
    for (method, path, allow) in [
        ("DELETE", "/api/errors", "GET, HEAD, POST"),
        ("PUT", "/api/errors/1", "GET, HEAD"),
        ("GET", "/api/errors/1/resolve", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("BREW", "/api/projects", "GET, HEAD"),
    ] {
        let answer = client.send(method, path, b"").unwrap();
        refused(&answer, 405, "Method not allowed");
        assert_eq!(answer.headers["allow"], allow, "{method} {path}");
    }
    let head = client.send("HEAD", "/api/errors/1", b"").unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.headers["content-length"], client.get("/api/errors/1").body.len().to_string());
}

#[test]
fn a_repeated_idempotency_key_counts_once() {
    let tracker = start();
    let client = tracker.client().with_header("Idempotency-Key", "key-1");
    let first = client.post_json("/api/errors", &report("a"));
    let again = client.post_json("/api/errors", &report("a"));
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json(), again.json());
    assert_eq!(tracker.client().get("/api/errors/1").json()["count"], 1);
    // Another report is not lost behind the answer to the first one.
    let other = client.post_json("/api/errors", &report("b"));
    assert_eq!((other.status, other.detail().as_str()), (422, "Idempotency-Key was used with another body"));
    let long = tracker.client().with_header("Idempotency-Key", &"k".repeat(201));
    assert_eq!(long.post_json("/api/errors", &report("a")).status, 400);
}

#[test]
fn an_idempotency_key_used_at_once_by_many_counts_once() {
    let tracker = start();
    let client = tracker.client().with_header("Idempotency-Key", "key-1");
    let answers: Vec<Value> = thread::scope(|scope| {
        let sent: Vec<_> =
            (0..16).map(|_| scope.spawn(|| client.post_json("/api/errors", &report("a")).json())).collect();
        sent.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(tracker.client().get("/api/errors/1").json()["count"], 1);
}

#[test]
fn one_new_error_at_once_from_many_is_one_group() {
    let tracker = start();
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| create(&tracker, &report("a")));
        }
    });
    let list = tracker.client().get("/api/errors").json();
    assert_eq!((&list["total"], &list["errors"][0]["count"]), (&json!(1), &json!(64)));
}

#[test]
fn many_are_resolved_at_once_and_one_is_opened_again() {
    let tracker = start();
    for name in ["a", "b", "c"] {
        create(&tracker, &with(report(name), &json!({"message": name, "traceback": name})));
    }
    let client = tracker.client();
    let answer = client.post_json("/api/errors/resolve", &json!({"ids": [1, 3, 99]}));
    assert_eq!((answer.status, answer.json()), (200, json!({"status": "resolved", "count": 2})));
    assert_eq!(messages(&tracker, ""), ["b"]);
    assert_eq!(client.post("/api/errors/3/reopen", "").json(), json!({"status": "reopened", "id": 3}));
    assert_eq!(messages(&tracker, ""), ["c", "b"]);
    refused(&client.post("/api/errors/99/reopen", ""), 404, "Error not found");
    let resolve = |body: Value| client.post_json("/api/errors/resolve", &body);
    refused(&resolve(json!({})), 400, "Missing required field: ids");
    refused(&resolve(json!({"ids": ["1"]})), 400, "Field 'ids' must be an array of whole numbers");
    refused(&resolve(json!({"ids": [1.5]})), 400, "Field 'ids' must be an array of whole numbers");
    refused(&resolve(json!({"ids": []})), 400, "Field 'ids' must have 1 to 200 numbers");
    refused(&resolve(json!({"ids": vec![1; 201]})), 400, "Field 'ids' must have 1 to 200 numbers");
    // An alert is for what happens, not for what people do.
    assert_eq!(client.get("/api/alerts").json()["total"], 0);
}

#[test]
fn a_list_is_sorted_as_asked_for() {
    let tracker = start();
    for name in ["a", "b", "c", "b", "b", "a"] {
        create(&tracker, &with(report(name), &json!({"message": name, "traceback": name})));
    }
    assert_eq!(messages(&tracker, "?sort=count"), ["b", "a", "c"]);
    assert_eq!(messages(&tracker, "?sort=count&limit=1&offset=1"), ["a"]);
    let answer = tracker.client().get("/api/errors?sort=name");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.detail().contains("'sort'"), "{}", answer.detail());
    let error = tracker.client().get("/api/errors?sort=first_seen&search=b").json()["errors"][0].clone();
    let activity: Vec<u64> =
        error["activity"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect();
    assert_eq!((activity.len(), activity.iter().sum::<u64>()), (24, 3));
}
