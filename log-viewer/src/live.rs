//! Live tails: what was just stored, on its way to those who watch.
//!
//! All tails share one bounded ring of the newest entries, and wait until something is added to it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::entry::Entry;
use crate::store::Batch;

/// Tails at a time; the contract's limit.
pub(crate) const TAILS_MAX: usize = 5;
/// What the ring may hold: some seconds of a busy server.
const RING_BYTES_MAX: usize = 1 << 20;
const RING_ENTRIES_MAX: usize = 4000;
/// What one tail takes at a time.
const TAKE_MAX: usize = 200;

/// Where stored entries are published.
#[derive(Default)]
pub(crate) struct Live {
    ring: Mutex<Ring>,
    changed: Condvar,
    tails: AtomicUsize,
}

#[derive(Default)]
struct Ring {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// The newest id that was published, kept in the ring or not.
    last_id: i64,
    is_closed: bool,
}

/// What has happened after an id.
pub(crate) enum News {
    /// These, and perhaps more.
    Entries(Vec<Arc<Entry>>),
    /// More than the ring holds: the rest is in the database.
    Behind,
    /// Nothing yet.
    Nothing,
    /// The service stops.
    Closed,
}

/// The place of one tail; free again when dropped.
pub(crate) struct Seat(Arc<Live>);

impl Live {
    /// `last_id` is the newest stored entry's.
    pub(crate) fn new(last_id: i64) -> Self {
        Self { ring: Mutex::new(Ring { last_id, ..Ring::default() }), ..Self::default() }
    }

    /// Shows stored entries to all tails. Ids grow from call to call.
    pub(crate) fn publish(&self, batches: &[Batch], first_ids: &[i64]) {
        let mut ring = self.ring();
        let is_watched = self.tails.load(Ordering::SeqCst) > 0;
        for (batch, first_id) in batches.iter().zip(first_ids) {
            let count = batch.entries.len() as i64;
            if count > 0 {
                ring.last_id = first_id + count - 1;
            }
            if is_watched {
                ring.add(batch, *first_id);
            }
        }
        if !is_watched {
            *ring = Ring { last_id: ring.last_id, is_closed: ring.is_closed, ..Ring::default() };
        }
        drop(ring);
        self.changed.notify_all();
    }

    /// A place for one tail more, and the id after which it begins; none when all are taken.
    pub(crate) fn take_seat(self: &Arc<Self>) -> Option<(Seat, i64)> {
        let ring = self.ring();
        if self.tails.load(Ordering::SeqCst) >= TAILS_MAX {
            return None;
        }
        self.tails.fetch_add(1, Ordering::SeqCst);
        Some((Seat(Arc::clone(self)), ring.last_id))
    }

    /// The newest stored entry.
    pub(crate) fn last_id(&self) -> i64 {
        self.ring().last_id
    }

    /// Tails that are open.
    pub(crate) fn tails(&self) -> usize {
        self.tails.load(Ordering::SeqCst)
    }

    /// Waits up to `patience` for entries after `id`.
    pub(crate) fn after(&self, id: i64, patience: Duration) -> News {
        let (ring, _) = self
            .changed
            .wait_timeout_while(self.ring(), patience, |ring| ring.last_id <= id && !ring.is_closed)
            .unwrap_or_else(PoisonError::into_inner);
        if ring.is_closed {
            return News::Closed;
        }
        if ring.last_id <= id {
            return News::Nothing;
        }
        match ring.entries.front() {
            Some(first) if first.id <= id + 1 => {
                let from = ring.entries.partition_point(|entry| entry.id <= id);
                News::Entries(ring.entries.range(from..).take(TAKE_MAX).map(Arc::clone).collect())
            }
            _ => News::Behind,
        }
    }

    /// Ends all tails.
    pub(crate) fn close(&self) {
        self.ring().is_closed = true;
        self.changed.notify_all();
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn add(&mut self, batch: &Batch, first_id: i64) {
        for (entry, id) in batch.entries.iter().zip(first_id..) {
            self.bytes += entry.message.len();
            self.entries.push_back(Arc::new(Entry {
                id,
                container: batch.container.clone(),
                time: entry.time,
                stream: entry.stream,
                level: entry.level,
                message: entry.message.clone(),
            }));
            while self.bytes > RING_BYTES_MAX || self.entries.len() > RING_ENTRIES_MAX {
                let Some(oldest) = self.entries.pop_front() else { break };
                self.bytes -= oldest.message.len();
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.tails.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::{Cursor, FileId};
    use crate::entry::{Level, LogTime, NewEntry, Stream};

    fn batch(messages: &[&str]) -> Batch {
        let entry = |message: &&str| NewEntry {
            time: LogTime::from_nanos(0),
            stream: Stream::Stdout,
            level: Level::Info,
            message: (*message).to_owned(),
        };
        let file = FileId { inode: 1, first_record: None };
        let cursor = Cursor { container_id: String::new(), path: String::new(), file, stdout: 0, stderr: 0 };
        Batch { container: "web".into(), entries: messages.iter().map(entry).collect(), cursor }
    }

    fn messages(news: News) -> Vec<String> {
        match news {
            News::Entries(entries) => entries.iter().map(|entry| entry.message.clone()).collect(),
            News::Behind => vec!["(behind)".into()],
            News::Nothing => vec![],
            News::Closed => vec!["(closed)".into()],
        }
    }

    #[test]
    fn a_tail_sees_what_is_stored_after_it_came() {
        let live = Arc::new(Live::new(7));
        live.publish(&[batch(&["unseen"])], &[8]);
        let (seat, id) = live.take_seat().expect("a seat");
        assert_eq!(id, 8);
        assert!(messages(live.after(8, Duration::ZERO)).is_empty());
        live.publish(&[batch(&["a", "b"]), batch(&[]), batch(&["c"])], &[9, 11, 11]);
        assert_eq!(messages(live.after(8, Duration::ZERO)), ["a", "b", "c"]);
        assert_eq!(messages(live.after(10, Duration::ZERO)), ["c"]);
        assert_eq!(messages(live.after(7, Duration::ZERO)), ["(behind)"]);
        drop(seat);
        live.publish(&[batch(&["d"])], &[12]);
        assert!(live.ring().entries.is_empty(), "nobody watches, nothing is kept");
        live.close();
        assert_eq!(messages(live.after(12, Duration::from_secs(60))), ["(closed)"]);
    }

    #[test]
    fn the_ring_and_the_seats_are_bounded() {
        let live = Arc::new(Live::new(0));
        let seats: Vec<_> = (0..TAILS_MAX).map(|_| live.take_seat().expect("a seat")).collect();
        assert!(live.take_seat().is_none());
        let long = "x".repeat(RING_BYTES_MAX / 4);
        for id in 0..10 {
            live.publish(&[batch(&[&long])], &[id + 1]);
        }
        assert_eq!(live.ring().entries.len(), 4);
        for id in 10..10_000 {
            live.publish(&[batch(&["x"])], &[id + 1]);
        }
        assert_eq!(live.ring().entries.len(), RING_ENTRIES_MAX);
        assert_eq!(messages(live.after(9_000, Duration::ZERO)).len(), TAKE_MAX);
        drop(seats);
        assert_eq!(live.tails(), 0);
    }
}
