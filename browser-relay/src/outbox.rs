//! Keeps what a back end could not take, and brings it there when it is back: in order, and each event once, for every try
//! carries the same `Idempotency-Key`.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use common::cli::Failure;
use common::clock::Timestamp;
use common::db::Reader;
use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::response::Response;
use common::prometheus::Page;
use common::service::Core;
use common::writer::Writer;
use rusqlite::Connection;
use serde_json::json;

use crate::store;
use crate::upstream::{Event, Outcome, Target, Upstream};

/// The first pause after a failed try; doubled with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// A back end that restarts is noticed within this time, one that says `Retry-After` is believed up to it.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Events brought before they are taken out of the table together.
const REMOVED_TOGETHER: usize = 50;
const STACK_BYTES: usize = 512 << 10;

/// The outbox, shared by workers and its own threads.
pub(crate) struct Outbox {
    writer: Writer,
    upstream: Arc<Upstream>,
    state: Mutex<State>,
    changed: Condvar,
    figures: [Figures; 2],
}

#[derive(Default)]
struct State {
    /// Whether events of a target may wait; new ones then queue behind them.
    is_backlogged: [bool; 2],
    is_stopped: bool,
}

/// Counts since the start.
#[derive(Default)]
struct Figures {
    queued: AtomicU64,
    delivered: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
}

/// How far a thread came.
enum Delivered {
    All,
    /// The back end is away; it may have said until when.
    Some {
        retry_after: Option<Duration>,
    },
}

/// Ends the threads.
pub(crate) struct OutboxThreads {
    outbox: Arc<Outbox>,
    threads: Vec<JoinHandle<()>>,
}

impl Outbox {
    /// Starts a thread per back end; what an earlier process left is brought first.
    pub(crate) fn start(core: &Core, upstream: Arc<Upstream>) -> Result<(Arc<Self>, OutboxThreads), Failure> {
        let reader = core.database.reader()?;
        let mut state = State::default();
        for target in Target::ALL {
            state.is_backlogged[target as usize] = store::outbox::count(&reader, target)? > 0;
        }
        let outbox = Arc::new(Self {
            writer: core.writer.clone(),
            upstream,
            state: Mutex::new(state),
            changed: Condvar::new(),
            figures: Default::default(),
        });
        let mut threads = Vec::new();
        for target in Target::ALL {
            let (outbox, reader) = (Arc::clone(&outbox), core.database.reader()?);
            threads.push(outbox.spawn(target, reader)?);
        }
        Ok((Arc::clone(&outbox), OutboxThreads { outbox, threads }))
    }

    fn spawn(self: Arc<Self>, target: Target, reader: Reader) -> io::Result<JoinHandle<()>> {
        let name = format!("outbox-{}", target.name());
        thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(move || self.deliver(target, &reader))
    }

    /// Whether events of this target wait already.
    pub(crate) fn is_backlogged(&self, target: Target) -> bool {
        self.lock().is_backlogged[target as usize]
    }

    /// Stores an event and answers `202 {"status":"queued"}` once it is on disk.
    pub(crate) fn queue(self: &Arc<Self>, now: Timestamp, event: Event) -> Reply {
        let outbox = Arc::clone(self);
        let (target, bytes) = (event.target, event.body.len());
        Reply::after_commit(
            bytes,
            move |tx| store::outbox::push(tx, now, &event),
            move |dropped| {
                outbox.note_queued(target, dropped);
                Ok::<_, ApiError>(Response::json(202, &json!({"status": "queued"})))
            },
        )
    }

    fn note_queued(&self, target: Target, dropped: u64) {
        let figures = &self.figures[target as usize];
        figures.queued.fetch_add(1, Ordering::Relaxed);
        if dropped > 0 {
            figures.dropped.fetch_add(dropped, Ordering::Relaxed);
            log::warn!("the outbox is full: {dropped} of the oldest events are dropped");
        }
        self.lock().is_backlogged[target as usize] = true;
        self.changed.notify_all();
    }

    /// The life of a thread.
    fn deliver(&self, target: Target, reader: &Reader) {
        let mut pause = PAUSE_MIN;
        while self.wait_for_work(target) {
            match self.deliver_all(target, reader) {
                Ok(Delivered::All) => pause = PAUSE_MIN,
                Ok(Delivered::Some { retry_after }) => {
                    if self.sleep(retry_after.unwrap_or(pause).clamp(pause, PAUSE_MAX)) {
                        return;
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(error) => {
                    log::error!("outbox of {}: {error}", target.name());
                    if self.sleep(PAUSE_MAX) {
                        return;
                    }
                }
            }
        }
    }

    /// Brings events until there are no more, or until the back end is away (again).
    fn deliver_all(&self, target: Target, reader: &Reader) -> Result<Delivered, Box<dyn std::error::Error>> {
        let (mut after, mut done) = (0, Vec::new());
        loop {
            reader.restart_time_limit();
            let Some((id, event)) = store::outbox::next(reader, target, after)? else { break };
            if self.lock().is_stopped {
                self.remove(&mut done)?;
                return Ok(Delivered::Some { retry_after: None });
            }
            match self.upstream.send(&event) {
                Outcome::Away { why, retry_after } => {
                    log::warn!("{} are not taken, they wait: {why}", target.name());
                    self.remove(&mut done)?;
                    return Ok(Delivered::Some { retry_after });
                }
                Outcome::Taken { .. } => self.figures[target as usize].delivered.fetch_add(1, Ordering::Relaxed),
                // It is the key that is refused, until an operator sees this; the events are as good as before.
                Outcome::Refused { status: status @ (401 | 403) } => {
                    log::error!("{} are not taken, they wait: the API key is refused, status {status}", target.name());
                    self.remove(&mut done)?;
                    return Ok(Delivered::Some { retry_after: None });
                }
                Outcome::Refused { status } => {
                    log::warn!("one of the {} that waited is dropped: status {status}", target.name());
                    self.figures[target as usize].refused.fetch_add(1, Ordering::Relaxed)
                }
            };
            after = id;
            done.push(id);
            if done.len() == REMOVED_TOGETHER {
                self.remove(&mut done)?;
            }
        }
        self.remove(&mut done)?;
        self.settle(target, reader, after)?;
        Ok(Delivered::All)
    }

    /// Lets events go straight to the back end again, unless one came meanwhile.
    fn settle(&self, target: Target, conn: &Connection, after: i64) -> rusqlite::Result<()> {
        let mut state = self.lock();
        // What is committed from here on tells so after this lock.
        state.is_backlogged[target as usize] = store::outbox::next(conn, target, after)?.is_some();
        Ok(())
    }

    fn remove(&self, done: &mut Vec<i64>) -> Result<(), common::writer::WriteError> {
        if done.is_empty() {
            return Ok(());
        }
        let ids = std::mem::take(done);
        self.writer.call(move |tx| store::outbox::remove(tx, &ids))
    }

    /// Waits until there is something to bring; false when it is time to stop.
    fn wait_for_work(&self, target: Target) -> bool {
        let is_quiet = |state: &mut State| !state.is_stopped && !state.is_backlogged[target as usize];
        let state = self.changed.wait_while(self.lock(), is_quiet).unwrap_or_else(PoisonError::into_inner);
        !state.is_stopped
    }

    /// Sleeps; true when it is time to stop.
    fn sleep(&self, pause: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), pause, |state| !state.is_stopped);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_stopped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends the figures about what waits and waited.
    pub(crate) fn render(&self, page: &mut Page, size: store::outbox::Size) {
        page.gauge("monlight_outbox_events", "Events that wait for a back end.", size.rows);
        page.gauge("monlight_outbox_bytes", "Bytes of events that wait.", size.bytes);
        let total = |pick: fn(&Figures) -> &AtomicU64| -> u64 {
            self.figures.iter().map(|figures| pick(figures).load(Ordering::Relaxed)).sum()
        };
        page.counter("monlight_outbox_queued_total", "Events that had to wait.", total(|f| &f.queued));
        page.counter("monlight_outbox_delivered_total", "Events brought later.", total(|f| &f.delivered));
        page.counter("monlight_outbox_refused_total", "Waiting events a back end refused.", total(|f| &f.refused));
        page.counter(
            "monlight_outbox_dropped_total",
            "Waiting events dropped for want of room.",
            total(|f| &f.dropped),
        );
    }
}

impl OutboxThreads {
    /// Ends both after the event they are at.
    pub(crate) fn stop(self) {
        self.outbox.lock().is_stopped = true;
        self.outbox.changed.notify_all();
        for thread in self.threads {
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}
