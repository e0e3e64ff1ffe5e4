//! DSN keys: made, listed, deactivated, seeded.

use serde_json::json;

use super::{DSN, error, start, start_in};

#[test]
fn a_key_is_made_used_listed_and_deactivated() {
    let relay = start();
    let answer = relay.admin().post_json("/api/dsn-keys", &json!({"project": "a \"b\" ü"}));
    assert_eq!((answer.status, &answer.json()["project"]), (201, &json!("a \"b\" ü")));
    let key = answer.json()["public_key"].as_str().unwrap().to_owned();
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let page = relay.stranger().with_header("x-monlight-key", &key);
    assert_eq!(page.post_json("/api/browser/errors", &error("x")).status, 201);
    assert_eq!(relay.errors.received()[0].json()["project"], "a \"b\" ü");

    let keys = relay.admin().get("/api/dsn-keys").json()["keys"].clone();
    assert_eq!(
        (&keys[0]["public_key"], &keys[0]["project"], &keys[0]["active"]),
        (&json!(DSN), &json!("web"), &json!(true))
    );
    assert_eq!((&keys[1]["id"], &keys[1]["public_key"]), (&json!(2), &json!(key)));
    assert_eq!(keys[1]["created_at"].as_str().unwrap().len(), "2026-01-20T10:00:00Z".len());

    for _ in 0..2 {
        let answer = relay.admin().send("DELETE", "/api/dsn-keys/2", b"").unwrap();
        assert_eq!((answer.status, answer.json()), (200, json!({"status": "deactivated"})));
    }
    assert_eq!(page.post_json("/api/browser/errors", &error("x")).status, 401);
    assert_eq!(relay.admin().get("/api/dsn-keys").json()["keys"][1]["active"], false);
    let answer = relay.admin().send("DELETE", "/api/dsn-keys/9", b"").unwrap();
    assert_eq!((answer.status, answer.detail().as_str()), (404, "DSN key not found"));
}

#[test]
fn what_is_wrong_with_a_key_is_named() {
    let relay = start();
    let long = "x".repeat(101);
    for (body, detail) in [
        (String::new(), "Empty request body"),
        ("{".into(), "Invalid JSON"),
        ("{}".into(), "Missing required field: project"),
        (r#"{"project":""}"#.into(), "Field 'project' must be 1-100 characters"),
        (format!(r#"{{"project":"{long}"}}"#), "Field 'project' must be 1-100 characters"),
        (r#"{"project":"p","origins":"x"}"#.into(), "Field 'origins' must be an array of strings"),
    ] {
        let answer = relay.admin().post("/api/dsn-keys", &body);
        assert_eq!((answer.status, answer.detail().as_str()), (400, detail), "{body}");
    }
    let answer = relay.admin().post("/api/dsn-keys", r#"{"project":"p","origins":["example.com"]}"#);
    assert!(answer.status == 400 && answer.detail().starts_with("Field 'origins': expected an origin"));
    assert_eq!(relay.admin().get("/api/dsn-keys").json()["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn many_keys_are_listed_page_by_page() {
    let relay = start();
    for number in 0..1000 {
        assert_eq!(relay.admin().post_json("/api/dsn-keys", &json!({"project": format!("p{number}")})).status, 201);
    }
    let first = relay.admin().get("/api/dsn-keys").json();
    assert_eq!((first["keys"].as_array().unwrap().len(), &first["next"]), (1000, &json!(1000)));
    let last = relay.admin().get("/api/dsn-keys?after=1000").json();
    assert_eq!((last["keys"].as_array().unwrap().len(), last.get("next")), (1, None));
}

#[test]
fn seeds_are_made_once_and_stay_deactivated() {
    let relay = start();
    assert_eq!(relay.admin().send("DELETE", "/api/dsn-keys/1", b"").unwrap().status, 200);
    let super::Relay { service, folder, errors, metrics } = relay;
    service.terminate();
    let relay = start_in(folder, errors, metrics, &[]);
    let keys = relay.admin().get("/api/dsn-keys").json();
    assert_eq!((keys["keys"].as_array().unwrap().len(), &keys["keys"][0]["active"]), (1, &json!(false)));
    assert_eq!(relay.page().post_json("/api/browser/errors", &error("x")).status, 401);
}
