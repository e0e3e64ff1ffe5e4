//! Keeps what a back end could not take, and brings it there when it is back: in order, and each event once, for every try
//! carries the same `Idempotency-Key`. A back end that takes no more from one browser (429) gets what others sent meanwhile.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

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
/// Browsers whose events are passed over at a time. If there are more, it is rather the relay that sends too much.
const HELD_MAX: usize = 1000;
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
    ways: [Way; 2],
    is_stopped: bool,
}

/// What is known of the way to a back end.
#[derive(Default)]
struct Way {
    /// Whether events may wait; new ones then queue behind them.
    is_backlogged: bool,
    /// The back end is away and not tried before.
    away_until: Option<Instant>,
    /// Browsers that it takes no more from before that. Their events wait, those of others pass.
    held: HashMap<String, Instant>,
}

/// When there is something to bring.
enum When {
    Now { from_start: bool },
    At(Instant),
    Never,
}

/// Counts since the start.
#[derive(Default)]
struct Figures {
    queued: AtomicU64,
    delivered: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
}

/// How far a thread has come.
#[derive(Default)]
struct Progress {
    /// Up to here only events of held browsers wait.
    after: i64,
    /// Brought, and to be taken out of the table.
    done: Vec<i64>,
}

/// What became of an event that waited.
enum Brought {
    /// It need not wait any longer.
    Done,
    /// It waits until its browser's time has come.
    Held,
    /// It waits until the back end is back, which may have said when.
    Not { retry_after: Option<Duration> },
}

/// Why a thread brings no more.
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
            state.ways[target as usize].is_backlogged = store::outbox::count(&reader, target)? > 0;
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

    /// Whether others wait that this event must not overtake.
    pub(crate) fn must_wait(&self, event: &Event) -> bool {
        let way = &self.lock().ways[event.target as usize];
        way.is_backlogged || way.held.contains_key(&event.client)
    }

    /// The back end is away: it is tried again later, if it said so not before this time.
    pub(crate) fn put_off(&self, target: Target, retry_after: Option<Duration>) {
        self.lock().ways[target as usize].away_until = Some(Instant::now() + pause(retry_after));
    }

    /// The back end takes no more from this event's browser for now. Fails when there are too many of these.
    pub(crate) fn hold(&self, event: &Event, retry_after: Option<Duration>) -> bool {
        let held = &mut self.lock().ways[event.target as usize].held;
        if held.len() >= HELD_MAX && !held.contains_key(&event.client) {
            return false;
        }
        held.insert(event.client.clone(), Instant::now() + pause(retry_after));
        true
    }

    /// Stores an event and answers `202 {"status":"queued"}` once it is on disk.
    pub(crate) fn queue(self: &Arc<Self>, now: Timestamp, event: Event) -> Reply {
        let outbox = Arc::clone(self);
        let (target, client, bytes) = (event.target, event.client.clone(), event.body.len());
        Reply::after_commit(
            bytes,
            move |tx| store::outbox::push(tx, now, &event),
            move |dropped| {
                outbox.note_queued(target, &client, dropped);
                Ok::<_, ApiError>(Response::json(202, &json!({"status": "queued"})))
            },
        )
    }

    fn note_queued(&self, target: Target, client: &str, dropped: u64) {
        let figures = &self.figures[target as usize];
        figures.queued.fetch_add(1, Ordering::Relaxed);
        if dropped > 0 {
            figures.dropped.fetch_add(dropped, Ordering::Relaxed);
            log::warn!("the outbox is full: {dropped} of the oldest events are dropped");
        }
        let way = &mut self.lock().ways[target as usize];
        // One of a held browser is looked for when its time has come, and until then nobody waits behind it.
        way.is_backlogged |= !way.held.contains_key(client);
        self.changed.notify_all();
    }

    /// The life of a thread.
    fn deliver(&self, target: Target, reader: &Reader) {
        let (mut progress, mut patience) = (Progress::default(), PAUSE_MIN);
        while let Some(from_start) = self.wait_for_work(target) {
            if from_start {
                progress.after = 0;
            }
            match self.deliver_all(target, reader, &mut progress) {
                Ok(Delivered::All) => patience = PAUSE_MIN,
                Ok(Delivered::Some { retry_after }) => {
                    self.put_off(target, retry_after.max(Some(patience)));
                    patience = (patience * 2).min(PAUSE_MAX);
                }
                Err(error) => {
                    log::error!("outbox of {}: {error}", target.name());
                    self.put_off(target, Some(PAUSE_MAX));
                }
            }
        }
    }

    /// Brings events until there are no more, or until the back end is away (again).
    fn deliver_all(
        &self,
        target: Target,
        reader: &Reader,
        progress: &mut Progress,
    ) -> Result<Delivered, Box<dyn std::error::Error>> {
        loop {
            if progress.done.len() >= REMOVED_TOGETHER {
                self.remove(&mut progress.done)?;
            }
            reader.restart_time_limit();
            let is_held = |client: &str| self.lock().ways[target as usize].held.contains_key(client);
            let Some((id, event)) = store::outbox::next(reader, target, &mut progress.after, is_held)? else { break };
            if self.lock().is_stopped {
                self.remove(&mut progress.done)?;
                return Ok(Delivered::Some { retry_after: None });
            }
            match self.bring(&event) {
                Brought::Done => progress.done.push(id),
                Brought::Held => {}
                Brought::Not { retry_after } => {
                    self.remove(&mut progress.done)?;
                    return Ok(Delivered::Some { retry_after });
                }
            }
            progress.after = id;
        }
        self.remove(&mut progress.done)?;
        self.settle(target, reader, &mut progress.after)?;
        Ok(Delivered::All)
    }

    /// Sends an event that has waited.
    fn bring(&self, event: &Event) -> Brought {
        let (target, figures) = (event.target.name(), &self.figures[event.target as usize]);
        match self.upstream.send(event) {
            // That it comes with another body than before says that it came before, and only the answer did not.
            Outcome::Taken { .. } | Outcome::Refused { status: 422 } => {
                figures.delivered.fetch_add(1, Ordering::Relaxed);
                Brought::Done
            }
            Outcome::Limited { retry_after } if self.hold(event, retry_after) => Brought::Held,
            Outcome::Limited { retry_after } => Brought::Not { retry_after },
            Outcome::Away { why, retry_after } => {
                log::warn!("{target} are not taken, they wait: {why}");
                Brought::Not { retry_after }
            }
            // It is the key that is refused, until an operator sees this; the events are as good as before.
            Outcome::Refused { status: status @ (401 | 403) } => {
                log::error!("{target} are not taken, they wait: the API key is refused, status {status}");
                Brought::Not { retry_after: None }
            }
            Outcome::Refused { status } => {
                log::warn!("one of the {target} that waited is dropped: status {status}");
                figures.refused.fetch_add(1, Ordering::Relaxed);
                Brought::Done
            }
        }
    }

    /// Lets events go straight to the back end again, unless one came meanwhile.
    fn settle(&self, target: Target, conn: &Connection, after: &mut i64) -> rusqlite::Result<()> {
        let mut state = self.lock();
        let way = &mut state.ways[target as usize];
        // What is committed from here on tells so after this lock.
        let next = store::outbox::next(conn, target, after, |client| way.held.contains_key(client))?;
        way.is_backlogged = next.is_some();
        Ok(())
    }

    fn remove(&self, done: &mut Vec<i64>) -> Result<(), common::writer::WriteError> {
        if done.is_empty() {
            return Ok(());
        }
        let ids = done.clone();
        self.writer.call(move |tx| store::outbox::remove(tx, &ids))?;
        done.clear();
        Ok(())
    }

    /// Waits until there is something to bring: whether to begin with the oldest. None when it is time to stop.
    fn wait_for_work(&self, target: Target) -> Option<bool> {
        let mut state = self.lock();
        loop {
            if state.is_stopped {
                return None;
            }
            let now = Instant::now();
            state = match state.ways[target as usize].when(now) {
                When::Now { from_start } => return Some(from_start),
                When::At(then) => {
                    let waited = self.changed.wait_timeout(state, then - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                When::Never => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
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

impl Way {
    fn when(&mut self, now: Instant) -> When {
        if let Some(until) = self.away_until.filter(|until| *until > now) {
            return When::At(until);
        }
        let count = self.held.len();
        self.held.retain(|_, until| *until > now);
        let is_one_free = self.held.len() < count;
        // What those send now queues behind what waits.
        self.is_backlogged |= is_one_free;
        match self.held.values().min() {
            _ if self.is_backlogged => When::Now { from_start: is_one_free },
            Some(until) => When::At(*until),
            None => When::Never,
        }
    }
}

/// How long to wait, within our bounds.
fn pause(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or(PAUSE_MIN).clamp(PAUSE_MIN, PAUSE_MAX)
}

impl OutboxThreads {
    /// Tells both to end after the event they are at.
    pub(crate) fn stop(&self) {
        self.outbox.lock().is_stopped = true;
        self.outbox.changed.notify_all();
    }

    /// Waits for both to end.
    pub(crate) fn join(self) {
        for thread in self.threads {
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}
