//! `/metrics`: the service about itself.

use std::collections::HashMap;

use super::{Tracker, report, start, start_with};

/// All samples by name and labels. Checks the text format on the way: each family is declared once, before its samples.
fn samples(tracker: &Tracker) -> HashMap<String, f64> {
    let answer = tracker.client().get("/metrics");
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4");
    let page = answer.text();
    assert!(page.ends_with('\n'), "{page}");
    let (mut kinds, mut samples) = (HashMap::new(), HashMap::new());
    for line in page.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kinds.insert(name, kind).is_none(), "declared twice: {line}");
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let kind = kinds.get(family.filter(|family| kinds.contains_key(family)).unwrap_or(name));
            assert!(kind.is_some(), "not declared: {line}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{line}");
            assert!(samples.insert(sample.to_owned(), value.parse().unwrap()).is_none(), "given twice: {line}");
        }
    }
    samples
}

#[test]
fn the_text_parses_and_its_counters_move() {
    let tracker = start();
    let before = samples(&tracker);
    for _ in 0..3 {
        tracker.client().post_json("/api/errors", &report("a"));
    }
    tracker.client().get("/nowhere");
    tracker.service.client("wrong").get("/api/projects");
    let after = samples(&tracker);
    let moved = |sample: &str| (after[sample] - before.get(sample).unwrap_or(&0.0)) as i64;
    assert_eq!(moved(r#"monlight_http_requests_total{method="POST",route="/api/errors",status="201"}"#), 1);
    assert_eq!(moved(r#"monlight_http_requests_total{method="POST",route="/api/errors",status="200"}"#), 2);
    // Retention, which runs at start, writes too.
    assert!(moved("monlight_writer_batch_size_sum") >= 3);
    assert!(after["monlight_database_bytes"] > 0.0);
    for sample in after.keys().filter(|sample| sample.contains("_total")) {
        assert!(moved(sample) >= 0, "{sample}");
    }
}

#[test]
fn buckets_are_cumulative() {
    let tracker = start();
    tracker.client().post_json("/api/errors", &report("a"));
    let samples = samples(&tracker);
    let mut buckets: Vec<(f64, f64)> = samples
        .iter()
        .filter_map(|(name, value)| {
            let edge = name.strip_prefix("monlight_writer_batch_size_bucket{le=\"")?.strip_suffix("\"}")?;
            Some((edge.replace("+Inf", "inf").parse().unwrap(), *value))
        })
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(buckets.is_sorted_by_key(|bucket| bucket.1), "{buckets:?}");
    assert_eq!(buckets.last().copied(), Some((f64::INFINITY, samples["monlight_writer_batch_size_count"])));
}

#[test]
fn mails_are_counted_only_when_there_are_any() {
    let alerting = start_with(&[("SMTP_HOST", "localhost"), ("SMTP_PORT", "1"), ("ALERT_EMAILS", "a@example.com")]);
    assert_eq!(samples(&alerting)["monlight_alert_mails_sent_total"] as u64, 0);
    assert!(!samples(&start()).contains_key("monlight_alert_mails_sent_total"));
}
