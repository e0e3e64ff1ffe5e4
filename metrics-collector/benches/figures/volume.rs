//! What points, questions and memory cost the more points are stored.

use std::fmt::Write as _;

use common::clock::Clock;
use common::testing::figures::chart::{Chart, Line, Panel};
use common::testing::figures::load::SECONDS;
use common::testing::figures::{has_room, is_full, page, with_commas};
use common::testing::{Random, TempDir};

use super::questions::took;
use super::rollup::{KEPT, SERIES, fill, start, wait_for};
use super::{KEY, POINTS_PER_BATCH, send};

/// Points, one volume after the other, each in an hour before that of the last; the last ones with `VOLUME=full`.
const VOLUMES: [usize; 5] = [1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000];
const VOLUMES_DEFAULT: usize = 3;
/// In the database, with some room.
const BYTES_PER_POINT: f64 = 30.0;
/// Requests behind each figure.
const REQUESTS: usize = 40;
/// The newest hour that is filled is over, and its last minute closed.
const HOURS_AGO: i64 = 2;
const QUESTIONS: [&str; 4] =
    ["24 h of minutes, one series", "30 days of hours, all series", "30 days of hours, one series", "names"];

struct Step {
    points: usize,
    cpu_micros: f64,
    bytes_per_point: f64,
    rollup_seconds_per_million: f64,
    /// p50 of each question, ms.
    took: Vec<f64>,
    peak_megabytes: f64,
}

/// Writes the section.
pub(crate) fn measure() {
    let (folder, mut random) = (TempDir::new(), Random::new());
    assert!(start(&folder, KEPT).terminate().success());
    let this_hour = Clock::System.now().millis() / 3_600_000 * 3600;
    let mut steps: Vec<Step> = Vec::new();
    let volumes = VOLUMES.into_iter().take(if is_full() { VOLUMES.len() } else { VOLUMES_DEFAULT });
    for (number, points) in volumes.enumerate() {
        let new = points - steps.last().map_or(0, |step| step.points);
        if !has_room(new as f64 * BYTES_PER_POINT, &format!("{points} points")) {
            break;
        }
        let before = bytes(&folder);
        let hour = this_hour - (HOURS_AGO + number as i64) * 3600;
        (0..60).for_each(|minute| fill(&mut random, &folder, hour, minute..minute + 1, new / 60));
        let bytes_per_point = (bytes(&folder) - before) / new as f64;
        let service = start(&folder, KEPT);
        wait_for(&service, "monlight_rollup_minutes_total", 60.0);
        wait_for(&service, "monlight_rollup_hours_total", 1.0);
        let rollup = service.figure(KEY, "monlight_rollup_minutes_seconds_total");
        let took = paths(this_hour).iter().map(|path| took(&service, path, REQUESTS, 50)).collect();
        let cpu = service.cpu_seconds();
        let load = send(&service, "2000", 16, SECONDS);
        let sent = load.rate * POINTS_PER_BATCH * f64::from(SECONDS);
        let cpu_micros = (service.cpu_seconds() - cpu) * 1e6 / sent;
        let peak_megabytes = service.peak_memory() as f64 / 1e6;
        assert!(service.terminate().success());
        let rollup_seconds_per_million = rollup * 1e6 / new as f64;
        eprintln!("{points} points: {cpu_micros:.2} µs and {bytes_per_point:.1} bytes each, questions {took:.1?} ms");
        steps.push(Step { points, cpu_micros, bytes_per_point, rollup_seconds_per_million, took, peak_megabytes });
    }
    let note = format!(
        "One database that grows (up to 100,000,000 points with `VOLUME=full`): histograms in {SERIES} series, put into the file an hour at a \
         time and rolled up by the service; then each question, up to the last full hour, runs {REQUESTS} times (a new connection each; p50), and `wrk` sends batches of \
         100 points for {SECONDS} s. CPU is that of storing such a point, bytes are those of a single value on disk."
    );
    let chart = chart(&steps).write("metrics-collector-volume");
    page::write("metrics-collector-volume", &format!("{note}\n\n{}\n{chart}", rows(&steps)));
}

/// Of [`QUESTIONS`]. They end with the last full hour: in the open one lies what the step before has sent, a million single
/// values of a minute that is not over.
fn paths(this_hour: i64) -> [String; 4] {
    let metric = |days: i64, more: &str| {
        format!("/api/metrics?name=latency&from={}&to={this_hour}&{more}", this_hour - days * 86_400)
    };
    [metric(1, "labels=n:3"), metric(30, "agg=sum"), metric(30, "labels=n:3"), "/api/metrics/names".into()]
}

fn bytes(folder: &TempDir) -> f64 {
    std::fs::metadata(folder.path().join("metrics.db")).expect("the file").len() as f64
}

fn rows(steps: &[Step]) -> String {
    let names = QUESTIONS.map(|name| format!("{name}, ms")).join(" | ");
    let mut text = format!(
        "| points | CPU, µs | bytes | rollup, s per million | {names} | peak RSS, MB |\n|---|---|---|---|{}---|\n",
        "---|".repeat(QUESTIONS.len())
    );
    for step in steps {
        let took = step.took.iter().map(|took| format!("{took:.1}")).collect::<Vec<_>>().join(" | ");
        let _ = writeln!(
            text,
            "| {} | {:.2} | {:.1} | {:.2} | {took} | {:.1} |",
            with_commas(step.points as f64),
            step.cpu_micros,
            step.bytes_per_point,
            step.rollup_seconds_per_million,
            step.peak_megabytes
        );
    }
    text
}

fn chart(steps: &[Step]) -> Chart {
    let curve = |name: &str, value: &dyn Fn(&Step) -> f64| Line {
        name: name.into(),
        points: steps.iter().map(|step| (step.points as f64, value(step))).collect(),
    };
    let panel = |title: &str, lines| Panel { title: title.into(), x: "points stored".into(), lines };
    let names = ["minutes", "hours, all", "hours", "names"];
    let took = names.iter().enumerate().map(|(at, name)| curve(name, &|step| step.took[at])).collect();
    Chart {
        title: "metrics-collector: cost against points stored".into(),
        panels: vec![
            panel("a point's CPU, µs", vec![curve("", &|step| step.cpu_micros)]),
            panel("questions, p50, ms", took),
            panel("peak RSS, MB", vec![curve("", &|step| step.peak_megabytes)]),
        ],
    }
}
