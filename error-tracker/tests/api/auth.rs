//! Keys and rate limits.

use common::testing::Client;

use super::{KEY, start, start_with};

#[test]
fn keys() {
    let tracker = start();
    let bare = Client::new(tracker.address());
    let status = |client: &Client, path: &str| client.get(path).status;
    let with = |name: &str, value: &str| bare.clone().with_header(name, value);

    assert_eq!(status(&with("x-api-KEY", KEY), "/api/projects"), 200);
    assert_eq!(status(&bare, &format!("/api/projects?api_key={KEY}")), 200);
    assert_eq!(status(&with("Authorization", &format!("Bearer {KEY}")), "/api/projects"), 200);
    assert_eq!(status(&with("Authorization", &format!("bearer {KEY}")), "/metrics"), 200);

    for client in [&bare, &with("X-API-Key", "wrong"), &with("X-API-Key", ""), &with("Authorization", "Basic YTpi")] {
        let answer = client.get("/api/projects");
        assert_eq!((answer.status, answer.detail().as_str()), (401, "Invalid API key"));
    }
    // A wrong header is not rescued by a good query, nor by another header.
    assert_eq!(status(&with("X-API-Key", "wrong"), &format!("/api/projects?api_key={KEY}")), 401);
    assert_eq!(
        status(&with("X-API-Key", "wrong").with_header("Authorization", &format!("Bearer {KEY}")), "/metrics"),
        401
    );
    assert_eq!(status(&with("X-API-Key", "wrong").with_header("X-API-Key", KEY), "/metrics"), 401);
    assert_eq!(status(&with("X-API-Key", KEY).with_header("X-API-Key", "wrong"), "/metrics"), 200);
    for query in ["api_key=", "api_key", "api_key=wrong", "Api_Key=a-key-for-tests", "api_key=a-key-for-tests%00"] {
        assert_eq!(status(&bare, &format!("/metrics?{query}")), 401, "{query}");
    }
    assert_eq!(status(&bare, "/metrics?x=1&api_key=a%2Dkey-for-tests"), 200);
    // A proxy's Basic login is not ours; the key beside it counts.
    let proxied = with("Authorization", "Basic YTpi").with_header("X-API-Key", KEY);
    assert_eq!(status(&proxied, "/api/projects"), 200);
    // The key comes before everything else.
    for path in ["/nowhere", "/api/errors/1", "/metrics"] {
        assert_eq!(status(&bare, path), 401, "{path}");
    }
    assert_eq!(bare.send("DELETE", "/health", b"").unwrap().status, 401);
    assert_eq!(bare.post("/api/errors", vec![b'x'; 300_000]).status, 401);
}

#[test]
fn a_client_has_a_rate() {
    let tracker = start_with(&[("RATE_LIMIT", "3"), ("TRUST_PROXY", "true")]);
    let from = |address: &str| tracker.client().with_header("X-Forwarded-For", address);
    let client = from("spoofed, 192.0.2.1");
    for _ in 0..3 {
        assert_eq!(client.get("/api/projects").status, 200);
    }
    let answer = client.get("/api/projects");
    assert_eq!((answer.status, answer.detail().as_str()), (429, "Rate limit exceeded"));
    let seconds = answer.json()["retry_after"].as_u64().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(answer.headers["retry-after"], seconds.to_string());
    // Another client, and what is not counted.
    assert_eq!(from("192.0.2.2").get("/api/projects").status, 200);
    assert_eq!(client.get("/health").status, 200);
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn failed_keys_have_a_rate_of_their_own() {
    let tracker = start_with(&[("RATE_LIMIT", "3")]);
    let stranger = tracker.service.client("wrong");
    let statuses: Vec<u16> = (0..5).map(|_| stranger.get("/api/projects").status).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert_eq!(tracker.client().get("/api/projects").status, 200);
}

#[test]
fn failed_keys_count_by_who_is_connected_whatever_is_claimed() {
    let tracker = start_with(&[("RATE_LIMIT", "3"), ("TRUST_PROXY", "true")]);
    let guess = |number: usize| {
        let address = format!("192.0.2.{number}");
        tracker.service.client("wrong").with_header("X-Forwarded-For", &address).get("/api/projects").status
    };
    assert_eq!([1, 2, 3, 4, 5].map(guess), [401, 401, 401, 429, 429]);
    let known = tracker.client().with_header("X-Forwarded-For", "192.0.2.1");
    assert_eq!(known.get("/api/projects").status, 200);
}

#[test]
fn without_trust_the_forwarded_address_does_not_count() {
    let tracker = start_with(&[("RATE_LIMIT", "1")]);
    let from = |address: &str| tracker.client().with_header("X-Forwarded-For", address).get("/api/projects").status;
    assert_eq!((from("192.0.2.1"), from("192.0.2.2")), (200, 429));
}

#[test]
fn no_cache_keeps_an_answer() {
    let tracker = start();
    let (client, stranger) = (tracker.client(), Client::new(tracker.address()));
    for (client, path, status) in [
        (&client, "/api/errors", 200),
        (&client, "/metrics", 200),
        (&client, "/api/errors/7", 404),
        (&client, "/api/errors?since=x", 400),
        (&stranger, "/api/errors", 401),
    ] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.headers["cache-control"].as_str()), (status, "no-store"), "{path}");
    }
}
