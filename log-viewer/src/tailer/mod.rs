//! The thread that reads log files: finds containers, follows their logs, and hands entries to the writer.
//!
//! Entries and the cursors that cover them commit together, so a crash at any moment neither loses nor doubles a line. One
//! batch is on its way while the next is read; when a batch cannot be stored, everything after it is thrown away and read
//! again. [`follower`] follows one container, [`files`] knows rotation, [`lines`] cuts bytes into lines, [`containers`]
//! finds containers, and [`watch`] tells when there is something to read.

pub(crate) mod containers;
pub(crate) mod figures;
mod files;
mod follower;
mod lines;
mod watch;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::clock::Clock;
use common::service::Core;
use common::shutdown::Stop;
use common::writer::{WriteError, Writer};

use crate::context::Shared;
use crate::cursor::Cursor;
use crate::entry::LogTime;
use crate::live::Live;
use crate::pattern::Patterns;
use crate::store::{self, Batch};
use containers::{Container, Discovery};
use figures::Figures;
use follower::{Begin, Follower, Part};
use lines::LineReader;
use watch::{Changes, Watch};

/// Messages in one transaction: enough that its fixed cost is spread thin, little enough that two fit into the memory.
const BATCH_BYTES_MAX: usize = 512 << 10;
/// Open entries of all containers together; beyond it they are closed before their time.
const OPEN_BYTES_MAX: usize = 2 << 20;
/// How often the signal to stop is looked at.
const STOP_CHECK: Duration = Duration::from_millis(500);
/// After a batch that could not be stored, reading starts again so much later.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long it is known how far a log was read whose container is gone; a folder that was away comes back sooner.
const CURSORS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Of so many such containers at most: they may come and go by the minute.
const UNWATCHED_MAX: usize = 1000;
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);
/// How often it is looked how much is not stored yet; a look lists each container's folder.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Lines, entries and JSON on the way; nothing recurses with its input.
const STACK_BYTES: usize = 512 << 10;

/// What to read, and how.
pub(crate) struct TailerConfig {
    pub(crate) sources: PathBuf,
    pub(crate) patterns: Patterns,
    /// How often everything is looked at, whatever inotify says.
    pub(crate) poll_interval: Duration,
    /// How much of a log that was there before us is read.
    pub(crate) tail_bytes: u64,
}

/// What others may know of the tailer.
#[derive(Default)]
pub(crate) struct Status {
    pub(crate) figures: Figures,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
pub(crate) struct State {
    /// Containers that are watched.
    pub(crate) watched: usize,
    /// Why containers cannot be looked for.
    pub(crate) sources_trouble: Option<String>,
    /// What went wrong last, until the next batch is stored.
    pub(crate) last_error: Option<String>,
}

impl Status {
    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Starts the thread `tailer`.
pub(crate) fn start(
    config: TailerConfig,
    core: &Core,
    shared: &Shared,
) -> Result<JoinHandle<()>, common::cli::Failure> {
    let reader = core.database.reader()?;
    let cursors = store::cursors(&reader)?;
    let newest = store::newest_times(&reader)?;
    let watch = Watch::new().map_err(|error| log::warn!("inotify is not to be had, so logs are polled: {error}")).ok();
    let mut tailer = Tailer {
        discovery: Discovery::new(config.sources.clone(), config.patterns),
        is_first_scan: cursors.is_empty(),
        last_stored: cursors.iter().map(|stored| stored.1).max(),
        cursors: cursors.into_iter().map(|(cursor, _)| (cursor.container_id.clone(), cursor)).collect(),
        newest: newest.into_iter().collect(),
        sources: config.sources,
        poll_interval: config.poll_interval,
        tail_bytes: config.tail_bytes,
        watch,
        followers: BTreeMap::new(),
        reader: LineReader::new(),
        in_flight: None,
        forgotten_at: None,
        looked_at: None,
        writer: core.writer.clone(),
        live: Arc::clone(&shared.live),
        status: Arc::clone(&shared.status),
        clock: core.clock.clone(),
        stop: core.stop.clone(),
    };
    Ok(thread::Builder::new().name("tailer".into()).stack_size(STACK_BYTES).spawn(move || tailer.run())?)
}

struct Tailer {
    sources: PathBuf,
    poll_interval: Duration,
    tail_bytes: u64,
    discovery: Discovery,
    watch: Option<Watch>,
    followers: BTreeMap<String, Follower>,
    /// What is stored, by container id.
    cursors: HashMap<String, Cursor>,
    /// The newest stored entry by container name.
    newest: HashMap<String, LogTime>,
    /// When something was stored last, as far as cursors tell.
    last_stored: Option<LogTime>,
    /// Containers found now were there before us.
    is_first_scan: bool,
    reader: LineReader,
    in_flight: Option<InFlight>,
    forgotten_at: Option<Instant>,
    looked_at: Option<Instant>,
    writer: Writer,
    live: Arc<Live>,
    status: Arc<Status>,
    clock: Clock,
    stop: Stop,
}

/// A batch the writer has.
struct InFlight {
    cursors: Vec<Cursor>,
    newest: Vec<(String, LogTime)>,
    outcome: Receiver<Result<(), WriteError>>,
}

impl Tailer {
    fn run(&mut self) {
        let mut next_poll = Instant::now();
        let mut changes = Changes::default();
        while !self.stop.is_stopped() {
            let is_poll = Instant::now() >= next_poll;
            if is_poll || changes.list {
                changes.containers.extend(self.scan());
            }
            let now = Instant::now();
            let mut due = changes.containers;
            let is_due = |follower: &Follower| is_poll || follower.due().is_some_and(|at| at <= now);
            due.extend(self.followers.iter().filter(|(_, follower)| is_due(follower)).map(|(id, _)| id.clone()));
            if is_poll {
                next_poll = now + self.poll_interval;
            }
            if let Err(error) = self.read(due.into_iter().collect()) {
                self.throw_away(&error);
                next_poll = Instant::now();
            }
            self.note_unstored_if_due();
            changes = self.wait(next_poll);
        }
        // What is on its way is waited for; what is not is read again after the next start.
        if let Err(error) = self.land() {
            log::warn!("the last lines are read again after the next start: {error}");
        }
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self, next_poll: Instant) -> Changes {
        let due = self.followers.values().filter_map(Follower::due).min().map_or(next_poll, |due| due.min(next_poll));
        let patience = due.saturating_duration_since(Instant::now()).min(STOP_CHECK);
        if let Some(watch) = &self.watch {
            match watch.wait(patience) {
                Ok(changes) => return changes,
                Err(error) => log::warn!("inotify failed, so logs are polled: {error}"),
            }
            self.watch = None;
        }
        self.stop.wait_timeout(patience);
        Changes::default()
    }

    /// Looks which containers there are; the ids of new ones.
    fn scan(&mut self) -> Vec<String> {
        let containers = match self.discovery.scan() {
            Ok(containers) => containers,
            Err(error) => {
                self.note_sources(Some(format!("{}: {error}", self.sources.display())));
                return Vec::new();
            }
        };
        self.note_sources(None);
        if let Some(watch) = &mut self.watch
            && let Err(error) = watch.root(&self.sources)
        {
            log::warn!("{}: not watched by inotify, so it is polled: {error}", self.sources.display());
        }
        let ids: HashSet<&String> = containers.iter().map(|container| &container.id).collect();
        let gone: Vec<String> = self.followers.keys().filter(|id| !ids.contains(id)).cloned().collect();
        self.leave(gone);
        let new = containers.into_iter().filter_map(|container| self.follow(container)).collect();
        self.is_first_scan = false;
        self.status.change(|state| state.watched = self.followers.len());
        self.forget_if_due();
        new
    }

    /// Forgets now and then how far logs were read whose containers are gone for long.
    fn forget_if_due(&mut self) {
        if self.forgotten_at.is_some_and(|at| at.elapsed() < FORGET_EVERY) {
            return;
        }
        self.forgotten_at = Some(Instant::now());
        let watched: Vec<String> = self.followers.keys().cloned().collect();
        let since = self.clock.now().saturating_sub(CURSORS_KEPT);
        let job = move |tx: &rusqlite::Connection| store::forget_cursors(tx, since, UNWATCHED_MAX, &watched);
        match self.writer.call(job) {
            Ok(gone) => gone.iter().for_each(|id| drop(self.cursors.remove(id))),
            Err(error) => log::warn!("cursors of containers that are gone are kept: {error}"),
        }
    }

    fn note_sources(&self, trouble: Option<String>) {
        if trouble != self.status.state().sources_trouble {
            match &trouble {
                Some(trouble) => log::error!("LOG_SOURCES cannot be read, trying again: {trouble}"),
                None => log::info!("LOG_SOURCES can be read again"),
            }
        }
        self.status.change(|state| state.sources_trouble = trouble);
    }

    /// Follows a container's log; its id if it is new.
    fn follow(&mut self, container: Container) -> Option<String> {
        if let Some(watch) = &mut self.watch
            && let Err(error) = watch.add(&container.id, &container.folder)
        {
            log::debug!("{}: not watched by inotify, so it is polled: {error}", container.name);
        }
        if let Some(follower) = self.followers.get_mut(&container.id) {
            follower.container = container;
            return None;
        }
        let begin = match self.cursors.get(&container.id) {
            Some(cursor) => Begin::Stored { cursor: cursor.clone(), newest: self.newest.get(&container.name).copied() },
            None if self.began_while_we_watched(&container) => Begin::Whole,
            None => Begin::Tail(self.tail_bytes),
        };
        log::info!("container {} is watched", container.name);
        let id = container.id.clone();
        self.followers.insert(id.clone(), Follower::new(container, begin));
        Some(id)
    }

    /// Everything in such a container's log is news to us, also when it was made while we were down for a moment.
    fn began_while_we_watched(&self, container: &Container) -> bool {
        let is_new = container.created.zip(self.last_stored).is_some_and(|(created, stored)| created >= stored);
        !self.is_first_scan || is_new
    }

    /// Reads what is left of containers that were removed: their open files still can be.
    fn leave(&mut self, gone: Vec<String>) {
        if gone.is_empty() {
            return;
        }
        if let Err(error) = self.read(gone.iter().cloned().collect()) {
            self.throw_away(&error);
        }
        let mut batch = Outgoing::default();
        for id in gone {
            let Some(mut follower) = self.followers.remove(&id) else { continue };
            log::info!("container {} is gone", follower.container.name);
            let mut part = Part::new();
            follower.close_all(&mut part);
            if let Err(error) = batch.add(&mut follower, part, &mut self.reader) {
                log::warn!("{}: {error}", follower.container.name);
            }
            if let Some(watch) = &mut self.watch {
                watch.remove(&id);
            }
        }
        if let Err(error) = self.send(batch).and_then(|()| self.land()) {
            log::warn!("the last lines of a removed container are lost: {error}");
        }
    }

    /// Reads these containers to their ends, in turns, and stores what they said.
    fn read(&mut self, mut due: VecDeque<String>) -> Result<(), WriteError> {
        while !due.is_empty() && !self.stop.is_stopped() {
            let mut batch = Outgoing::default();
            // Once around, or less when the batch is full before.
            for _ in 0..due.len() {
                if batch.bytes >= BATCH_BYTES_MAX {
                    break;
                }
                let Some(id) = due.pop_front() else { break };
                if self.read_one(&id, &mut batch)? {
                    due.push_back(id);
                }
            }
            self.send(batch)?;
            self.note_unstored_if_due();
        }
        self.reader.give_back();
        self.land()
    }

    /// Takes a part of one container's log; whether there may be more.
    fn read_one(&mut self, id: &str, batch: &mut Outgoing) -> Result<bool, WriteError> {
        let open_bytes: usize = self.followers.values().map(Follower::open_bytes).sum();
        let Some(follower) = self.followers.get_mut(id) else { return Ok(false) };
        let mut part = Part::new();
        let now = LogTime::from(self.clock.now());
        let outcome = follower.read(&mut self.reader, now, &mut part, &self.status.figures);
        if open_bytes > OPEN_BYTES_MAX {
            follower.close_all(&mut part);
        }
        let added = batch.add(follower, part, &mut self.reader);
        let trouble = outcome.as_ref().err().or(added.as_ref().err());
        if let Some(error) = trouble {
            self.note_trouble(id, &error.to_string());
        }
        if added.is_err() {
            self.read_again(id)?;
        }
        Ok(outcome.unwrap_or(false) && added.is_ok())
    }

    /// Looks now and then how far the store is behind the logs.
    fn note_unstored_if_due(&mut self) {
        if self.looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        self.looked_at = Some(Instant::now());
        let unstored = self.followers.iter().map(|(id, follower)| follower.unstored_bytes(self.cursors.get(id)));
        // A log that cannot be read is told of elsewhere, and must not stop this figure for the others.
        let is_known =
            |bytes: &io::Result<u64>| bytes.as_ref().map_or_else(|e| e.kind() == ErrorKind::NotFound, |_| true);
        // During a rotation the last look counts.
        if let Ok(bytes) = unstored.filter(is_known).sum::<io::Result<u64>>() {
            self.status.figures.note_unstored(bytes);
        }
    }

    fn note_trouble(&self, id: &str, error: &str) {
        let name = self.followers.get(id).map_or(id, |follower| &follower.container.name);
        let trouble = format!("container {name}: {error}");
        if self.status.state().last_error.as_ref() != Some(&trouble) {
            log::warn!("{trouble}");
        }
        self.status.change(|state| state.last_error = Some(trouble));
    }

    /// Forgets what was read of one container since it was stored last.
    fn read_again(&mut self, id: &str) -> Result<(), WriteError> {
        self.land()?;
        self.rewind(id);
        Ok(())
    }

    fn rewind(&mut self, id: &str) {
        let Some(follower) = self.followers.get_mut(id) else { return };
        let newest = self.newest.get(&follower.container.name).copied();
        follower.rewind(self.cursors.get(id).cloned(), newest);
    }

    /// Hands a batch to the writer when the one before is stored.
    fn send(&mut self, batch: Outgoing) -> Result<(), WriteError> {
        let is_news = |batch: &Batch| {
            !batch.entries.is_empty() || self.cursors.get(&batch.cursor.container_id) != Some(&batch.cursor)
        };
        let batches: Vec<Batch> = batch.batches.into_iter().filter(is_news).collect();
        if batches.is_empty() {
            return Ok(());
        }
        self.land()?;
        let newest_of = |batch: &Batch| batch.entries.iter().map(|entry| entry.time).max();
        let newest = batches.iter().filter_map(|batch| Some((batch.container.clone(), newest_of(batch)?))).collect();
        let cursors = batches.iter().map(|batch| batch.cursor.clone()).collect();
        let (sender, outcome) = mpsc::sync_channel(1);
        let batches = Arc::new(batches);
        let (stored, live, status) = (Arc::clone(&batches), Arc::clone(&self.live), Arc::clone(&self.status));
        let now = self.clock.now();
        let work = move |tx: &rusqlite::Connection| {
            batches.iter().map(|batch| store::append(tx, batch, now)).collect::<rusqlite::Result<Vec<i64>>>()
        };
        let done = move |outcome: Result<Vec<i64>, WriteError>| {
            let outcome = outcome.map(|first_ids| {
                status.figures.entries.add(stored.iter().map(|batch| batch.entries.len() as u64).sum());
                live.publish(&stored, &first_ids);
            });
            // The tailer waits for it, or has ended.
            let _ = sender.send(outcome);
        };
        self.in_flight = Some(InFlight { cursors, newest, outcome });
        self.writer.submit(batch.bytes, work, done).map_err(|(error, _)| error)
    }

    /// Waits for the batch on its way.
    fn land(&mut self) -> Result<(), WriteError> {
        let Some(in_flight) = self.in_flight.take() else { return Ok(()) };
        in_flight.outcome.recv().unwrap_or(Err(WriteError::Stopped))?;
        for cursor in in_flight.cursors {
            self.cursors.insert(cursor.container_id.clone(), cursor);
        }
        for (container, time) in in_flight.newest {
            let newest = self.newest.entry(container).or_insert(time);
            *newest = time.max(*newest);
        }
        self.status.change(|state| state.last_error = None);
        Ok(())
    }

    /// A batch was not stored: what was read since is read again, when the disk has had a moment.
    fn throw_away(&mut self, error: &WriteError) {
        log::warn!("log lines could not be stored, they will be read again: {error}");
        self.status.change(|state| state.last_error = Some(error.to_string()));
        self.in_flight = None;
        for id in self.followers.keys().cloned().collect::<Vec<_>>() {
            self.rewind(&id);
        }
        self.stop.wait_timeout(RETRY_AFTER);
    }
}

/// What goes into the next transaction.
#[derive(Default)]
struct Outgoing {
    batches: Vec<Batch>,
    bytes: usize,
}

impl Outgoing {
    /// Adds what was read of one container. When that fails, it must be read again.
    fn add(&mut self, follower: &mut Follower, part: Part, reader: &mut LineReader) -> io::Result<()> {
        let Some(cursor) = follower.cursor(reader)? else {
            return if part.entries.is_empty() { Ok(()) } else { Err(io::Error::other("records without a first one")) };
        };
        self.bytes += part.bytes();
        self.batches.push(Batch { container: follower.container.name.clone(), entries: part.entries, cursor });
        Ok(())
    }
}
