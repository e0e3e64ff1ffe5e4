//! Everything at once: containers that write, people who watch, people who search.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::clock::Clock;
use common::testing::docker_logs::{Logs, line, record};
use common::testing::figures::chart::{Chart, Line, Panel};
use common::testing::figures::{Table, page, percentile, with_commas};
use common::testing::{Client, Connection, PATIENCE, Service, TempDir};

use super::{CONTAINERS, ENTRIES_DEFAULT, KEY, binary, start, wait_for_entries};

/// Lines per second, one after the other.
const RATES: [usize; 6] = [500, 1_000, 2_000, 5_000, 10_000, 20_000];
/// The one whose delays have a goal: a busy application on one machine.
const RATE_OF_GOAL: usize = 1_000;
/// Of each rate.
const SECONDS: usize = 8;
/// As often as that something is written.
const TURNS_PER_SECOND: usize = 100;
/// Of five that are allowed at a time: two without a filter, which get everything.
const TAILS: [&str; 4] = ["", "", "?level=>=WARNING", "?search=timeout"];
const SEARCHERS: usize = 2;
const SEARCHES: [&str; 4] = ["search=timeout", "search=quokka", "level=WARNING&container=shop_service_6", ""];
/// More than all rates together write.
const ENTRIES_MAX: usize = 1_000_000;

/// Writes the section.
pub(crate) fn measure() {
    let (folder, logs) = (TempDir::new(), Logs::empty(CONTAINERS));
    logs.write(0..ENTRIES_DEFAULT);
    let service = start(&binary(), &folder, logs.folder(), ENTRIES_MAX);
    wait_for_entries(&service, ENTRIES_DEFAULT);
    assert!(service.terminate().success());
    let steps: Vec<Step> = RATES.iter().map(|rate| Step::measure(*rate, &folder, &logs)).collect();
    let mut table = Table::default();
    let step = steps.iter().find(|step| step.rate == RATE_OF_GOAL).expect("it is among them");
    let what =
        format!("from a write to a tail's event, p99, {} lines/s and all else", with_commas(RATE_OF_GOAL as f64));
    table.add(&what, "under 100 ms", format!("{:.0} ms", step.tail_p99), step.tail_p99 < 100.0);
    let off: usize = steps.iter().map(|step| step.lost).sum();
    table.add("lines lost or doubled, at all rates", "0", off.to_string(), off == 0);
    let peak = steps.iter().map(|step| step.peak_megabytes).fold(0.0, f64::max);
    table.add("peak RSS, at all rates", "under 15 MB", format!("{peak:.1} MB"), peak < 15.0);
    let note = format!(
        "{CONTAINERS} containers write, {} people watch live ({} of them everything), {SEARCHERS} search without a pause, all on this machine \
         and all at once, for {SECONDS} s at each rate; {} entries were there before. Behind is how long it took after the last \
         line until all were stored; a tail that is too slow is told so and closed.",
        TAILS.len(),
        TAILS.iter().filter(|tail| tail.is_empty()).count(),
        with_commas(ENTRIES_DEFAULT as f64)
    );
    let text = format!("{note}\n\n{}\n{}\n{}", table.render(), rows(&steps), chart(&steps).write("log-viewer-mixed"));
    page::write("log-viewer-mixed", &text);
}

fn rows(steps: &[Step]) -> String {
    let mut text = "| lines/s | write to tail, p50 ms | p99 ms | search, p50 ms | p99 ms | searches/s | peak RSS, MB | CPU, % of one core | behind, ms | tails closed |\n\
                    |---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for step in steps {
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.1} | {:.1} | {:.0} | {:.1} | {:.0} | {:.0} | {} |",
            with_commas(step.rate as f64),
            step.tail_p50,
            step.tail_p99,
            step.search_p50,
            step.search_p99,
            step.searches_per_second,
            step.peak_megabytes,
            step.cpu_percent,
            step.behind_millis,
            step.tails_closed
        );
    }
    text
}

fn chart(steps: &[Step]) -> Chart {
    let curve = |name: &str, value: fn(&Step) -> f64| Line {
        name: name.into(),
        points: steps.iter().map(|step| (step.rate as f64, value(step))).collect(),
    };
    let panel = |title: &str, lines| Panel { title: title.into(), x: "lines per second".into(), lines };
    Chart {
        title: "log-viewer: writes, live tails and searches at once, against lines per second".into(),
        panels: vec![
            panel(
                "from a write to a tail's event, ms",
                vec![curve("p99", |step| step.tail_p99), curve("p50", |step| step.tail_p50)],
            ),
            panel("search, ms", vec![curve("p99", |step| step.search_p99), curve("p50", |step| step.search_p50)]),
            panel("peak RSS, MB", vec![curve("", |step| step.peak_megabytes)]),
        ],
    }
}

struct Step {
    rate: usize,
    tail_p50: f64,
    tail_p99: f64,
    tails_closed: usize,
    search_p50: f64,
    search_p99: f64,
    searches_per_second: f64,
    behind_millis: f64,
    cpu_percent: f64,
    peak_megabytes: f64,
    lost: usize,
}

impl Step {
    fn measure(rate: usize, folder: &TempDir, logs: &Logs) -> Self {
        let service = start(&binary(), folder, logs.folder(), ENTRIES_MAX);
        let before = stored(&service);
        let (is_over, seen) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; TAILS.len()]);
        let (began, cpu) = (Instant::now(), service.cpu_seconds());
        thread::scope(|scope| {
            let tails = std::array::from_fn::<_, { TAILS.len() }, _>(|number| {
                let (connection, seen) = (watch(&service, TAILS[number]), &seen[number]);
                scope.spawn(move || read_tail(connection, began, seen))
            });
            let searchers = [(); SEARCHERS].map(|()| {
                let (client, is_over) = (service.client(KEY), &is_over);
                scope.spawn(move || search(&client, is_over))
            });
            let written = generate(logs, rate, began);
            let end = Instant::now();
            wait_for_entries(&service, written);
            let behind_millis = end.elapsed().as_secs_f64() * 1e3;
            is_over.store(true, Ordering::Relaxed);
            let seconds = began.elapsed().as_secs_f64();
            let cpu_percent = 100.0 * (service.cpu_seconds() - cpu) / seconds;
            let mut waits: Vec<f64> =
                searchers.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect();
            let mut lost = (before + written).abs_diff(stored(&service));
            wait_for_tails(&seen, written);
            let peak_megabytes = service.peak_memory() as f64 / 1e6;
            // The tails end with it.
            assert!(service.terminate().success());
            let tails = tails.map(|thread| thread.join().expect("it ends"));
            let tails_closed = tails.iter().filter(|tail| tail.is_too_slow).count();
            for (tail, _) in tails.iter().zip(TAILS).filter(|(tail, query)| query.is_empty() && !tail.is_too_slow) {
                lost += tail.delays.len().abs_diff(written);
            }
            let mut delays: Vec<f64> = tails.into_iter().flat_map(|tail| tail.delays).collect();
            let step = Self {
                rate,
                tail_p50: percentile(&mut delays, 50),
                tail_p99: percentile(&mut delays, 99),
                tails_closed,
                search_p50: percentile(&mut waits, 50),
                search_p99: percentile(&mut waits, 99),
                searches_per_second: waits.len() as f64 / seconds,
                behind_millis,
                cpu_percent,
                peak_megabytes,
                lost,
            };
            eprintln!("{rate} lines/s: tails p99 {:.0} ms, searches p99 {:.1} ms", step.tail_p99, step.search_p99);
            step
        })
    }
}

/// Until those without a filter have got everything or have ended, or nothing more can be expected.
fn wait_for_tails(seen: &[AtomicUsize], written: usize) {
    let deadline = Instant::now() + PATIENCE;
    let is_missing =
        || seen.iter().zip(TAILS).any(|(seen, query)| query.is_empty() && seen.load(Ordering::Relaxed) < written);
    while is_missing() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
}

fn stored(service: &Service) -> usize {
    service.client(KEY).get("/api/stats").json()["total_logs"].as_u64().expect("a total") as usize
}

/// Lines with the microseconds since `began`, spread over the containers; how many.
fn generate(logs: &Logs, rate: usize, began: Instant) -> usize {
    let mut files: Vec<_> = (0..CONTAINERS).map(|number| logs.append(number)).collect();
    let (per_turn, start) = (rate / TURNS_PER_SECOND, Instant::now());
    for turn in 0..SECONDS * TURNS_PER_SECOND {
        let due = start + Duration::from_secs(1) * turn as u32 / TURNS_PER_SECOND as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let time = Clock::System.now().with_millis().replace('Z', "012345Z");
        let mut texts = vec![String::new(); CONTAINERS];
        for number in turn * per_turn..(turn + 1) * per_turn {
            let line = format!("{} at={}us", line(number), began.elapsed().as_micros());
            texts[number % CONTAINERS].push_str(&record(&line, &time));
        }
        for (file, text) in files.iter_mut().zip(&texts) {
            file.write_all(text.as_bytes()).expect("written");
        }
    }
    SECONDS * TURNS_PER_SECOND * per_turn
}

fn watch(service: &Service, query: &str) -> Connection {
    let mut connection = Connection::open(service.address()).expect("a connection");
    let request = service.client(KEY).request("GET", &format!("/api/logs/tail{query}"), b"");
    connection.write(&request).expect("a request");
    assert_eq!(connection.read_head().expect("an answer").status, 200);
    connection
}

struct Tail {
    /// From write to event, ms.
    delays: Vec<f64>,
    is_too_slow: bool,
}

/// Reads to the end of the stream; `seen` is how many events there were, or all when it has ended.
fn read_tail(mut connection: Connection, began: Instant, seen: &AtomicUsize) -> Tail {
    let (mut tail, mut rest) = (Tail { delays: Vec::new(), is_too_slow: false }, String::new());
    while let Ok(Some(chunk)) = connection.read_chunk() {
        let now = began.elapsed().as_micros() as f64;
        rest.push_str(&String::from_utf8_lossy(&chunk));
        let whole = rest.rfind("\n\n").map_or(0, |end| end + 2);
        for event in rest[..whole].split("\n\n") {
            tail.is_too_slow |= event.contains("too_slow");
            let written = event.rsplit(" at=").next().and_then(|end| end.split_once("us")?.0.parse::<f64>().ok());
            tail.delays.extend(written.map(|written| (now - written) / 1e3));
        }
        rest.drain(..whole);
        seen.store(tail.delays.len(), Ordering::Relaxed);
    }
    seen.store(usize::MAX, Ordering::Relaxed);
    tail
}

/// One search after the other, each over a connection of its own, ms.
fn search(client: &Client, is_over: &AtomicBool) -> Vec<f64> {
    let mut took = Vec::new();
    for query in SEARCHES.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        let answer = client.get(&format!("/api/logs?limit=100&{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    took
}
