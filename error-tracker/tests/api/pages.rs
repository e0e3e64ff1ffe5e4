//! The page for people, at its addresses.

use common::testing::Client;

use super::start_with;

#[test]
fn the_page_needs_no_key_and_counts_for_no_rate() {
    let tracker = start_with(&[("RATE_LIMIT", "1")]);
    let client = Client::new(tracker.address());
    for path in ["/", "/index.html", "/errors/1", "/?project=x", "/errors/9223372036854775807?a=b"] {
        let page = client.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        assert!(page.headers["content-security-policy"].contains("default-src 'none'"), "{path}");
        // The deployment's smoke test looks for both.
        assert!(page.text().contains("<html") && page.text().contains("class="), "{path}");
    }
    for path in ["/errors/abc", "/errors/0", "/errors/", "/errors/1/x", "/index.htm"] {
        assert_ne!(client.get(path).status, 200, "{path}");
    }
}
