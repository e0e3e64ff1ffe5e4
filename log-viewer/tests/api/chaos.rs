//! Every line exactly once, in order and whole: under rotation, compression and `kill -9`; after a time in which nobody
//! read; and what is left when Docker deleted a file before anybody could read it.
//!
//! How lines are grouped into entries is not the matter here: a slow machine may pause in the middle of a trace. So all
//! messages of a stream, one after the other, have to be what was written to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::testing::database::{self, check_integrity};
use common::testing::{PATIENCE, Random};

use crate::driver::{Container, LogOptions, PIECE_BYTES, Stream};
use crate::{Home, Viewer, start_in};

/// All lines of each container and stream.
type Lines = BTreeMap<(String, String), Vec<String>>;

/// A program with a container, and what it has written so far.
struct Program {
    container: Container,
    random: Random,
    number: u32,
    written: Lines,
}

impl Program {
    fn new(container: Container, random: Random) -> Self {
        Self { container, random, number: 0, written: Lines::new() }
    }

    fn write(&mut self, stream: Stream, line: String) {
        self.container.line(stream, &line);
        let key = (self.container.name().to_owned(), stream.name().to_owned());
        self.written.entry(key).or_default().push(line);
    }

    /// One thing a program says: mostly a line, now and then a trace or a very long line.
    fn say_something(&mut self) {
        let stream = Stream::BOTH[self.random.below(2)];
        let number = self.number;
        self.number += 1;
        match self.random.below(50) {
            0 => trace(number).into_iter().for_each(|line| self.write(stream, line)),
            1 => {
                let length = PIECE_BYTES - 20 + self.random.below(2 * PIECE_BYTES);
                self.write(stream, format!("{number:06} long {}", "y".repeat(length)));
            }
            _ => {
                let filler = "x".repeat(self.random.below(150));
                self.write(stream, format!("{number:06} <tag> \"quoted\" \t{filler}"));
            }
        }
    }

    /// Until told to stop, at about a thousand lines a second; silent when Docker would delete the first of them.
    fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let most = if self.container.is_full() { 0 } else { self.random.below(10) };
            for _ in 0..most {
                self.say_something();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn trace(number: u32) -> Vec<String> {
    let text = format!(
        "{number:06} java.lang.IllegalStateException: no order\n\tat com.example.Shop.pay(Shop.java:12)\n\t\
         at com.example.Shop.main(Shop.java:4)\nCaused by: java.io.IOException: closed\n\tat com.example.Net.read(Net.java:7)"
    );
    text.lines().map(str::to_owned).collect()
}

/// The lines that are stored, each stream in the order of arrival.
fn stored(database: &Path) -> Lines {
    let conn = database::read_only(database);
    let mut statement = conn.prepare("SELECT container, stream, message FROM log_entries ORDER BY id").unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut lines = Lines::new();
    while let Some(row) = rows.next().unwrap() {
        let message: String = row.get(2).unwrap();
        lines
            .entry((row.get(0).unwrap(), row.get(1).unwrap()))
            .or_default()
            .extend(message.split('\n').map(str::to_owned));
    }
    lines
}

fn count(lines: &Lines) -> usize {
    lines.values().map(Vec::len).sum()
}

/// Waits until everything is stored, and compares it.
#[track_caller]
fn check_stored(viewer: &Viewer, written: &Lines) {
    let deadline = Instant::now() + 2 * PATIENCE;
    let mut found = stored(&viewer.home.database());
    while count(&found) < count(written) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
        found = stored(&viewer.home.database());
    }
    assert_same(&found, written, viewer);
}

/// Says where it differs, for whole streams are too long to read.
#[track_caller]
fn assert_same(found: &Lines, written: &Lines, viewer: &Viewer) {
    let keys = |lines: &Lines| lines.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(found), keys(written), "{}", viewer.log().join("\n"));
    if let Some((key, written)) = written.iter().find(|(key, written)| found[*key] != **written) {
        let found = &found[key];
        let same = found.iter().zip(written).take_while(|(found, written)| found == written).count();
        let short = |lines: &[String]| {
            let lines = &lines[same.saturating_sub(2).min(lines.len())..(same + 4).min(lines.len())];
            lines.iter().map(|line| format!("{:.40} ({} bytes)", line, line.len())).collect::<Vec<_>>()
        };
        let lost: Vec<_> =
            written.iter().filter(|line| !found.contains(line)).map(|line| &line[..6.min(line.len())]).collect();
        panic!(
            "{key:?}: {} lines of {}; lost {lost:?}; the first difference at {same}:\nstored  {:#?}\nwritten {:#?}\n{}",
            found.len(),
            written.len(),
            short(found),
            short(written),
            viewer.log().join("\n")
        );
    }
}

/// Waits until the logs are being followed: from one that was written to before it was seen only the end is read.
#[track_caller]
fn begin(viewer: &Viewer, programs: &mut [Program]) {
    for program in programs.iter_mut() {
        program.write(Stream::Stdout, "it begins".into());
    }
    check_stored(viewer, &programs.iter().flat_map(|program| program.written.clone()).collect());
}

/// Everything that was ever written is in the file, and the file is sound.
#[track_caller]
fn check_everything(viewer: Viewer, programs: &[Program]) {
    let written: Lines = programs.iter().flat_map(|program| program.written.clone()).collect();
    eprintln!("{} lines were written", count(&written));
    check_stored(&viewer, &written);
    check_integrity(&viewer.stop().database());
}

/// Three programs: no rotation, rotation, rotation with compression. The files are enough for the time of any restart.
fn programs(home: &Home, random: &mut Random) -> Vec<Program> {
    let options =
        [LogOptions::default(), LogOptions::rotated(60_000, 200, false), LogOptions::rotated(50_000, 250, true)];
    let start = |(number, options): (usize, LogOptions)| {
        let container = home.docker.container_with(&format!("shop_{number}"), options);
        Program::new(container, random.fork())
    };
    options.into_iter().enumerate().map(start).collect()
}

#[test]
fn every_line_is_stored_exactly_once_under_kill_and_rotation() {
    const KILLS: usize = 8;
    let mut random = Random::new();
    let home = Home::new();
    let mut programs = programs(&home, &mut random);
    let viewer = start_in(home, &[("MAX_ENTRIES", "1000000")]);
    begin(&viewer, &mut programs);
    let stop = AtomicBool::new(false);
    let viewer = thread::scope(|scope| {
        let running: Vec<_> = programs.iter_mut().map(|program| scope.spawn(|| program.run(&stop))).collect();
        let mut viewer = viewer;
        for _ in 0..KILLS {
            thread::sleep(Duration::from_millis(100 + random.below(1500) as u64));
            viewer = start_in(viewer.kill(), &[("MAX_ENTRIES", "1000000")]);
        }
        stop.store(true, Ordering::Relaxed);
        for program in running {
            program.join().unwrap();
        }
        viewer
    });
    assert!(programs.iter().all(|program| program.container.deleted == 0), "the test itself lost something");
    check_everything(viewer, &programs);
}

#[test]
fn what_was_rotated_while_nobody_read_is_read_later() {
    for compress in [false, true] {
        let mut random = Random::new();
        let home = Home::new();
        let container = home.docker.container_with("shop", LogOptions::rotated(20_000, 10, compress));
        let mut program = Program::new(container, random.fork());
        let viewer = start_in(home, &[]);
        begin(&viewer, std::slice::from_mut(&mut program));
        for _ in 0..50 {
            program.say_something();
        }
        check_stored(&viewer, &program.written);
        let home = viewer.stop();
        while !program.container.old_path(6, compress).exists() {
            program.say_something();
        }
        program.container.wait_for_compression();
        assert_eq!(program.container.deleted, 0);
        check_everything(start_in(home, &[]), &[program]);
    }
}

/// The cursor's file is gone: what Docker deleted is lost, what is there is not, and somebody is told.
#[test]
fn a_file_that_was_deleted_unread_is_counted_and_the_rest_is_stored() {
    for compress in [false, true] {
        let home = Home::new();
        let mut container = home.docker.container_with("shop", LogOptions::rotated(5_000, 4, compress));
        container.stdout("read in time");
        let viewer = start_in(home, &[]);
        viewer.wait_for_entries(1);
        let home = viewer.stop();
        let written: Vec<_> = (0..400).map(|number| format!("line {number}")).collect();
        for line in &written {
            container.stdout(line);
        }
        container.wait_for_compression();
        assert!(container.deleted > 0);

        let viewer = start_in(home, &[]);
        viewer.wait_for_message("line 399");
        let found = stored(&viewer.home.database()).remove(&("shop".into(), "stdout".into())).unwrap();
        let (first, left) = found.split_first().unwrap();
        assert_eq!(first, "read in time");
        assert!(written.ends_with(left), "{left:#?}");
        // Three old files and the current one.
        assert!(left.len() > 140, "{} lines were left", left.len());
        viewer.wait_for_log(&["shop", "missing"]);
        assert_eq!(gaps(&viewer), 1);
        check_integrity(&viewer.stop().database());
    }
}

/// How often lines were lost, from the service's own figures.
#[track_caller]
fn gaps(viewer: &Viewer) -> u64 {
    let page = viewer.client().get("/metrics").text();
    let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
    let line = page.lines().find(|line| !line.starts_with('#') && line.contains("gap"));
    line.and_then(value).unwrap_or_else(|| panic!("no gaps in {page}")) as u64
}
