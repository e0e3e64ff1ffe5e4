//! How much is kept: by number, by size, by age, and a share for each container.

use common::testing::database::read_only;
use common::testing::wait_for;
use serde_json::json;

use super::{Home, Viewer, start_in, start_with};

fn total(viewer: &Viewer) -> u64 {
    viewer.ask("/api/stats", &[])["total_logs"].as_u64().unwrap()
}

#[test]
fn the_oldest_go_and_a_quiet_container_keeps_its_share() {
    let viewer = start_with(&[("MAX_ENTRIES", "500"), ("MIN_ENTRIES_PER_CONTAINER", "20")]);
    let (mut quiet, mut noisy) = (viewer.docker().container("quiet"), viewer.docker().container("noisy"));
    for number in 0..30 {
        quiet.stdout(format!("quiet {number}"));
    }
    viewer.wait_for_message("quiet 29");
    for number in 0..3000 {
        noisy.stdout(format!("noisy {number}"));
    }
    viewer.wait_for_message("noisy 2999");
    wait_for("the oldest to go", || (total(&viewer) <= 500).then_some(()));
    let by_container = viewer.ask("/api/stats", &[])["by_container"].clone();
    assert!(by_container["quiet"].as_u64().unwrap() >= 20, "{by_container}");
    assert_eq!(viewer.logs(&[("container", "quiet"), ("limit", "1")])[0]["message"], "quiet 29");
    assert_eq!(viewer.logs(&[("search", "2999")]).len(), 1);
    assert_eq!(viewer.ask("/api/logs", &[("search", "\"noisy 5\"")])["total"], 0);
}

#[test]
fn the_file_stays_within_its_size() {
    const BYTES: i64 = 2 << 20;
    let viewer = start_with(&[("MAX_BYTES", "2097152"), ("MIN_ENTRIES_PER_CONTAINER", "0")]);
    let mut web = viewer.docker().container("web");
    let text = "words that differ ".repeat(10);
    // As SQLite has it: the file itself shrinks with the next checkpoint, which a quiet service does not need.
    let size = || {
        let pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        read_only(&viewer.home.database()).query_row(pages, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let mut number = 0;
    // More than fits, in as many stretches as retention has rounds.
    while number < 20_000 {
        for _ in 0..1_000 {
            web.stdout(format!("{number} {text}"));
            number += 1;
        }
        viewer.wait_for_message(&format!("{} {text}", number - 1));
        wait_for("a file within its size", || (size() <= BYTES + BYTES / 4).then_some(()));
    }
    assert!((100..20_000).contains(&total(&viewer)), "{}", total(&viewer));
    assert_eq!(viewer.ask("/api/logs", &[("search", "19999")])["total"], 1);
}

#[test]
fn what_is_too_old_goes() {
    let home = Home::new();
    let mut web = home.docker.container("web");
    web.raw(b"{\"log\":\"old\\n\",\"stream\":\"stdout\",\"time\":\"2025-01-01T00:00:00Z\"}\n");
    web.stdout("new");
    let viewer = start_in(home, &[("MAX_AGE_DAYS", "30"), ("MIN_ENTRIES_PER_CONTAINER", "0")]);
    viewer.wait_for_message("new");
    wait_for("the old one to go", || (total(&viewer) == 1).then_some(()));
    assert_eq!(viewer.ask("/api/stats", &[])["by_container"], json!({"web": 1}));
}
