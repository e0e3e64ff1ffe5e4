//! Source maps: uploaded, listed, replaced, deleted, used.

use std::process::Command;
use std::time::{Duration, Instant};

use common::testing::{Connection, TempDir};
use serde_json::{Value, json};

use super::backend::{Act, Backend};
use super::{ADMIN, Relay, binary, error, start};

/// `a` at 1:11 of the script is `origFn` at 10:5 of `src/app.ts`.
fn map() -> Value {
    json!({"version": 3, "sources": ["src/app.ts"], "names": ["origFn"], "mappings": "UASIA", "sourcesContent": [null]})
}

fn upload(relay: &Relay, file_url: &str) -> u16 {
    let body = json!({"project": "web", "release": "1.0", "file_url": file_url, "map_content": map().to_string()});
    relay.admin().post_json("/api/source-maps", &body).status
}

fn traceback(relay: &Relay, stack: &str, release: Option<&str>) -> String {
    let mut body = error("x");
    body["stack"] = stack.into();
    if let Some(release) = release {
        body["release"] = release.into();
    }
    let before = relay.errors.received().len();
    assert_eq!(relay.page().post_json("/api/browser/errors", &body).status, 201);
    relay.errors.received()[before].json()["traceback"].as_str().unwrap().to_owned()
}

#[test]
fn a_map_makes_stacks_readable() {
    let relay = start();
    let answer = relay.admin().post_json(
        "/api/source-maps",
        &json!({"project": "web", "release": "1.0", "file_url": "https://ex.com/static/app.min.js", "map_content": map().to_string()}),
    );
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(
        answer.json(),
        json!({"status": "uploaded", "project": "web", "release": "1.0", "file_url": "https://ex.com/static/app.min.js"})
    );
    for (frame, expected) in [
        ("    at a (https://ex.com/static/app.min.js:1:11)", "    at origFn (src/app.ts:10:5)"),
        ("    at a (https://cdn.example:8443/static/app.min.js?v=3:1:11)", "    at origFn (src/app.ts:10:5)"),
        ("a@https://ex.com/static/app.min.js:1:11", "origFn@src/app.ts:10:5"),
        ("    at a (https://ex.com/other.js:1:11)", "    at a (https://ex.com/other.js:1:11)"),
    ] {
        let stack = format!("TypeError: x\n{frame}\n    at <anonymous>");
        assert_eq!(traceback(&relay, &stack, Some("1.0")), format!("TypeError: x\n{expected}\n    at <anonymous>"));
        assert_eq!(traceback(&relay, &stack, None), stack);
        assert_eq!(traceback(&relay, &stack, Some("2.0")), stack);
    }
}

#[test]
fn maps_are_listed_replaced_and_deleted() {
    let relay = start();
    assert_eq!((upload(&relay, "/a.js"), upload(&relay, "/b.js"), upload(&relay, "/a.js")), (201, 201, 201));
    for path in ["/api/source-maps?project=web", "/api/sourcemaps"] {
        let list = relay.admin().get(path).json();
        assert_eq!(list["total"], 2);
        let seen: Vec<_> = list["source_maps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|map| (map["id"].as_i64().unwrap(), map["file_url"].as_str().unwrap()))
            .collect();
        assert_eq!(seen, [(2, "/b.js"), (3, "/a.js")]);
    }
    assert_eq!(relay.admin().get("/api/source-maps?project=").json()["total"], 0);
    let delete = |id: u32| relay.admin().send("DELETE", &format!("/api/source-maps/{id}"), b"").unwrap();
    assert_eq!((delete(2).status, delete(2).detail().as_str()), (200, "Source map not found"));
    assert_eq!(relay.admin().get("/api/source-maps").json()["total"], 1);
    assert_eq!(relay.page().get("/api/source-maps").status, 401);
}

#[test]
fn a_place_can_be_looked_up() {
    let relay = start();
    assert_eq!(upload(&relay, "/app.js"), 201);
    let ask = |query: &str| relay.admin().get(&format!("/api/source-maps/resolve?project=web&release=1.0&{query}"));
    let found = ask("url=https://ex.com/app.js&line=1&column=11");
    assert_eq!(
        (found.status, found.json()),
        (200, json!({"status": "resolved", "source": "src/app.ts", "line": 10, "column": 5, "name": "origFn"}))
    );
    assert_eq!(ask("url=/app.js&line=5&column=1").json(), json!({"status": "no-mapping"}));
    assert_eq!(ask("url=/none.js&line=1&column=1").status, 404);
    for (query, detail) in [
        ("url=/app.js&line=1", "Missing required parameter: column"),
        ("url=/app.js&line=0&column=1", "parameter 'line': expected a number from 1, got 0"),
        ("line=1&column=1", "Missing required parameter: url"),
    ] {
        assert_eq!((ask(query).status, ask(query).detail().as_str()), (400, detail));
    }
}

#[test]
fn what_is_no_map_is_refused() {
    let relay = start();
    let with = |name: &str, value: Value| {
        let mut body = json!({"project": "web", "release": "1", "file_url": "/a.js", "map_content": map().to_string()});
        body[name] = value;
        body.to_string()
    };
    let deep =
        format!("{{\"version\":3,\"sources\":[],\"mappings\":\"\",\"x\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    for (body, detail) in [
        (String::new(), "Empty request body"),
        ("{".into(), "Invalid JSON"),
        (with("project", json!(null)), "Missing required field: project"),
        (with("release", json!("")), "Field 'release' must be 1-100 characters"),
        (with("file_url", json!("x".repeat(501))), "Field 'file_url' must be 1-500 characters"),
        (with("map_content", json!({})), "Missing required field: map_content"),
        (with("map_content", json!("{")), "Invalid source map format"),
        (with("map_content", json!("{}")), "Invalid source map format"),
        (with("map_content", json!(deep)), "Invalid source map format"),
        (
            with("map_content", json!(r#"{"version":3,"sources":["a"],"mappings":"gggggggggggggggggE"}"#)),
            "Invalid source map format",
        ),
    ] {
        let answer = relay.admin().post("/api/source-maps", &body);
        let start: String = body.chars().take(200).collect();
        assert_eq!((answer.status, answer.detail().as_str()), (400, detail), "{start}");
    }
    // What is announced too large is not read.
    let mut connection = Connection::open(relay.address()).unwrap();
    let head =
        format!("POST /api/source-maps HTTP/1.1\r\nx-api-key: {ADMIN}\r\ncontent-length: {}\r\n\r\n", (10 << 20) + 1);
    connection.write(head.as_bytes()).unwrap();
    assert_eq!(connection.read_answer(false).unwrap().status, 413);
    assert_eq!(relay.admin().get("/api/source-maps").json()["total"], 0);
}

/// 5 MB of map in one upload, and the memory it takes.
#[test]
fn the_largest_map_fits_into_the_memory() {
    let relay = start();
    let line = "AAAA,IAAI,CAAC,GAAG,".repeat(1000);
    let mappings = format!("{}AAAA", format!("{line}AAAA;").repeat(230));
    let content = "const x = \"quoted\\n\";\n".repeat(20_000);
    let map =
        json!({"version": 3, "sources": ["a.ts"], "names": [], "mappings": mappings, "sourcesContent": [content]})
            .to_string();
    assert!((4_500_000..5 << 20).contains(&map.len()), "{}", map.len());
    let body = json!({"project": "web", "release": "1", "file_url": "/a.js", "map_content": map});
    let answer = relay.admin().post_json("/api/source-maps", &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(relay.peak_memory() < 24_000_000, "{}", relay.peak_memory());
    let found =
        relay.admin().get("/api/source-maps/resolve?project=web&release=1&url=/a.js&line=200&column=500").json();
    assert_eq!(found["source"], "a.ts");
}

/// What the command says of a folder, and its exit code.
fn upload_folder(folder: &TempDir, url: &str, prefix: &str, key: &str) -> (Option<i32>, String) {
    let output = Command::new(binary())
        .arg("--upload-maps")
        .arg(folder.path())
        .args(["--url", url, "--project", "web", "--release", "1.0", "--prefix", prefix])
        .env_clear()
        .env("ADMIN_API_KEY", key)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn build(scripts: &[&str]) -> TempDir {
    let folder = TempDir::new();
    for script in scripts {
        let path = folder.path().join(script);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "x").unwrap();
        std::fs::write(path.with_added_extension("map"), map().to_string()).unwrap();
    }
    folder
}

#[test]
fn maps_are_uploaded_from_the_command_line() {
    let relay = start();
    let url = format!("http://{}", relay.address());
    let folder = build(&["js/app.js"]);
    let (code, said) = upload_folder(&folder, &url, "static", ADMIN);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(relay.admin().get("/api/source-maps").json()["source_maps"][0]["file_url"], "/static/js/app.js");
    std::fs::write(folder.path().join("bad.js"), "").unwrap();
    std::fs::write(folder.path().join("bad.js.map"), "{").unwrap();
    let (code, said) = upload_folder(&folder, &url, "/static", ADMIN);
    assert_eq!(code, Some(1));
    assert!(said.contains("/static/bad.js: status 400") && said.contains("1 of 2 maps uploaded"), "{said}");
    let (code, said) = upload_folder(&folder, &url, "/static", "wrong");
    assert_eq!((code, said.matches("Invalid API key").count()), (Some(1), 1), "{said}");
    assert!(said.contains("giving up") && said.contains("0 of 2 maps uploaded") && !said.contains(ADMIN), "{said}");
}

#[test]
fn an_upload_that_finds_the_relay_busy_is_tried_again() {
    let relay = Backend::start();
    relay.next([
        Act::Answer(503, "retry-after: 0\r\n", "{}"),
        Act::HangUp,
        Act::Answer(429, "retry-after: 1\r\n", "{}"),
        Act::Answer(502, "", "{}"),
    ]);
    let (code, said) = upload_folder(&build(&["a.js", "b.js"]), &relay.url(), "/", ADMIN);
    assert_eq!(code, Some(0), "{said}");
    let received = relay.received();
    let files: Vec<_> = received.iter().map(|one| one.json()["file_url"].as_str().unwrap().to_owned()).collect();
    assert_eq!(files, ["/a.js", "/a.js", "/a.js", "/a.js", "/a.js", "/b.js"], "{said}");
}

#[test]
fn an_upload_follows_no_redirect() {
    let (relay, elsewhere) = (Backend::start(), Backend::start());
    let location: &'static str = format!("location: {}/\r\n", elsewhere.url()).leak();
    for status in [301, 307] {
        relay.next([Act::Answer(status, location, "")]);
        let (code, said) = upload_folder(&build(&["a.js", "b.js"]), &relay.url(), "/", ADMIN);
        assert_eq!(code, Some(1));
        assert!(said.contains(&elsewhere.url()) && said.contains("0 of 2 maps uploaded"), "{said}");
    }
    assert_eq!((relay.received().len(), elsewhere.received().len()), (2, 0));
}

#[test]
fn an_upload_to_nobody_ends() {
    let address = Backend::start().stop();
    let began = Instant::now();
    let (code, said) = upload_folder(&build(&["a.js", "b.js"]), &format!("http://{address}"), "/", ADMIN);
    assert_eq!(code, Some(1));
    assert!(said.contains("0 of 2 maps uploaded") && said.matches("/b.js").count() == 0, "{said}");
    assert!(began.elapsed() < Duration::from_secs(60));
}

/// As Next.js names its pages, and what browsers make of it.
#[test]
fn a_script_is_found_by_its_url_whose_path_is_percent_encoded() {
    let relay = start();
    let url = format!("http://{}", relay.address());
    let (code, said) = upload_folder(&build(&["pages/[id] ü.js"]), &url, "/", ADMIN);
    assert_eq!(code, Some(0), "{said}");
    let stack = "    at a (https://ex.com/pages/%5Bid%5D%20%C3%BC.js?v=1:1:11)\n    at b (/%zz.js:1:11)";
    assert_eq!(traceback(&relay, stack, Some("1.0")), "    at origFn (src/app.ts:10:5)\n    at b (/%zz.js:1:11)");
}
