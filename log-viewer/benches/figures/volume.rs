//! What entries, searches and memory cost the more is stored.

use std::fmt::Write as _;
use std::path::Path;

use common::testing::TempDir;
use common::testing::docker_logs::{Logs, line_time};
use common::testing::figures::chart::{Chart, Line, Panel};
use common::testing::figures::{has_room, is_full, page, with_commas};

use super::{CONTAINERS, KEY, binary, list_time, start, wait_for_entries};

/// Entries, one volume after the other; the last ones with `VOLUME=full`.
const VOLUMES: [usize; 7] = [10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000];
const VOLUMES_DEFAULT: usize = 5;
/// Of a line in Docker's log and in the database, with some room.
const BYTES_PER_ENTRY: f64 = 650.0;
/// Requests behind each figure.
const REQUESTS: usize = 40;

struct Step {
    entries: usize,
    cpu_micros: f64,
    bytes_per_entry: f64,
    /// p50 of each of [`searches`], ms.
    took: Vec<f64>,
    peak_megabytes: f64,
}

/// Writes the section.
pub(crate) fn measure() {
    let (folder, logs) = (TempDir::new(), Logs::empty(CONTAINERS));
    let most = VOLUMES[VOLUMES.len() - 1];
    let service = start(&binary(), &folder, logs.folder(), 2 * most);
    let client = service.client(KEY);
    let mut steps: Vec<Step> = Vec::new();
    for entries in VOLUMES.into_iter().take(if is_full() { VOLUMES.len() } else { VOLUMES_DEFAULT }) {
        let earlier = steps.last().map_or(0, |step| step.entries);
        if !has_room((entries - earlier) as f64 * BYTES_PER_ENTRY, &format!("{entries} entries")) {
            break;
        }
        let cpu = service.cpu_seconds();
        // In pieces, so that waiting for each has an end that can be told.
        for piece in (earlier..entries).step_by(1_000_000) {
            let end = entries.min(piece + 1_000_000);
            logs.write(piece..end);
            wait_for_entries(&service, end);
        }
        let cpu_micros = (service.cpu_seconds() - cpu) * 1e6 / (entries - earlier) as f64;
        let took = searches(entries)
            .iter()
            .map(|(_, query)| list_time(&client, &format!("/api/logs?{query}&limit=100"), 1, REQUESTS).0)
            .collect();
        let bytes_per_entry = bytes(folder.path()) / entries as f64;
        let peak_megabytes = service.peak_memory() as f64 / 1e6;
        eprintln!("{entries} entries: {cpu_micros:.1} µs and {bytes_per_entry:.0} bytes each, searches {took:.1?} ms");
        steps.push(Step { entries, cpu_micros, bytes_per_entry, took, peak_megabytes });
    }
    let note = format!(
        "One database that grows (`make bench`, up to 10,000,000 entries with `VOLUME=full`): lines are written to {CONTAINERS} containers' logs and \
         read at once, then each search runs {REQUESTS} times (first 100 entries with the total, a new connection each; p50). \
         CPU and bytes are those of a line, index and write-ahead log included."
    );
    page::write(
        "log-viewer-volume",
        &format!("{note}\n\n{}\n{}", rows(&steps), chart(&steps).write("log-viewer-volume")),
    );
}

/// Names and queries. The time is that of the first tenth.
fn searches(entries: usize) -> [(&'static str, String); 5] {
    let filter = format!("container=shop_service_6&level=WARNING&until={}", line_time(entries / 10));
    [
        ("phrase", "search=%22payment+gateway%22".into()),
        ("common word", "search=timeout".into()),
        ("rare word", "search=quokka".into()),
        ("filter", filter),
        ("newest", String::new()),
    ]
}

/// The database and what belongs to it.
fn bytes(folder: &Path) -> f64 {
    let files =
        ["logs.db", "logs.db-wal"].map(|name| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len()));
    files.iter().sum::<u64>() as f64
}

fn rows(steps: &[Step]) -> String {
    let names = searches(0).map(|(name, _)| format!("{name}, ms")).join(" | ");
    let mut text = format!(
        "| entries | CPU, µs | bytes | {names} | peak RSS, MB |\n|---|---|---|{}---|\n",
        "---|".repeat(searches(0).len())
    );
    for step in steps {
        let took = step.took.iter().map(|took| format!("{took:.1}")).collect::<Vec<_>>().join(" | ");
        let _ = writeln!(
            text,
            "| {} | {:.1} | {:.0} | {took} | {:.1} |",
            with_commas(step.entries as f64),
            step.cpu_micros,
            step.bytes_per_entry,
            step.peak_megabytes
        );
    }
    text
}

fn chart(steps: &[Step]) -> Chart {
    let curve = |name: &str, value: &dyn Fn(&Step) -> f64| Line {
        name: name.into(),
        points: steps.iter().map(|step| (step.entries as f64, value(step))).collect(),
    };
    let panel = |title: &str, lines| Panel { title: title.into(), x: "entries stored".into(), lines };
    let took = searches(0).iter().enumerate().map(|(at, (name, _))| curve(name, &|step| step.took[at])).collect();
    Chart {
        title: "log-viewer: cost against entries stored".into(),
        panels: vec![
            panel("a line's CPU, µs", vec![curve("", &|step| step.cpu_micros)]),
            panel("search, p50, ms", took),
            panel("peak RSS, MB", vec![curve("", &|step| step.peak_megabytes)]),
        ],
    }
}
