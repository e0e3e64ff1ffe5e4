//! What browser-relay repeats: maps that the original stored are read, old maps go, and the file gives back the space.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use common::clock::Clock;
use common::service::Core;
use common::shutdown::Stop;
use common::timers;
use common::writer::{WriteError, Writer};
use rusqlite::Connection;

use crate::sourcemap::parse::SourceMap;
use crate::store::maps;

/// Once an hour, and at start: a slice is cheap, and a restart must not put retention off.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Maps deleted in one job: a few milliseconds each at their largest, so that events never wait long behind it.
const SLICE: usize = 2;

/// Starts the thread `retention`.
pub(crate) fn start(core: Arc<Core>, map_age_max: Duration) -> io::Result<JoinHandle<()>> {
    let (clock, stop) = (core.clock.clone(), core.stop.clone());
    timers::repeat("retention", EVERY, clock, stop, move |stop| {
        clean_up(&core.writer, &core.clock, map_age_max, stop)?;
        read_originals(&*core.database.reader().map_err(WriteError::Job)?, &core.writer, stop)
    })
}

fn clean_up(writer: &Writer, clock: &Clock, map_age_max: Duration, stop: &Stop) -> Result<(), WriteError> {
    let cutoff = clock.now().saturating_sub(map_age_max);
    let deleted = timers::in_slices(writer, stop, move |tx| maps::delete_uploaded_before(tx, cutoff, SLICE))?;
    if deleted > 0 {
        log::info!("retention: {deleted} source maps deleted");
    }
    timers::give_space_back(writer, stop)
}

/// Reads the maps that are still as the original stored them, each in a transaction of its own: where it is interrupted, the
/// next start goes on.
fn read_originals(reader: &Connection, writer: &Writer, stop: &Stop) -> Result<(), WriteError> {
    let mut count = 0;
    while !stop.is_stopped()
        && let Some(mut unread) = maps::next_unread(reader).map_err(WriteError::Job)?
    {
        count += 1;
        match SourceMap::parse(std::mem::take(&mut unread.text)) {
            Ok(map) => writer.call(move |tx| maps::store_read(tx, &unread, &map))?,
            Err(invalid) => {
                let problem = invalid.reason.unwrap_or(invalid.detail);
                log::warn!("source map {} of {} is kept, but cannot be used: {problem}", unread.id, unread.file_url);
                writer.call(move |tx| maps::store_problem(tx, unread.id, &problem))?;
            }
        }
    }
    if count > 0 {
        log::info!("{count} source maps of the original read");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use common::clock::Timestamp;
    use common::testing::TempDir;
    use common::writer::WriterThreads;
    use rusqlite::OpenFlags;

    use super::*;
    use crate::store;
    use crate::store::testing::{INSERT_ORIGINAL_MAP, original_database};

    const GOOD: &str = r#"{"version": 3, "sources": ["a.ts"], "names": [], "mappings": "AAAA"}"#;

    /// A connection for reading beside a writer, on the original's maps.
    fn start(contents: &[&str]) -> (TempDir, Connection, Writer, WriterThreads) {
        let folder = TempDir::new();
        let open = || {
            let path = folder.path().join("relay.db");
            Connection::open_with_flags(path, OpenFlags::default()).expect("a database")
        };
        let conn = open();
        original_database(&conn, |conn| {
            for (number, content) in contents.iter().enumerate() {
                let file_url = format!("https://ex.com/{number}.js");
                conn.execute(INSERT_ORIGINAL_MAP, [&file_url, *content]).expect("stored");
            }
        });
        let (writer, threads) = Writer::start(conn).expect("threads");
        let reader = open();
        (folder, reader, writer, threads)
    }

    #[test]
    fn maps_of_the_original_are_read_once() {
        let (_folder, reader, writer, threads) = start(&[GOOD, "{}", GOOD]);
        let rows = || maps::list(&reader, None, 0, 9).expect("maps");
        for _ in 0..2 {
            read_originals(&reader, &writer, &Stop::new()).expect("read");
            let problems: Vec<_> = rows().into_iter().map(|row| row.problem).collect();
            assert_eq!(problems, [None, Some("version: missing".to_owned()), None]);
        }
        assert_eq!(store::pieces::find(&reader, "web", "1", "https://other.example/2.js"), Ok(Some(3)));
        assert!(maps::next_unread(&reader).expect("a query").is_none());
        let later = Clock::fixed(Timestamp::parse("2100-01-01T00:00:00Z").expect("a time"));
        clean_up(&writer, &later, EVERY, &Stop::new()).expect("cleaned up");
        assert_eq!(rows(), []);
        threads.stop();
    }

    #[test]
    fn a_stop_puts_the_rest_off() {
        let (_folder, reader, writer, threads) = start(&[GOOD]);
        let stop = Stop::new();
        stop.stop();
        read_originals(&reader, &writer, &stop).expect("nothing");
        assert!(maps::next_unread(&reader).expect("a query").is_some());
        threads.stop();
    }
}
