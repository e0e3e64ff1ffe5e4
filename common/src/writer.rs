//! The writer thread: it owns the only read-write connection and commits in groups.
//!
//! Jobs wait in a queue bounded by count and bytes. The writer takes all that wait, runs them in one transaction, commits
//! once (on disk: `synchronous=FULL`), and only then are they answered, by a few reply threads: the writer itself never
//! touches a socket. A job that fails is rolled back alone; the others of its batch are committed.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use crate::prometheus::Page;

/// More than this gains nothing: a commit's fixed cost is spread thin at 100 jobs already.
const BATCH_JOBS_MAX: usize = 256;
/// As many as requests can be in flight (see the screen), with room for timers.
const QUEUE_JOBS_MAX: usize = 1024;
/// What waiting jobs may hold in memory: several hundred reports of common size, or eight of the largest.
const QUEUE_BYTES_MAX: usize = 2 << 20;
/// How long a caller waits for room before it is told to come back.
const QUEUE_WAIT: Duration = Duration::from_millis(500);
/// What has waited this long is refused, not run: its caller is about to be told that the service is busy
/// (`ANSWER_TIME_MAX` of the screen), and must not be told that of something that is stored after all.
const QUEUED_TIME_MAX: Duration = Duration::from_secs(10);
/// After a failed commit, how often an otherwise idle writer tries whether the disk takes data again.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// What it tries to write: as much as a large report, for a page or two still fit where a failed write has left room.
const PROBE_BYTES: u32 = 64 << 10;
/// Rendering and sending are cheap; two let one wait for a slow socket.
const REPLY_THREADS: usize = 2;
/// SQLite needs about 100 KB at most; the job's own work is shallow.
const STACK_BYTES: usize = 512 << 10;
/// Upper edges of the batch-size histogram.
const BATCH_EDGES: [u64; 7] = [1, 4, 16, 32, 64, 128, 256];

/// Why a job was not committed.
#[derive(Debug)]
pub enum WriteError {
    /// The queue stayed full.
    Full,
    /// The job's turn came too late.
    Late,
    /// The service is stopping.
    Stopped,
    /// The database could not be written; nothing of the job was stored.
    Storage {
        /// The disk is full (as opposed to an I/O error, a lock or a read-only file).
        full: bool,
        /// SQLite's words.
        message: String,
    },
    /// The job itself failed; the others of its batch did not.
    Job(rusqlite::Error),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the write queue is full"),
            Self::Late => f.write_str("the write queue was too slow"),
            Self::Stopped => f.write_str("the writer has stopped"),
            Self::Storage { message, .. } => write!(f, "the database cannot be written: {message}"),
            Self::Job(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WriteError {}

/// A job of any result type, as the writer sees it.
trait Job: Send {
    fn run(&mut self, tx: &Connection) -> rusqlite::Result<()>;
    fn finish(self: Box<Self>, outcome: Result<(), WriteError>);
}

struct TypedJob<T, W, D> {
    work: W,
    done: D,
    value: Option<T>,
}

impl<T, W, D> Job for TypedJob<T, W, D>
where
    T: Send,
    W: FnMut(&Connection) -> rusqlite::Result<T> + Send,
    D: FnOnce(Result<T, WriteError>) + Send,
{
    fn run(&mut self, tx: &Connection) -> rusqlite::Result<()> {
        self.value = Some((self.work)(tx)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), WriteError>) {
        let Self { done, value, .. } = *self;
        // A job without a value did not run to its end, so its outcome is an error.
        done(outcome.and_then(|()| value.ok_or(WriteError::Stopped)));
    }
}

struct Waiting {
    job: Box<dyn Job>,
    bytes: usize,
    since: Instant,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Waiting>,
    bytes: usize,
    stopped: bool,
}

type Finished = (Box<dyn Job>, Result<(), WriteError>);

#[derive(Default)]
struct Replies {
    finished: VecDeque<Finished>,
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    queue_changed: Condvar,
    room: Condvar,
    /// Holds at most one entry per accepted job, so the queue's bound and the requests in flight bound it too.
    replies: Mutex<Replies>,
    replies_changed: Condvar,
    trouble: Mutex<Option<String>>,
    probing: AtomicBool,
    figures: Figures,
}

/// Counters for self-metrics.
#[derive(Default)]
struct Figures {
    /// Jobs taken, whatever became of them.
    jobs: AtomicU64,
    busy_micros: AtomicU64,
    /// Writes refused by the disk.
    failures: AtomicU64,
    /// Batches by size, one per edge of [`BATCH_EDGES`] (not cumulative).
    batches: [AtomicU64; BATCH_EDGES.len()],
}

/// Hands jobs to the writer thread. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
}

/// The threads behind a [`Writer`]; joined once at the end.
pub struct WriterThreads {
    shared: Arc<Shared>,
    writer: JoinHandle<Connection>,
    replies: Vec<JoinHandle<()>>,
}

impl Writer {
    /// Starts the writer on its connection.
    pub fn start(conn: Connection) -> std::io::Result<(Self, WriterThreads)> {
        let shared = Arc::new(Shared::default());
        let builder = |name: String| thread::Builder::new().name(name).stack_size(STACK_BYTES);
        let for_writer = Arc::clone(&shared);
        let writer = builder("writer".into()).spawn(move || write_until_stopped(conn, &for_writer))?;
        let replies = (0..REPLY_THREADS)
            .map(|n| {
                let shared = Arc::clone(&shared);
                builder(format!("reply-{n}")).spawn(move || reply_until_stopped(&shared))
            })
            .collect::<Result<_, _>>()?;
        let threads = WriterThreads { shared: Arc::clone(&shared), writer, replies };
        Ok((Self { shared }, threads))
    }

    /// Queues `work` for the next commit; `done` gets its outcome, after the commit, on a reply thread.
    ///
    /// `work` can run twice (SQLite may roll a whole batch back, which is then re-run), so it must have no effect outside
    /// its transaction. `bytes` is about what the job holds in memory. Fails when the queue stays full or is closed;
    /// `done` is then handed back uncalled.
    pub fn submit<T, D>(
        &self,
        bytes: usize,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        done: D,
    ) -> Result<(), (WriteError, D)>
    where
        T: Send + 'static,
        D: FnOnce(Result<T, WriteError>) + Send + 'static,
    {
        let shared = &*self.shared;
        let waited = shared
            .room
            .wait_timeout_while(lock(&shared.queue), QUEUE_WAIT, |queue| {
                !queue.stopped && !queue.jobs.is_empty() && is_full(queue, bytes)
            })
            .unwrap_or_else(PoisonError::into_inner);
        let mut queue = waited.0;
        if queue.stopped {
            return Err((WriteError::Stopped, done));
        }
        if !queue.jobs.is_empty() && is_full(&queue, bytes) {
            return Err((WriteError::Full, done));
        }
        queue.bytes += bytes;
        let job = Box::new(TypedJob { work, done, value: None });
        queue.jobs.push_back(Waiting { job, bytes, since: Instant::now() });
        if queue.jobs.len() == 1 {
            shared.queue_changed.notify_one();
        }
        Ok(())
    }

    /// Queues `work` and waits for its commit. For background threads; a worker must not wait.
    pub fn call<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, WriteError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.submit(0, work, move |outcome| {
            // The receiver waits below; it cannot be gone.
            let _ = sender.send(outcome);
        })
        .map_err(|(error, _)| error)?;
        receiver.recv().unwrap_or(Err(WriteError::Stopped))
    }

    /// What keeps the database from being written, if anything does.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.shared.trouble).clone()
    }

    /// Appends the writer's figures.
    pub fn render(&self, page: &mut Page) {
        let (jobs, bytes) = {
            let queue = lock(&self.shared.queue);
            (queue.jobs.len(), queue.bytes)
        };
        let figures = &self.shared.figures;
        page.gauge("monlight_writer_queue_jobs", "Writes waiting for a commit.", jobs);
        page.gauge("monlight_writer_queue_bytes", "Memory they hold, about.", bytes);
        let busy = figures.busy_micros.load(Ordering::Relaxed) as f64 / 1e6;
        page.counter("monlight_writer_busy_seconds_total", "Time spent in transactions.", busy);
        page.counter(
            "monlight_writer_failures_total",
            "Writes the disk refused.",
            figures.failures.load(Ordering::Relaxed),
        );
        page.family("monlight_writer_batch_size", "histogram", "Writes per commit.");
        let edges = BATCH_EDGES.map(|edge| edge as f64);
        let jobs = figures.jobs.load(Ordering::Relaxed) as f64;
        page.histogram("monlight_writer_batch_size", &edges, &figures.batches, jobs);
    }
}

impl WriterThreads {
    /// Refuses new jobs, commits and answers those accepted, checkpoints the log, and ends. The connection is given back, unless
    /// its thread panicked.
    pub fn stop(self) -> Option<Connection> {
        lock(&self.shared.queue).stopped = true;
        self.shared.queue_changed.notify_all();
        self.shared.room.notify_all();
        // A panic of these threads was printed when it happened; there is nothing left to do about it here.
        let conn = self.writer.join().ok();
        lock(&self.shared.replies).stopped = true;
        self.shared.replies_changed.notify_all();
        for thread in self.replies {
            let _ = thread.join();
        }
        conn
    }
}

fn is_full(queue: &Queue, bytes: usize) -> bool {
    queue.jobs.len() >= QUEUE_JOBS_MAX || queue.bytes + bytes > QUEUE_BYTES_MAX
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_until_stopped(conn: Connection, shared: &Shared) -> Connection {
    while let Some(mut batch) = next_batch(shared) {
        if batch.is_empty() {
            probe(&conn, shared);
            continue;
        }
        let began = Instant::now();
        let outcomes = commit(&conn, &mut batch, shared);
        let figures = &shared.figures;
        figures.busy_micros.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        let edge = BATCH_EDGES.iter().position(|edge| batch.len() as u64 <= *edge).unwrap_or(BATCH_EDGES.len() - 1);
        figures.batches[edge].fetch_add(1, Ordering::Relaxed);
        figures.jobs.fetch_add(batch.len() as u64, Ordering::Relaxed);

        answer(shared, batch.into_iter().zip(outcomes));
    }
    if let Err(error) = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        log::warn!("checkpoint at stop failed, the next start does it: {error}");
    }
    conn
}

fn answer(shared: &Shared, finished: impl IntoIterator<Item = Finished>) {
    lock(&shared.replies).finished.extend(finished);
    shared.replies_changed.notify_one();
}

/// Waits for jobs and takes them; what has waited too long is refused. An empty batch asks for a probe; none means stopped and drained.
fn next_batch(shared: &Shared) -> Option<Vec<Box<dyn Job>>> {
    let mut queue = lock(&shared.queue);
    while queue.jobs.is_empty() {
        if queue.stopped {
            return None;
        }
        if shared.probing.load(Ordering::Relaxed) {
            let (guard, timeout) =
                shared.queue_changed.wait_timeout(queue, PROBE_INTERVAL).unwrap_or_else(PoisonError::into_inner);
            queue = guard;
            if timeout.timed_out() && queue.jobs.is_empty() && !queue.stopped {
                return Some(Vec::new());
            }
        } else {
            queue = shared.queue_changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
    let count = queue.jobs.len().min(BATCH_JOBS_MAX);
    let (mut batch, mut late) = (Vec::with_capacity(count), Vec::new());
    let now = Instant::now();
    for waiting in queue.jobs.drain(..count).collect::<Vec<_>>() {
        queue.bytes -= waiting.bytes;
        if now.duration_since(waiting.since) < QUEUED_TIME_MAX {
            batch.push(waiting.job);
        } else {
            late.push((waiting.job, Err(WriteError::Late)));
        }
    }
    drop(queue);
    shared.room.notify_all();
    if !late.is_empty() {
        answer(shared, late);
    }
    if batch.is_empty() { next_batch(shared) } else { Some(batch) }
}

/// Commits a batch; one outcome per job. If it fails, nothing of it is stored. Where one job may be the cause, each is run
/// again alone: then only that one gets an error. That is rare, so the usual case pays for no savepoints
/// (docs/decisions/0004-no-savepoints.md).
fn commit(conn: &Connection, batch: &mut [Box<dyn Job>], shared: &Shared) -> Vec<Result<(), WriteError>> {
    let changes_before = conn.total_changes();
    match transaction(conn, batch) {
        Ok(()) => {
            // A job that found nothing to change shows nothing about the disk.
            if conn.total_changes() > changes_before {
                note_health(shared, None);
            }
            batch.iter().map(|_| Ok(())).collect()
        }
        Err(error) if batch.len() > 1 && !concerns_all(&error) => {
            batch.iter_mut().flat_map(|job| commit(conn, std::slice::from_mut(job), shared)).collect()
        }
        Err(error) if is_storage(&error) => {
            let (full, message) = (error.sqlite_error_code() == Some(ErrorCode::DiskFull), error.to_string());
            shared.figures.failures.fetch_add(batch.len() as u64, Ordering::Relaxed);
            note_health(shared, Some(&message));
            batch.iter().map(|_| Err(WriteError::Storage { full, message: message.clone() })).collect()
        }
        // Whatever concerns all is of the storage, so this is one job's.
        Err(error) => vec![Err(WriteError::Job(error))],
    }
}

/// One transaction over all jobs. `Err` means that nothing of the batch is stored.
fn transaction(conn: &Connection, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let outcome = run_all(conn, batch).and_then(|()| conn.prepare_cached("COMMIT")?.execute([]).map(drop));
    // On a full disk and some I/O errors SQLite has rolled back by itself.
    if outcome.is_err() && !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK")?;
    }
    outcome
}

fn run_all(conn: &Connection, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    for job in batch {
        catch_unwind(AssertUnwindSafe(|| job.run(conn))).unwrap_or(Err(rusqlite::Error::UnwindingPanic))?;
    }
    Ok(())
}

/// Errors of the disk and the file, not of one job or query.
pub(crate) fn is_storage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
        )
    )
}

/// Those of them that meet every job alike: to try each alone would only wait as often for the same lock or disk. A full
/// disk may still have room for a smaller job.
fn concerns_all(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::SystemIoFailure
                | ErrorCode::NotADatabase
        )
    )
}

/// Logs the change from good to bad and back, once each.
fn note_health(shared: &Shared, trouble: Option<&str>) {
    if trouble.is_none() && !shared.probing.load(Ordering::Relaxed) {
        return;
    }
    let mut current = lock(&shared.trouble);
    match (&*current, trouble) {
        (None, Some(new)) => log::error!("the database cannot be written: {new}"),
        (Some(_), None) => log::info!("the database can be written again"),
        _ => {}
    }
    *current = trouble.map(str::to_owned);
    shared.probing.store(trouble.is_some(), Ordering::Relaxed);
}

/// A write that shows whether the disk takes data again, so that health recovers without traffic.
fn probe(conn: &Connection, shared: &Shared) {
    let written = conn
        .execute("INSERT OR REPLACE INTO _meta (key, value) VALUES ('write_probe', zeroblob(?1))", [PROBE_BYTES])
        .and_then(|_| conn.execute("DELETE FROM _meta WHERE key = 'write_probe'", []));
    if written.is_ok() {
        note_health(shared, None);
    }
}

fn reply_until_stopped(shared: &Shared) {
    loop {
        let mut replies = lock(&shared.replies);
        let (job, outcome) = loop {
            if let Some(finished) = replies.finished.pop_front() {
                break finished;
            }
            if replies.stopped {
                return;
            }
            replies = shared.replies_changed.wait(replies).unwrap_or_else(PoisonError::into_inner);
        };
        let more = !replies.finished.is_empty();
        drop(replies);
        if more {
            shared.replies_changed.notify_one();
        }
        // A panic while rendering one reply drops its request, which answers 500 by itself; the thread lives on.
        let _ = catch_unwind(AssertUnwindSafe(|| job.finish(outcome)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender};

    use rusqlite::OpenFlags;

    use super::*;
    use crate::testing::{TempDir, wait_for};

    /// A writer on an empty table in memory.
    fn start() -> (Writer, WriterThreads) {
        start_on(Connection::open_in_memory().expect("a database"))
    }

    fn start_on(conn: Connection) -> (Writer, WriterThreads) {
        conn.execute_batch(
            "PRAGMA foreign_keys = ON;
             CREATE TABLE _meta (key TEXT PRIMARY KEY, value TEXT);
             CREATE TABLE rows (name TEXT UNIQUE, data BLOB, parent TEXT REFERENCES rows (name) DEFERRABLE INITIALLY DEFERRED);",
        )
        .expect("a schema");
        Writer::start(conn).expect("threads")
    }

    fn insert(tx: &Connection, name: &str) -> rusqlite::Result<()> {
        tx.execute("INSERT INTO rows (name) VALUES (?1)", [name]).map(drop)
    }

    fn names(writer: &Writer) -> Vec<String> {
        let read = |tx: &Connection| tx.prepare("SELECT name FROM rows")?.query_map([], |row| row.get(0))?.collect();
        writer.call(read).expect("the rows")
    }

    /// Keeps the writer busy until the sender is used or dropped, so that what is queued meanwhile becomes one batch.
    fn hold(writer: &Writer) -> Sender<()> {
        let (release, released): (_, Receiver<()>) = mpsc::channel();
        let (started, starts) = mpsc::channel();
        let work = move |_: &Connection| {
            started.send(()).expect("the test waits");
            released.recv().ok();
            Ok(())
        };
        assert!(writer.submit(0, work, |_| ()).is_ok());
        starts.recv().expect("the writer runs");
        release
    }

    type Outcome = Receiver<Result<(), WriteError>>;

    fn submit(writer: &Writer, work: impl FnMut(&Connection) -> rusqlite::Result<()> + Send + 'static) -> Outcome {
        let (sender, receiver) = mpsc::channel();
        assert!(writer.submit(0, work, move |outcome| sender.send(outcome).expect("the test waits")).is_ok());
        receiver
    }

    #[test]
    fn a_job_that_fails_takes_no_other_with_it() {
        let (writer, threads) = start();
        let release = hold(&writer);
        let good = ["a", "b", "c"].map(|name| submit(&writer, move |tx| insert(tx, name)));
        let bad = [
            submit(&writer, |tx| insert(tx, "half").and_then(|()| tx.execute_batch("nonsense"))),
            submit(&writer, |tx| insert(tx, "a")),
            submit(&writer, |tx| insert(tx, "half").map(|()| panic!("a job of a test panics"))),
            // Refused only when it is to be committed.
            submit(&writer, |tx| tx.execute("INSERT INTO rows VALUES ('half', NULL, 'nobody')", []).map(drop)),
        ];
        let last = submit(&writer, |tx| insert(tx, "d"));
        drop(release);
        for outcome in good.iter().chain([&last]) {
            assert!(matches!(outcome.recv(), Ok(Ok(()))));
        }
        for outcome in bad {
            let outcome = outcome.recv().expect("an outcome");
            assert!(matches!(outcome, Err(WriteError::Job(_))), "{outcome:?}");
        }
        // Each once, though the batch was run again.
        assert_eq!(names(&writer), ["a", "b", "c", "d"]);
        assert_eq!(writer.trouble(), None);
        threads.stop();
    }

    #[test]
    fn a_full_disk_refuses_what_does_not_fit_and_shows() {
        let (writer, threads) = start();
        let limit = |pages: &'static str| {
            let set = move |tx: &Connection| tx.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()));
            writer.call(set).expect("a pragma");
        };
        limit("20");
        let release = hold(&writer);
        let large = |tx: &Connection| tx.execute("INSERT INTO rows VALUES ('large', zeroblob(1000000), NULL)", []);
        let small = submit(&writer, |tx| insert(tx, "small"));
        let refused = submit(&writer, move |tx| large(tx).map(drop));
        drop(release);
        assert!(matches!(small.recv(), Ok(Ok(()))));
        let refused = refused.recv().expect("an outcome");
        assert!(matches!(refused, Err(WriteError::Storage { full: true, .. })), "{refused:?}");
        assert!(writer.trouble().is_some_and(|trouble| trouble.contains("full")), "{:?}", writer.trouble());
        limit("1000");
        assert!(writer.trouble().is_some(), "a job that writes nothing shows nothing");
        writer.call(large).expect("room again");
        assert_eq!(writer.trouble(), None);
        threads.stop();
    }

    #[test]
    fn health_recovers_without_traffic() {
        let folder = TempDir::new();
        let open =
            || Connection::open_with_flags(folder.path().join("x.db"), OpenFlags::default()).expect("a database");
        let (conn, other) = (open(), open());
        conn.busy_timeout(Duration::ZERO).expect("a setting");
        let (writer, threads) = start_on(conn);
        other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
        let outcome = writer.call(|tx| insert(tx, "a"));
        assert!(matches!(outcome, Err(WriteError::Storage { full: false, .. })), "{outcome:?}");
        assert!(writer.trouble().is_some_and(|trouble| trouble.contains("locked")), "{:?}", writer.trouble());
        other.execute_batch("ROLLBACK").expect("no lock");
        wait_for("a probe", || writer.trouble().is_none().then_some(()));
        threads.stop();
    }

    #[test]
    fn somebody_elses_lock_is_waited_for_once_not_by_each() {
        const JOBS: usize = 20;
        let folder = TempDir::new();
        let open =
            || Connection::open_with_flags(folder.path().join("x.db"), OpenFlags::default()).expect("a database");
        let (conn, other) = (open(), open());
        conn.busy_timeout(Duration::from_millis(200)).expect("a setting");
        let (writer, threads) = start_on(conn);
        other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
        let began = Instant::now();
        let outcomes: Vec<_> = (0..JOBS).map(|n| submit(&writer, move |tx| insert(tx, &n.to_string()))).collect();
        for outcome in outcomes {
            let outcome = outcome.recv().expect("an outcome");
            assert!(matches!(outcome, Err(WriteError::Storage { full: false, .. })), "{outcome:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
        other.execute_batch("ROLLBACK").expect("no lock");
        assert_eq!(names(&writer), Vec::<String>::new(), "what was refused is not stored later");
        threads.stop();
    }

    #[test]
    fn what_has_waited_too_long_is_not_stored() {
        let (writer, threads) = start();
        let release = hold(&writer);
        let late = submit(&writer, |tx| insert(tx, "late"));
        let long_ago = Instant::now().checked_sub(QUEUED_TIME_MAX).expect("the machine has been up for longer");
        lock(&writer.shared.queue).jobs[0].since = long_ago;
        let in_time = submit(&writer, |tx| insert(tx, "in time"));
        drop(release);
        assert!(matches!(late.recv(), Ok(Err(WriteError::Late))));
        assert!(matches!(in_time.recv(), Ok(Ok(()))));
        assert_eq!(names(&writer), ["in time"]);
        threads.stop();
    }

    #[test]
    fn a_full_queue_refuses_and_hands_back() {
        let (writer, threads) = start();
        let release = hold(&writer);
        assert!(writer.submit(QUEUE_BYTES_MAX + 1, |_| Ok(()), |_| ()).is_ok(), "one job of any size fits");
        let (sender, answered) = mpsc::channel();
        let done = move |_| sender.send(()).expect("the test waits");
        let (error, done) = writer.submit(1, |_| Ok(()), done).expect_err("too many bytes");
        assert!(matches!(error, WriteError::Full));
        done(Ok(()));
        assert!(answered.try_recv().is_ok(), "handed back as it was");
        drop(release);
        wait_for("room", || writer.submit(0, |_| Ok(()), |_| ()).is_ok().then_some(()));

        let release = hold(&writer);
        for _ in 0..QUEUE_JOBS_MAX {
            assert!(writer.submit(0, |_| Ok(()), |_| ()).is_ok());
        }
        assert!(matches!(writer.submit(0, |_| Ok(()), |_| ()), Err((WriteError::Full, _))));
        drop(release);
        threads.stop();
    }

    #[test]
    fn a_stop_commits_and_answers_what_was_accepted() {
        let (writer, threads) = start();
        let release = hold(&writer);
        let accepted: Vec<_> = (0..600).map(|n| submit(&writer, move |tx| insert(tx, &n.to_string()))).collect();
        let stopping = thread::spawn(|| threads.stop());
        wait_for("the stop", || lock(&writer.shared.queue).stopped.then_some(()));
        assert!(matches!(writer.submit(0, |_| Ok(()), |_| ()), Err((WriteError::Stopped, _))));
        assert!(matches!(writer.call(|_| Ok(())), Err(WriteError::Stopped)));
        drop(release);
        stopping.join().expect("the stop");
        assert!(accepted.iter().all(|outcome| matches!(outcome.try_recv(), Ok(Ok(())))));
    }

    #[test]
    fn an_answer_that_panics_stops_no_other() {
        let (writer, threads) = start();
        for _ in 0..2 * REPLY_THREADS {
            assert!(writer.submit(0, |_| Ok(()), |_| panic!("an answer of a test panics")).is_ok());
        }
        assert_eq!(names(&writer), Vec::<String>::new());
        threads.stop();
    }
}
