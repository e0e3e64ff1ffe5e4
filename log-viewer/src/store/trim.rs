//! Keeps the file within its limits: the oldest entries go first, in small slices. The ring passes over the ids once, in
//! their order; what it spares then - the last entries of quiet containers - goes when such a container has said more.

use std::collections::BTreeMap;
use std::time::Duration;

use common::clock::Timestamp;
use common::db;
use rusqlite::{Connection, Row, params};

use super::{chapters, counts};
use crate::entry::LogTime;

/// How far the clock of a line may be ahead of ours. What comes from a later future would never be old enough to go.
const FUTURE: Duration = Duration::from_secs(24 * 60 * 60);
/// A quiet container may have this part more than its share before the surplus goes: finding it costs a look at all
/// that was spared.
const SURPLUS: i64 = 8;
/// The shares of all containers together may be this part of the ring.
const SPARED_PART: u64 = 2;

/// The ring uses free pages again: a chapter of words frees a tenth of the file at once.
const FREE_PART: u64 = 8;

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) entries_max: u64,
    /// So many of each container stay, however much the others write; less when there are very many containers.
    pub(crate) entries_per_container_min: u64,
    /// Size of the file.
    pub(crate) bytes_max: Option<u64>,
    pub(crate) age_max: Option<Duration>,
}

/// What a slice did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trimmed {
    pub(crate) deleted: usize,
    /// Another slice would do more.
    pub(crate) has_more: bool,
}

/// Does one slice of what the limits ask for: looks at no more than about `slice` entries of each kind.
pub(crate) fn trim(tx: &Connection, limits: &Limits, now: Timestamp, slice: usize) -> rusqlite::Result<Trimmed> {
    chapters::turn_page(tx, entries_expected(tx, limits)?)?;
    let mut ring = Ring::new(tx, limits, now, slice)?;
    ring.delete_old_spared()?;
    ring.delete_surplus()?;
    let is_at_end = ring.advance()?;
    if is_at_end && ring.excess > 0 && ring.is_over_bytes {
        ring.delete_spared()?;
    }
    let deleted = ring.deleted;
    let has_more = chapters::close_oldest(tx, slice)? || ring.has_more;
    Ok(Trimmed { deleted, has_more })
}

/// Gives up to `pages` free pages back to the file system, if the file has more than the ring will use again soon. Whether
/// there is more to give.
pub(crate) fn give_back(tx: &Connection, limits: &Limits, pages: u32) -> rusqlite::Result<bool> {
    let [all, free, page_bytes] = file_size(tx)?;
    let is_over = limits.bytes_max.is_some_and(|most| all * page_bytes > most);
    let kept = if is_over { 0 } else { all / FREE_PART };
    if free <= kept {
        return Ok(false);
    }
    let left = db::give_back_pages(tx, pages.min((free - kept) as u32))?;
    Ok(u64::from(left) > kept)
}

struct Ring<'c> {
    tx: &'c Connection,
    slice: usize,
    trimmed_to: i64,
    /// Entries by container.
    counts: BTreeMap<i64, i64>,
    /// What each container keeps.
    share: i64,
    /// How many entries are too many, as far as this slice goes.
    excess: i64,
    is_over_bytes: bool,
    /// Entries from before this time go.
    cutoff: Option<i64>,
    /// What is later than this is not to be believed.
    future: i64,
    deleted: usize,
    has_more: bool,
}

/// An entry as far as trimming needs it.
struct Candidate {
    id: i64,
    container: i64,
    level: i64,
    time: i64,
}

const CANDIDATE: &str = "SELECT id, container_id, level, time FROM entries";

impl<'c> Ring<'c> {
    fn new(tx: &'c Connection, limits: &Limits, now: Timestamp, slice: usize) -> rusqlite::Result<Self> {
        let counts = counts::by_container(tx)?;
        let total: i64 = counts.values().sum();
        let spared_max = limits.entries_max / SPARED_PART / (counts.len() as u64).max(1);
        let is_over_bytes =
            limits.bytes_max.map_or(Ok(false), |most| Ok::<_, rusqlite::Error>(used_bytes(tx)? > most))?;
        let over = total - limits.entries_max as i64;
        Ok(Self {
            tx,
            slice,
            trimmed_to: chapters::trimmed_to(tx)?,
            share: limits.entries_per_container_min.min(spared_max) as i64,
            excess: if is_over_bytes { over.max(slice as i64) } else { over },
            counts,
            is_over_bytes,
            cutoff: limits.age_max.map(|age| LogTime::from(now.saturating_sub(age)).nanos()),
            future: LogTime::from(now.saturating_add(FUTURE)).nanos(),
            deleted: 0,
            has_more: false,
        })
    }

    /// Spared ones that are too old. Age counts for all.
    fn delete_old_spared(&mut self) -> rusqlite::Result<()> {
        let Some(cutoff) = self.cutoff else { return Ok(()) };
        let old = self.candidates(
            &format!("{CANDIDATE} NOT INDEXED WHERE id <= ?1 AND time < ?2 ORDER BY id LIMIT ?3"),
            params![self.trimmed_to, cutoff, self.slice as i64],
        )?;
        self.delete_from_spared(&old)
    }

    /// Spared ones of containers that have said more since.
    fn delete_surplus(&mut self) -> rusqlite::Result<()> {
        if self.excess <= 0 {
            return Ok(());
        }
        let spared: Vec<(i64, i64)> = self
            .tx
            .prepare_cached("SELECT id, spared FROM containers WHERE spared > 0")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (container, spared) in spared {
            let surplus = self.counts.get(&container).map_or(0, |count| count - self.share);
            if surplus <= self.share / SURPLUS {
                continue;
            }
            let most = surplus.min(spared).min(self.slice as i64);
            let oldest = self.candidates(
                &format!("{CANDIDATE} NOT INDEXED WHERE id <= ?1 AND container_id = ?2 ORDER BY id LIMIT ?3"),
                params![self.trimmed_to, container, most],
            )?;
            self.delete_from_spared(&oldest)?;
        }
        Ok(())
    }

    /// Spared or not, the file is too large.
    fn delete_spared(&mut self) -> rusqlite::Result<()> {
        let oldest = self.candidates(
            &format!("{CANDIDATE} WHERE id <= ?1 ORDER BY id LIMIT ?2"),
            params![self.trimmed_to, self.slice as i64],
        )?;
        self.delete_from_spared(&oldest)
    }

    /// Passes over the next ids. Whether it came to the newest.
    fn advance(&mut self) -> rusqlite::Result<bool> {
        if self.excess <= 0 && self.cutoff.is_none() {
            return Ok(false);
        }
        let next = self.candidates(
            &format!("{CANDIDATE} WHERE id > ?1 ORDER BY id LIMIT ?2"),
            params![self.trimmed_to, self.slice as i64],
        )?;
        let (mut gone, mut spared, mut passed_to) = (Vec::new(), BTreeMap::<i64, i64>::new(), self.trimmed_to);
        let is_last = next.len() < self.slice;
        let mut has_stopped = false;
        for candidate in next {
            let count = self.counts.entry(candidate.container).or_default();
            let is_old = self.cutoff.is_some_and(|cutoff| candidate.time < cutoff || candidate.time > self.future);
            if !is_old && self.excess <= 0 {
                has_stopped = true;
                break;
            }
            passed_to = candidate.id;
            if is_old || *count > self.share {
                *count -= 1;
                self.excess -= 1;
                gone.push(candidate);
            } else {
                *spared.entry(candidate.container).or_default() += 1;
            }
        }
        self.delete(&gone)?;
        for (container, count) in spared {
            self.note_spared(container, count)?;
        }
        // An idle service writes nothing.
        if passed_to != self.trimmed_to {
            self.tx.prepare_cached("UPDATE ring SET trimmed_to = ?1")?.execute([passed_to])?;
            self.trimmed_to = passed_to;
        }
        self.has_more |= !has_stopped && !is_last;
        Ok(is_last && !has_stopped)
    }

    fn candidates(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<Vec<Candidate>> {
        self.tx.prepare_cached(sql)?.query_map(values, candidate)?.collect()
    }

    fn delete_from_spared(&mut self, entries: &[Candidate]) -> rusqlite::Result<()> {
        self.delete(entries)?;
        self.has_more |= entries.len() == self.slice;
        for entry in entries {
            self.excess -= 1;
            *self.counts.entry(entry.container).or_default() -= 1;
            self.note_spared(entry.container, -1)?;
        }
        Ok(())
    }

    fn note_spared(&self, container: i64, change: i64) -> rusqlite::Result<()> {
        let mut update = self.tx.prepare_cached("UPDATE containers SET spared = spared + ?2 WHERE id = ?1")?;
        update.execute([container, change]).map(drop)
    }

    fn delete(&mut self, entries: &[Candidate]) -> rusqlite::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut changes = BTreeMap::new();
        chapters::forget(self.tx, entries.iter().map(|entry| entry.id))?;
        let mut delete_entries = self.tx.prepare_cached("DELETE FROM entries WHERE id BETWEEN ?1 AND ?2")?;
        let mut delete_messages = self.tx.prepare_cached("DELETE FROM messages WHERE id BETWEEN ?1 AND ?2")?;
        // Mostly what goes lies side by side.
        for run in entries.chunk_by(|one, next| one.id + 1 == next.id) {
            let span = [run[0].id, run[run.len() - 1].id];
            delete_entries.execute(span)?;
            delete_messages.execute(span)?;
        }
        for entry in entries {
            *changes.entry(counts::Key::new(entry.container, entry.level, entry.time)).or_insert(0) -= 1;
        }
        self.deleted += entries.len();
        counts::add(self.tx, &changes)
    }
}

fn candidate(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    Ok(Candidate { id: row.get(0)?, container: row.get(1)?, level: row.get(2)?, time: row.get(3)? })
}

/// What of the file is in use; the rest is given back, or used again.
/// How many entries the limits leave room for, judged by what those that are there take. The index of a chapter is freed as
/// a whole, so its chapters must be small beside the file.
fn entries_expected(tx: &Connection, limits: &Limits) -> rusqlite::Result<u64> {
    let Some(most) = limits.bytes_max else { return Ok(limits.entries_max) };
    let entries = counts::by_container(tx)?.values().sum::<i64>().max(1) as u64;
    let fit = most.saturating_mul(entries) / used_bytes(tx)?.max(1);
    Ok(limits.entries_max.min(fit))
}

fn used_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    let [all, free, page_bytes] = file_size(conn)?;
    Ok((all - free) * page_bytes)
}

/// Pages, those of them that are free, and the size of one.
fn file_size(conn: &Connection) -> rusqlite::Result<[u64; 3]> {
    let pragma = |name: &str| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    Ok([pragma("page_count")? as u64, pragma("freelist_count")? as u64, pragma("page_size")? as u64])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::{Level, NewEntry};
    use crate::store::testing::{NOW, batch, database, entry, filter, limits, page, store, trim_all};
    use crate::store::{append, entries_between, max_id, stats};

    fn count(conn: &Connection, container: &str) -> usize {
        page(conn, &format!("container={container}&limit=500")).1 as usize
    }

    fn lines(count: usize) -> Vec<NewEntry> {
        (0..count).map(|number| entry(number as i64, Level::Info, &format!("line number {number}"))).collect()
    }

    #[test]
    fn the_oldest_go_first() {
        let conn = database();
        store(&conn, "web", &["one", "two", "three", "four"]);
        trim_all(&conn, &limits(2, 0), 10);
        assert_eq!(page(&conn, ""), (vec![4, 3], 2));
        assert_eq!(page(&conn, "search=one"), (vec![], 0));
        assert_eq!(page(&conn, "search=four"), (vec![4], 1));
        assert_eq!(trim(&conn, &limits(2, 0), NOW, 10).expect("nothing"), Trimmed { deleted: 0, has_more: false });
    }

    #[test]
    fn ids_are_never_given_twice() {
        let conn = database();
        store(&conn, "web", &["one", "two"]);
        let all_old = Limits { age_max: Some(Duration::ZERO), ..limits(100, 100) };
        trim(&conn, &all_old, NOW.saturating_add(Duration::from_secs(60)), 10).expect("trimmed");
        assert_eq!(page(&conn, ""), (vec![], 0));
        assert_eq!(stats(&conn).expect("stats").by_container, []);
        assert_eq!(max_id(&conn).expect("an id"), 2);
        store(&conn, "web", &["three"]);
        assert_eq!(page(&conn, "search=three"), (vec![3], 1));
    }

    #[test]
    fn a_noisy_container_does_not_evict_the_others() {
        let conn = database();
        store(&conn, "quiet", &["a quiet one", "another quiet one"]);
        for _ in 0..100 {
            append(&conn, &batch("noisy", lines(200)), NOW).expect("stored");
            trim_all(&conn, &limits(5000, 50), 300);
        }
        assert_eq!((count(&conn, "quiet"), count(&conn, "noisy")), (2, 4998));
        assert_eq!(page(&conn, "search=quiet"), (vec![2, 1], 2));
        // It says more, and its old words can go.
        append(&conn, &batch("quiet", lines(70)), NOW).expect("stored");
        trim_all(&conn, &limits(5000, 50), 300);
        assert_eq!((count(&conn, "quiet"), count(&conn, "noisy")), (70, 4930));
        assert_eq!(page(&conn, "search=quiet"), (vec![], 0));
        assert_eq!(page(&conn, "search=%22number+69%22&container=quiet").1, 1);
        check_integrity(&conn);
    }

    /// Its first id would then have been that of the next chapter.
    #[test]
    fn a_chapter_that_is_spared_to_its_last_id_is_closed() {
        let conn = database();
        append(&conn, &batch("quiet", lines(1000)), NOW).expect("stored");
        trim_all(&conn, &limits(8000, 4000), 100);
        append(&conn, &batch("noisy", lines(9000)), NOW).expect("stored");
        trim_all(&conn, &limits(8000, 4000), 100);
        assert_eq!((count(&conn, "quiet"), count(&conn, "noisy")), (1000, 7000));
        assert_eq!(page(&conn, "search=line&container=quiet").1, 1000);
        let begin: i64 = conn.query_row("SELECT min(first_id) FROM chapters", [], |row| row.get(0)).expect("a chapter");
        assert_eq!(begin, 1001);
        check_integrity(&conn);
    }

    #[test]
    fn many_quiet_containers_share_the_ring() {
        let conn = database();
        for number in 0..20 {
            append(&conn, &batch(&format!("c{number}"), lines(100)), NOW).expect("stored");
        }
        trim_all(&conn, &limits(1000, 1000), 64);
        assert_eq!(stats(&conn).expect("stats").total, 1000);
        assert!((0..20).all(|number| count(&conn, &format!("c{number}")) >= 25));
    }

    #[test]
    fn age_counts_for_all_and_clocks_ahead_do_not_block() {
        let conn = database();
        append(&conn, &batch("wrong", vec![entry(400 * 24 * 3600, Level::Info, "from the future")]), NOW)
            .expect("stored");
        append(&conn, &batch("web", lines(100)), NOW).expect("stored");
        let by_age = Limits { age_max: Some(Duration::from_secs(60)), ..limits(1000, 1000) };
        while trim(&conn, &by_age, NOW.saturating_add(Duration::from_secs(100)), 7).expect("trimmed").has_more {}
        // Those of the seconds 40 to 99.
        assert_eq!(page(&conn, "").1, 60);
    }

    #[test]
    fn the_file_stays_within_its_size() {
        let conn = database();
        conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM").expect("an empty file");
        let most = 2 << 20;
        let by_size = Limits { bytes_max: Some(most), ..limits(1_000_000, 100) };
        let empty = used_bytes(&conn).expect("a size");
        assert!(empty < 1 << 20, "{empty}");
        for _ in 0..20 {
            append(&conn, &batch("web", lines(2000)), NOW).expect("stored");
            trim_all(&conn, &by_size, 500);
            while give_back(&conn, &by_size, 100).expect("given back") {}
            let [all, _, page_bytes] = file_size(&conn).expect("a size");
            assert!(all * page_bytes <= most, "{all} pages");
        }
        assert!(count(&conn, "web") > 100);
    }

    #[track_caller]
    fn check_integrity(conn: &Connection) {
        let verdict: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
        assert_eq!(verdict, "ok");
        let tables: Vec<String> = conn
            .prepare("SELECT name FROM sqlite_schema WHERE name GLOB 'search_*' AND sql GLOB 'CREATE VIRTUAL*'")
            .expect("a query")
            .query_map([], |row| row.get(0))
            .expect("names")
            .collect::<Result<_, _>>()
            .expect("names");
        assert_eq!(tables.len(), 13);
        for table in tables {
            conn.execute(&format!("INSERT INTO {table} ({table}) VALUES ('integrity-check')"), []).expect(&table);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append { container: usize, entries: usize, level: usize, second: i64 },
        Trim { entries_max: u64, share: u64, slice: usize, by_age: bool },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..4usize, 0..700usize, 0..5usize, 0..20_000i64)
                .prop_map(|(container, entries, level, second)| Step::Append { container, entries, level, second }),
            2 => (1..3000u64, 0..300u64, 20..800usize, prop::bool::weighted(0.2))
                .prop_map(|(entries_max, share, slice, by_age)| Step::Trim { entries_max, share, slice, by_age }),
        ]
    }

    /// Every total, list and search says what a look at all rows says.
    #[track_caller]
    fn check_against_rows(conn: &Connection) {
        let all = entries_between(conn, &filter(""), 0, i64::MAX, usize::MAX).expect("entries").entries;
        let words = ["even", "odd", "\"number 7\""];
        let times = ["", "&since=2026-01-20T09:10:00Z", "&since=2026-01-20T10:20:00.5Z&until=2026-01-20T13:07:00Z"];
        for container in ["", "container=c1", "container=c3"] {
            for level in ["", "&level=error", "&level=%3E%3Dwarning"] {
                for time in times {
                    let plain = format!("{container}{level}{time}&limit=500");
                    let asked = filter(&plain);
                    let expected: Vec<_> = all.iter().filter(|entry| asked.matches(entry)).collect();
                    assert_eq!(page(conn, &plain).1, expected.len() as i64, "{plain}");
                    for (word, text) in words.into_iter().zip(["even", "odd", "number 7 "]) {
                        let has = |message: &str| message.split_once(text).is_some();
                        let mut ids: Vec<i64> =
                            expected.iter().filter(|entry| has(&entry.message)).map(|entry| entry.id).collect();
                        let total = ids.len() as i64;
                        ids.reverse();
                        ids.truncate(500);
                        assert_eq!(page(conn, &format!("{plain}&q={word}")), (ids, total), "{plain}&q={word}");
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn nothing_is_lost_or_counted_wrong(steps in prop::collection::vec(step(), 1..30)) {
            let conn = database();
            for step in steps {
                match step {
                    Step::Append { container, entries, level, second } => {
                        let text = |n: usize| format!("number {} is {}", n % 10, if n.is_multiple_of(2) { "even" } else { "odd" });
                        let entries = (0..entries).map(|n| entry(second + n as i64, Level::ALL[level], &text(n))).collect();
                        append(&conn, &batch(&format!("c{container}"), entries), NOW).expect("stored");
                    }
                    Step::Trim { entries_max, share, slice, by_age } => {
                        let age_max = by_age.then_some(Duration::from_secs(3600));
                        let limits = Limits { age_max, ..limits(entries_max, share) };
                        let now = NOW.saturating_add(Duration::from_secs(4000));
                        while trim(&conn, &limits, now, slice).expect("trimmed").has_more {}
                        let left = stats(&conn).expect("stats").total as u64;
                        prop_assert!(left <= entries_max, "{left} of {entries_max}");
                    }
                }
            }
            check_against_rows(&conn);
            check_integrity(&conn);
        }
    }
}
