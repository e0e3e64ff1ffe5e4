//! `/api/projects`.

use serde_json::json;

use super::{report, start};

#[test]
fn names_are_distinct_and_ascending_and_those_of_resolved_errors_stay() {
    let tracker = start();
    let client = tracker.client();
    let projects = || client.get("/api/projects?any=query").json()["projects"].clone();
    assert_eq!(projects(), json!([]));
    for (number, name) in ["shop", "", "Shop", "a b", "shop", "\u{e9}", "nul\0"].iter().enumerate() {
        let mut report = report(&format!("n{number}"));
        report["project"] = (*name).into();
        assert_eq!(client.post_json("/api/errors", &report).status, 201);
    }
    assert_eq!(client.post("/api/errors/4/resolve", "").status, 200);
    assert_eq!(projects(), json!(["", "Shop", "a b", "nul\0", "shop", "\u{e9}"]));
}
