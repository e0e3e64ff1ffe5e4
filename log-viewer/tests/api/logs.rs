//! `GET /api/logs` and `/api/logs/export`: filters, search, pages.

use serde_json::{Value, json};

use crate::driver::{Container, Stream};
use crate::{KEY, Viewer, entries, message, start, start_with, target};

/// Two containers and ten entries of different levels; the containers are needed to write more.
fn shop() -> (Viewer, Container, Container) {
    let viewer = start();
    let mut web = viewer.docker().container("shop_web");
    web.stdout("[INFO] server started on 10.0.0.1:8080");
    web.stdout("[WARNING] slow query in /api/users");
    web.stdout("[ERROR] can't connect to the database");
    web.stderr("user_id=42 was refused");
    web.stdout("[DEBUG] café opened, 100% <b>bold</b>");
    viewer.wait_for_entries(5);
    let mut worker = viewer.docker().container("shop worker+1");
    worker.stdout("[INFO] hello world");
    worker.stdout("[INFO] world, hello again");
    worker.stdout("[CRITICAL] out of memory");
    worker.stdout(r#"{"level":"warn","msg":"queue is long","user":{"id":43}}"#);
    worker.stdout("[INFO] helium");
    viewer.wait_for_entries(10);
    (viewer, web, worker)
}

/// What a query finds, the oldest first: only the beginnings, for short tables.
#[track_caller]
fn check(viewer: &Viewer, query: &[(&str, &str)], beginnings: &[&str]) {
    let mut found = viewer.messages(query);
    found.reverse();
    let is_expected = found.len() == beginnings.len()
        && found.iter().zip(beginnings).all(|(found, beginning)| found.contains(beginning));
    assert!(is_expected, "{query:?} found {found:#?}, expected {beginnings:#?}");
    assert_eq!(viewer.ask("/api/logs", query)["total"], beginnings.len(), "{query:?}");
}

#[test]
fn an_entry_has_all_that_docker_tells() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    web.stderr("quote \" tab\t <tag> & \u{1b}[31mred\u{1b}[0m é \u{2028} end");
    viewer.wait_for_entries(1);
    let list = viewer.ask("/api/logs", &[]);
    assert_eq!((&list["total"], &list["limit"], &list["offset"]), (&json!(1), &json!(100), &json!(0)));
    let entry = &entries(&list)[0];
    let fields: Vec<_> = entry.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["container", "id", "level", "message", "stream", "timestamp"]);
    assert_eq!(
        (&entry["container"], &entry["stream"], &entry["level"]),
        (&json!("web"), &json!("stderr"), &json!("ERROR"))
    );
    let text = message(entry);
    assert!(text.starts_with("quote \" tab\t <tag> & ") && text.ends_with("é \u{2028} end"), "{text:?}");
    let time = entry["timestamp"].as_str().unwrap();
    assert_eq!((time.len(), &time[19..20], &time[29..]), (30, ".", "Z"), "nine digits: {time}");
}

#[test]
fn filters_go_together() {
    let (viewer, ..) = shop();
    check(
        &viewer,
        &[("container", "shop_web"), ("level", ">=WARNING")],
        &["slow query", "can't connect", "user_id=42"],
    );
    check(&viewer, &[("container", "shop worker+1"), ("level", "INFO")], &["hello world", "world, hello", "helium"]);
    check(&viewer, &[("container", "nobody")], &[]);
    check(&viewer, &[("level", "CRITICAL")], &["out of memory"]);
    check(&viewer, &[("level", ">=error")], &["can't connect", "user_id=42", "out of memory"]);
    check(
        &viewer,
        &[("level", ">=warn")],
        &["slow query", "can't connect", "user_id=42", "out of memory", "queue is long"],
    );
    check(&viewer, &[("search", "hello"), ("container", "shop_web")], &[]);
    check(&viewer, &[("search", "hello"), ("level", "INFO")], &["hello world", "world, hello"]);
}

#[test]
fn times_are_inclusive_and_in_any_form() {
    let (viewer, ..) = shop();
    let all = viewer.logs(&[]);
    let time = |at: usize| all[at]["timestamp"].as_str().unwrap().to_owned();
    let (newest, third, oldest) = (time(0), time(2), time(9));
    assert_eq!(viewer.logs(&[("since", &third)]).len(), 3);
    assert_eq!(viewer.logs(&[("since", &newest), ("until", &newest)]).len(), 1);
    assert_eq!(viewer.logs(&[("until", &oldest)]).len(), 1);
    // The same moment, told from elsewhere.
    let hour = third[11..13].parse::<u32>().unwrap();
    if hour < 22 {
        let elsewhere = format!("{}{:02}{}+02:00", &third[..11], hour + 2, &third[13..29]);
        assert_eq!(viewer.logs(&[("since", &elsewhere)]).len(), 3, "{elsewhere}");
    }
    assert_eq!(viewer.logs(&[("since", "2020-01-01")]).len(), 10);
    assert_eq!(viewer.logs(&[("until", "2020-01-01T00:00:00")]).len(), 0);
}

#[test]
fn search_is_fts5_and_else_literal_and_never_an_error() {
    let (viewer, ..) = shop();
    for (query, mode, beginnings) in [
        ("hello", "fts", &["hello world", "world, hello"][..]),
        ("hello world", "fts", &["hello world", "world, hello"]),
        ("\"hello world\"", "fts", &["hello world"]),
        ("hel*", "fts", &["hello world", "world, hello", "helium"]),
        ("helium OR memory", "fts", &["out of memory", "helium"]),
        ("hello NOT again", "fts", &["hello world"]),
        ("CAFE", "fts", &["café"]),
        ("message:helium", "fts", &["helium"]),
        ("10.0.0.1", "literal", &["server started"]),
        ("can't", "literal", &["can't connect"]),
        ("/api/users", "literal", &["slow query"]),
        ("user_id=42", "literal", &["user_id=42"]),
        ("(", "literal", &[]),
        ("AND", "literal", &[]),
        ("100% <b>", "literal", &["café"]),
        ("nothing_like_this", "fts", &[]),
    ] {
        for name in ["search", "q"] {
            check(&viewer, &[(name, query)], beginnings);
            assert_eq!(viewer.ask("/api/logs", &[(name, query)])["search_mode"], mode, "{query}");
        }
    }
    // A plus sign is a space, as every client writes it.
    let list = viewer.client().get("/api/logs?search=hello+again").json();
    assert_eq!(list["total"], 1);
}

#[test]
fn any_text_can_be_searched() {
    let (viewer, ..) = shop();
    for text in [
        "\"",
        "'; DROP TABLE log_entries; --",
        "*",
        "^",
        "a b c OR",
        "NEAR(",
        "{}",
        "-x",
        "é",
        "\u{0}",
        "%",
        ":",
        "x:y",
        "\\",
        "(((((",
    ] {
        let answer = viewer.client().get(&target("/api/logs", &[("search", text)]));
        assert_eq!(answer.status, 200, "{text:?}: {}", answer.text());
        let answer = viewer.client().get(&target("/api/logs", &[("contains", text)]));
        assert_eq!(answer.status, 200, "{text:?}: {}", answer.text());
    }
    assert_eq!(viewer.client().get(&target("/api/logs", &[("search", &"x ".repeat(300))])).status, 200);
}

#[test]
fn a_part_of_a_word_can_be_found() {
    let (viewer, ..) = shop();
    for (text, beginnings) in
        [("onnec", &["can't connect"][..]), ("0.0.1:80", &["server started"]), ("<b>", &["café"]), ("not there", &[])]
    {
        let mut found = viewer.messages(&[("contains", text)]);
        found.reverse();
        assert_eq!(found.len(), beginnings.len(), "{text}: {found:?}");
        assert!(found.iter().zip(beginnings).all(|(found, beginning)| found.contains(beginning)), "{text}: {found:?}");
    }
}

#[test]
fn what_makes_no_sense_is_named() {
    let (viewer, ..) = shop();
    for (name, value) in [
        ("level", "LOUD"),
        ("level", ">=LOUD"),
        ("since", "yesterday"),
        ("until", "2026-13-01"),
        ("limit", "many"),
        ("offset", "some"),
        ("before", "x"),
    ] {
        let answer = viewer.client().get(&target("/api/logs", &[(name, value)]));
        assert_eq!(answer.status, 400, "{name}={value}: {}", answer.text());
        assert!(answer.detail().contains(name), "{name}={value}: {}", answer.text());
    }
    // Out of range is not nonsense.
    for (value, limit) in [("0", 100), ("501", 500), ("4294967295", 500), ("7", 7)] {
        assert_eq!(viewer.ask("/api/logs", &[("limit", value)])["limit"], limit);
    }
}

#[test]
fn pages_hold_everything_once_while_lines_arrive() {
    let (viewer, mut web, _worker) = shop();
    let first = viewer.ask("/api/logs", &[("limit", "4")]);
    let mut found: Vec<Value> = entries(&first);
    let mut before = first["next"].clone();
    while let Some(place) = before.as_str() {
        web.stdout("[INFO] meanwhile");
        let total = viewer.ask("/api/stats", &[])["total_logs"].as_u64().unwrap();
        common::testing::wait_for("it to be stored", || {
            (viewer.ask("/api/stats", &[])["total_logs"].as_u64().unwrap() > total).then_some(())
        });
        let page = viewer.ask("/api/logs", &[("limit", "4"), ("before", place)]);
        found.extend(entries(&page));
        before = page["next"].clone();
    }
    let mut ids: Vec<_> = found.iter().map(|entry| entry["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=10).collect::<Vec<_>>());
    assert!(found.is_sorted_by_key(|entry| std::cmp::Reverse(entry["timestamp"].to_string())), "the newest first");

    let offset: Vec<_> = viewer.logs(&[
        ("limit", "2"),
        ("offset", "3"),
        ("container", "shop_web"),
        ("until", found[5]["timestamp"].as_str().unwrap()),
    ]);
    assert_eq!(offset.len(), 2);
    assert!(offset[0]["id"].as_i64() > offset[1]["id"].as_i64());
}

/// A list of a hundred long messages would be a long answer.
#[test]
fn a_long_message_is_cut_in_lists_and_whole_by_itself() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    let long = format!("[INFO] long {}", "é".repeat(60_000));
    web.stdout(&long);
    viewer.wait_for_entries(1);
    let listed = viewer.logs(&[]).remove(0);
    let text = message(&listed);
    assert!(text.len() < long.len() && long.starts_with(&text), "{} bytes", text.len());
    assert_eq!(listed["cut"], long.len() - text.len());
    let whole = viewer.ask("/api/logs/1", &[]);
    assert_eq!((message(&whole), whole.get("cut")), (long, None));
    for (path, status) in [("/api/logs/2", 404), ("/api/logs/0", 404), ("/api/logs/x", 404), ("/api/logs/-1", 404)] {
        assert_eq!(viewer.client().get(path).status, status, "{path}");
    }
}

#[test]
fn an_export_has_every_entry_as_json_or_as_text() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    for number in 0..1200 {
        web.line(Stream::BOTH[number % 2], format!("[INFO] line {number} <é>"));
    }
    viewer.wait_for_entries(1200);
    let whole = viewer.export(&[]);
    let lines: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1200);
    let mut ids: Vec<_> = lines.iter().map(|line| line["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1200);
    assert_eq!(lines[0].as_object().unwrap().len(), 6);

    let some = viewer.export(&[("search", "\"line 7\""), ("container", "web")]);
    assert_eq!(some.lines().count(), 1, "{some}");
    let text = viewer.export(&[("format", "text"), ("search", "\"line 7\"")]);
    assert!(text.contains("[INFO] line 7 <é>") && !text.starts_with('{'), "{text}");
    assert_eq!(viewer.client().get("/api/logs/export?format=tar").status, 400);
    assert_eq!(viewer.client().get("/api/logs/export?level=LOUD").status, 400);
}

/// The original answered these with a list, or not at all.
#[test]
fn other_paths_and_methods_are_refused() {
    let viewer = start();
    let client = viewer.client();
    for path in ["/api/logs/", "/api/logs/1", "/api", "/api/log", "/x"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = client.send(method, "/api/logs", b"").unwrap();
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.headers["allow"].contains("GET"));
    }
    let stranger = common::testing::Client::new(viewer.address());
    for path in ["/api/logs", "/api/logs/tail", "/api/logs/export", "/api/stats", "/api/containers", "/metrics", "/x"] {
        assert_eq!(stranger.get(path).status, 401, "{path}");
        assert_eq!(stranger.get(&format!("{path}?api_key=wrong")).status, 401, "{path}");
    }
    assert_eq!(stranger.get(&format!("/api/logs?api_key={KEY}")).status, 200);
    assert_eq!(stranger.with_header("Authorization", &format!("Bearer {KEY}")).get("/api/logs").status, 200);
}

#[test]
fn requests_are_limited_when_they_are_to_be() {
    let viewer = start_with(&[("RATE_LIMIT", "3")]);
    for _ in 0..3 {
        assert_eq!(viewer.client().get("/api/logs").status, 200);
    }
    let answer = viewer.client().get("/api/logs");
    assert_eq!((answer.status, answer.detail().as_str()), (429, "Rate limit exceeded"));
    assert!(answer.headers["retry-after"].parse::<u32>().unwrap() > 0);
}

#[test]
fn what_was_around_an_entry_is_of_its_container() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    for number in 0..5 {
        web.stdout(format!("line {number}"));
    }
    viewer.docker().container("db").stdout("elsewhere");
    viewer.wait_for_entries(6);
    let middle = viewer.logs(&[("contains", "line 2")])[0]["id"].clone();
    let around = viewer.ask(&format!("/api/logs/{middle}/around"), &[("limit", "1")]);
    let messages: Vec<_> = around["logs"].as_array().unwrap().iter().map(|entry| &entry["message"]).collect();
    assert_eq!(messages, ["line 3", "line 2", "line 1"]);
    assert_eq!(viewer.client().get("/api/logs/999/around").status, 404);
}
