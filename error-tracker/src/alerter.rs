//! The thread `alerts`: takes alerts from the table, turns them into mails at a bounded rate, and tries each until it is
//! delivered or given up.
//!
//! The table is the queue. An alert stays pending there until its mail is settled, so a crash loses none; one that
//! happens between a delivery and its record makes that mail arrive twice.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::clock::{Clock, Timestamp};
use common::db::Reader;
use common::shutdown::Stop;
use common::writer::Writer;

use crate::alert::{self, DIGEST_LINES_MAX, Mail, Next, Pace, PendingAlert, Span};
use crate::mailer::{Mailer, Recipient};
use crate::store::{self, AlertState};

/// Mails between their first attempt and their end. More alerts wait in the table.
const UNDER_WAY_MAX: usize = 16;
/// How long to wait after the database could not be read or written.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);
/// How long a stop waits for a session in progress. Cut off, its mail goes out again at the next start.
const STOP_WAIT: Duration = Duration::from_secs(1);
/// A TLS handshake fits, and a query.
const STACK_BYTES: usize = 512 << 10;

/// Counters for self-metrics.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Mails delivered, per recipient.
    pub(crate) sent: AtomicU64,
    /// Mails given up, per recipient.
    pub(crate) failed: AtomicU64,
    /// Sessions tried.
    pub(crate) attempts: AtomicU64,
    /// Mails that stood for many alerts.
    pub(crate) digests: AtomicU64,
    /// Alerts in the table that are not settled.
    pub(crate) pending: AtomicU64,
}

/// The running thread.
pub(crate) struct Alerter {
    handle: AlerterHandle,
    ended: mpsc::Receiver<()>,
}

/// For those who raise alerts and those who watch. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AlerterHandle {
    signal: Arc<Signal>,
    figures: Arc<Figures>,
}

impl Alerter {
    /// Starts the thread. `retry_after` holds the pause before each attempt, the first included; after the last of them
    /// a mail is given up.
    pub(crate) fn spawn(
        mailer: Mailer,
        retry_after: Vec<Duration>,
        base_url: String,
        reader: Reader,
        writer: Writer,
        clock: Clock,
        stop: Stop,
    ) -> io::Result<Self> {
        let handle = AlerterHandle { signal: Arc::default(), figures: Arc::default() };
        let (running, ended) = mpsc::channel();
        let desk = Desk {
            signal: Arc::clone(&handle.signal),
            figures: Arc::clone(&handle.figures),
            pace: Pace::new(clock.now()),
            mailer,
            retry_after,
            base_url,
            reader,
            writer,
            clock,
            stop,
            taken: 0,
            tests_taken: 0,
            under_way: Vec::new(),
            settled: Vec::new(),
            is_away: false,
            paced_until: None,
        };
        thread::Builder::new().name("alerts".into()).stack_size(STACK_BYTES).spawn(move || {
            desk.run();
            // Held until here; also dropped by a panic.
            drop(running);
        })?;
        Ok(Self { handle, ended })
    }

    /// A handle for others.
    pub(crate) fn handle(&self) -> AlerterHandle {
        self.handle.clone()
    }

    /// Stops the thread, and waits a moment for it.
    pub(crate) fn stop(self) {
        self.handle.signal.stop();
        if self.ended.recv_timeout(STOP_WAIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            log::warn!("an SMTP session was still in progress; its mail goes out again at the next start");
        }
    }
}

impl AlerterHandle {
    /// Says that there is a new alert in the table.
    pub(crate) fn wake(&self) {
        self.signal.wake();
    }

    /// The counters.
    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }
}

/// What the thread sleeps on.
#[derive(Default)]
struct Signal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Default)]
struct SignalState {
    is_woken: bool,
    is_stopped: bool,
}

impl Signal {
    fn wake(&self) {
        self.lock().is_woken = true;
        self.changed.notify_all();
    }

    fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    /// Sleeps until woken, stopped, or for at most `limit`; whether to go on.
    fn wait(&self, limit: Option<Duration>) -> bool {
        let is_quiet = |state: &mut SignalState| !state.is_woken && !state.is_stopped;
        let mut state = match limit {
            Some(limit) => {
                let waited = self.changed.wait_timeout_while(self.lock(), limit, is_quiet);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait_while(self.lock(), is_quiet).unwrap_or_else(PoisonError::into_inner),
        };
        state.is_woken = false;
        !state.is_stopped
    }

    fn lock(&self) -> MutexGuard<'_, SignalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A mail that some recipients have not got yet.
struct UnderWay {
    span: Span,
    alerts: u64,
    mail: Mail,
    left: Vec<Recipient>,
    delivered: usize,
    refused: Vec<String>,
    attempts: usize,
    due: Instant,
}

/// The end of a mail, to be written into the table.
#[derive(Clone)]
struct Settled {
    span: Span,
    state: AlertState,
    error: Option<String>,
}

/// All that the thread works with.
struct Desk {
    mailer: Mailer,
    retry_after: Vec<Duration>,
    base_url: String,
    reader: Reader,
    writer: Writer,
    clock: Clock,
    stop: Stop,
    signal: Arc<Signal>,
    figures: Arc<Figures>,
    pace: Pace,
    /// Alerts with ids up to here have a mail already; ids grow in the order of commits.
    taken: i64,
    /// The same for test alerts, which overtake.
    tests_taken: i64,
    under_way: Vec<UnderWay>,
    /// Waiting for the database to take them; bounded like `under_way`.
    settled: Vec<Settled>,
    /// The last attempt found no server.
    is_away: bool,
    paced_until: Option<Timestamp>,
}

impl Desk {
    fn run(mut self) {
        loop {
            let pause = self.work().unwrap_or_else(|error| {
                log::warn!("alerts: {error}");
                Some(DATABASE_PAUSE)
            });
            if !self.signal.wait(pause) {
                return;
            }
        }
    }

    /// Does all that is due; how long there is nothing to do then (none: until woken).
    fn work(&mut self) -> Result<Option<Duration>, Box<dyn std::error::Error>> {
        // Test and other mails take turns, so that neither can hold up the other for long.
        let mut is_busy = true;
        while is_busy {
            is_busy = self.take_test()? | self.attempt_one(true);
            self.record()?;
            is_busy |= self.take_alerts()? | self.attempt_one(false);
            self.record()?;
            if self.is_stopped() {
                return Ok(None);
            }
        }
        let retry = self.under_way.iter().map(|mail| mail.due.saturating_duration_since(Instant::now())).min();
        let paced = self.paced_until.map(|until| until.since(self.clock.now()));
        Ok(retry.into_iter().chain(paced).min())
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_stopped() || self.signal.lock().is_stopped
    }

    /// Makes a mail of the oldest test alert.
    fn take_test(&mut self) -> rusqlite::Result<bool> {
        let (total, last) = self.waiting(self.tests_taken, true)?;
        if total == 0 || self.under_way.len() >= UNDER_WAY_MAX {
            return Ok(false);
        }
        let ids = self.tests_taken + 1..=last;
        let alerts = store::pending_alerts(&self.reader, &Span { ids, tests: true }, 1)?;
        if let Some(alert) = alerts.first() {
            self.start(Span { ids: alert.id..=alert.id, tests: true }, 1, alert::test_mail(&self.base_url));
        }
        self.tests_taken = alerts.first().map_or(last, |alert| alert.id);
        Ok(true)
    }

    /// Makes a mail of the oldest alert, or of all, as the pace allows.
    fn take_alerts(&mut self) -> rusqlite::Result<bool> {
        self.paced_until = None;
        let (total, last) = self.waiting(self.taken, false)?;
        let under_way: u64 = self.under_way.iter().map(|mail| mail.alerts).sum();
        self.figures.pending.store(total + under_way, Ordering::Relaxed);
        // With no server there, alerts gather in the table: they are safe there, and a digest brings them all.
        let is_held = self.is_away && !self.under_way.is_empty();
        if total == 0 || is_held || self.under_way.len() >= UNDER_WAY_MAX {
            return Ok(false);
        }
        let most = match self.pace.next(total, self.clock.now()) {
            Next::WaitUntil(until) => {
                self.paced_until = Some(until);
                return Ok(false);
            }
            Next::One => 1,
            Next::Digest => DIGEST_LINES_MAX,
        };
        let waiting = Span { ids: self.taken + 1..=last, tests: false };
        let alerts = store::pending_alerts(&self.reader, &waiting, most)?;
        self.taken = match &alerts[..] {
            [] => self.drop_orphans(waiting),
            [alert] if most == 1 || total == 1 => self.start_one(alert),
            _ => self.start_digest(waiting, &alerts, total),
        };
        Ok(true)
    }

    fn waiting(&self, taken: i64, tests: bool) -> rusqlite::Result<(u64, i64)> {
        self.reader.restart_time_limit();
        store::count_pending_alerts(&self.reader, &Span { ids: taken + 1..=i64::MAX, tests })
    }

    /// Alerts whose error was deleted meanwhile have nothing to tell.
    fn drop_orphans(&mut self, span: Span) -> i64 {
        let last = *span.ids.end();
        let error = Some("the error was deleted".to_owned());
        self.settled.push(Settled { span, state: AlertState::Dropped, error });
        last
    }

    fn start_one(&mut self, alert: &PendingAlert) -> i64 {
        let mail = alert::compose(alert, &self.base_url);
        // From the last one taken, so that orphans on the way are settled with it.
        self.start(Span { ids: self.taken + 1..=alert.id, tests: false }, 1, mail);
        alert.id
    }

    fn start_digest(&mut self, span: Span, alerts: &[PendingAlert], total: u64) -> i64 {
        let last = *span.ids.end();
        let mail = alert::digest(alerts, total, &self.base_url);
        self.figures.digests.fetch_add(1, Ordering::Relaxed);
        self.start(span, total, mail);
        last
    }

    fn start(&mut self, span: Span, alerts: u64, mail: Mail) {
        self.under_way.push(UnderWay {
            span,
            alerts,
            mail,
            left: self.mailer.recipients().to_vec(),
            delivered: 0,
            refused: Vec::new(),
            attempts: 0,
            due: Instant::now() + self.retry_after.first().copied().unwrap_or_default(),
        });
    }

    /// One session for the mail that has been due the longest; whether there was one.
    fn attempt_one(&mut self, tests: bool) -> bool {
        let now = Instant::now();
        let due = self.under_way.iter().enumerate().filter(|(_, mail)| mail.span.tests == tests && mail.due <= now);
        let Some((place, _)) = due.min_by_key(|(_, mail)| mail.due) else { return false };
        if self.is_stopped() {
            return false;
        }
        let mut mail = self.under_way.swap_remove(place);
        let outcome = self.mailer.deliver(&mail.mail, &mut mail.left);
        self.is_away = outcome.is_away;
        mail.attempts += 1;
        mail.delivered += outcome.delivered;
        self.figures.attempts.fetch_add(1, Ordering::Relaxed);
        self.figures.sent.fetch_add(outcome.delivered as u64, Ordering::Relaxed);
        self.figures.failed.fetch_add(outcome.refused.len() as u64, Ordering::Relaxed);
        for refused in &outcome.refused {
            log::error!("{} not sent, refused for good: {refused}", mail.name());
        }
        mail.refused.extend(outcome.refused);
        match (outcome.delayed, self.retry_after.get(mail.attempts)) {
            (Some(reason), Some(pause)) => self.try_again(mail, *pause, reason),
            (Some(reason), None) => self.give_up(mail, reason),
            (None, _) => self.settled.push(mail.settle(None)),
        }
        true
    }

    fn try_again(&mut self, mut mail: UnderWay, pause: Duration, reason: String) {
        log::warn!("{} not sent at attempt {}, next in {pause:?}: {reason}", mail.name(), mail.attempts);
        mail.due = Instant::now() + pause;
        let span = mail.span.clone();
        // The attempt only shows in lists; the next one is made all the same.
        if let Err(error) = self.writer.call(move |tx| store::note_alert_attempt(tx, &span, &reason)) {
            log::warn!("alerts: {error}");
        }
        self.under_way.push(mail);
    }

    fn give_up(&mut self, mail: UnderWay, reason: String) {
        log::error!("{} given up after {} attempts: {reason}", mail.name(), mail.attempts);
        self.figures.failed.fetch_add(mail.left.len() as u64, Ordering::Relaxed);
        self.settled.push(mail.settle(Some(reason)));
    }

    /// Writes the ends of mails into the table. What cannot be written is kept: an alert that was sent must not be sent
    /// again because the disk is full.
    fn record(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let now = self.clock.now();
        while let Some(settled) = self.settled.last().cloned() {
            let Settled { span, state, error, .. } = settled;
            self.writer
                .call(move |tx| store::finish_alerts(tx, &span, now, state, error.as_deref()))
                .map_err(|error| error.to_string())?;
            self.settled.pop();
        }
        Ok(())
    }
}

impl UnderWay {
    fn name(&self) -> String {
        let kind = if self.span.tests { "test alert" } else { "alert" };
        let (first, last) = (self.span.ids.start(), self.span.ids.end());
        if self.alerts == 1 { format!("{kind} {last}") } else { format!("{kind}s {first} to {last}") }
    }

    /// Sent if anybody got it; `delayed` is why those left never will.
    fn settle(self, delayed: Option<String>) -> Settled {
        let errors: Vec<_> = self.refused.into_iter().chain(delayed).collect();
        Settled {
            span: self.span,
            state: if self.delivered > 0 { AlertState::Sent } else { AlertState::Failed },
            error: (!errors.is_empty()).then(|| errors.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use common::db::Database;
    use common::testing::{TempDir, wait_for};
    use common::writer::WriterThreads;
    use rusqlite::{Connection, params};

    use super::*;
    use crate::alert::Reason;
    use crate::mailer::SmtpConfig;
    use crate::sink::Sink;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    /// A database with alerts in it, and whatever sends them.
    struct Fixture {
        folder: TempDir,
        database: Database,
        writer: Writer,
        threads: WriterThreads,
        clock: Clock,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = TempDir::new();
            let (database, conn) = open(folder.path());
            let (writer, threads) = Writer::start(conn).expect("a writer");
            Self { folder, database, writer, threads, clock: Clock::fixed(NOW) }
        }

        fn raise(&self, reason: Reason, count: usize) {
            for _ in 0..count {
                self.writer.call(move |tx| insert_alert(tx, reason, 1)).expect("an alert");
            }
        }

        fn spawn(&self, sink: &Sink, recipients: &[&str], retry_after_millis: &[u64]) -> Alerter {
            let config = SmtpConfig {
                host: "127.0.0.1".into(),
                port: sink.port,
                username: None,
                password: None,
                from: "errors@example.com".into(),
                recipients: recipients.iter().map(ToString::to_string).collect(),
                ca_file: None,
                plaintext_auth: false,
            };
            Alerter::spawn(
                Mailer::new(config).expect("a good configuration"),
                retry_after_millis.iter().copied().map(Duration::from_millis).collect(),
                "http://localhost:5010".into(),
                self.database.reader().expect("a reader"),
                self.writer.clone(),
                self.clock.clone(),
                Stop::new(),
            )
            .expect("a thread")
        }

        /// Waits until the states of all alerts, in order, are these.
        #[track_caller]
        fn wait_for_states(&self, expected: &[&str]) {
            let reader = self.database.reader().expect("a reader");
            wait_for(&format!("{expected:?}"), || (states(&reader) == expected).then_some(()));
        }

        fn end(self, alerter: Alerter) -> TempDir {
            alerter.stop();
            self.threads.stop();
            self.folder
        }
    }

    #[test]
    fn what_is_pending_at_start_is_sent() {
        let (fixture, sink) = (Fixture::new(), Sink::start(&[]));
        fixture.raise(Reason::New, 1);
        fixture.raise(Reason::Regression, 1);
        let alerter = fixture.spawn(&sink, &["ada@example.com"], &[0]);
        fixture.wait_for_states(&["sent", "sent"]);
        let subjects: Vec<_> = sink.wait_for_messages(2).iter().map(|message| message["subject"].clone()).collect();
        assert!(subjects[0].as_str().is_some_and(|subject| !subject.contains("regression")), "{subjects:?}");
        assert!(subjects[1].as_str().is_some_and(|subject| subject.contains("regression")), "{subjects:?}");
        let handle = alerter.handle();
        let figures = handle.figures();
        wait_for("no pending alerts", || (figures.pending.load(Ordering::Relaxed) == 0).then_some(()));
        assert_eq!((figures.sent.load(Ordering::Relaxed), figures.attempts.load(Ordering::Relaxed)), (2, 2));
        fixture.end(alerter);
    }

    #[test]
    fn a_storm_becomes_a_digest() {
        let (fixture, sink) = (Fixture::new(), Sink::start(&[]));
        fixture.raise(Reason::New, 70);
        let alerter = fixture.spawn(&sink, &["ada@example.com"], &[0]);
        fixture.wait_for_states(&["sent"; 70]);
        let messages = sink.wait_for_messages(1);
        assert_eq!(messages.len(), 1);
        assert!(messages[0]["subject"].as_str().is_some_and(|subject| subject.contains("70 errors")));
        assert!(messages[0]["text"].as_str().is_some_and(|text| text.contains("and 20 more")));
        // The digest was one mail of the burst: four more may leave.
        fixture.raise(Reason::New, 4);
        alerter.handle().wake();
        fixture.wait_for_states(&["sent"; 74]);
        assert_eq!(sink.wait_for_messages(5).len(), 5);
        fixture.end(alerter);
    }

    #[test]
    fn beyond_the_pace_alerts_wait_but_tests_do_not() {
        let (fixture, sink) = (Fixture::new(), Sink::start(&[]));
        fixture.raise(Reason::New, 5);
        let alerter = fixture.spawn(&sink, &["ada@example.com"], &[0]);
        fixture.wait_for_states(&["sent"; 5]);
        fixture.raise(Reason::New, 2);
        fixture.raise(Reason::Test, 2);
        alerter.handle().wake();
        fixture.wait_for_states(&["sent", "sent", "sent", "sent", "sent", "pending", "pending", "sent", "sent"]);
        fixture.clock.advance(Duration::from_mins(1));
        alerter.handle().wake();
        fixture.wait_for_states(&["sent"; 9]);
        assert_eq!(alerter.handle().figures().digests.load(Ordering::Relaxed), 1);
        assert_eq!(sink.wait_for_messages(8).len(), 8);
        fixture.end(alerter);
    }

    #[test]
    fn a_failed_mail_is_tried_again_until_it_arrives() {
        let (fixture, sink) = (Fixture::new(), Sink::start(&["--fail-sessions", "2"]));
        fixture.raise(Reason::New, 1);
        let alerter = fixture.spawn(&sink, &["ada@example.com"], &[0, 10, 10, 10]);
        fixture.wait_for_states(&["sent"]);
        assert_eq!(alerter.handle().figures().attempts.load(Ordering::Relaxed), 3);
        assert_eq!(attempts(&fixture.database), [3]);
        fixture.end(alerter);
    }

    #[test]
    fn a_mail_that_never_arrives_is_given_up() {
        let (fixture, sink) = (Fixture::new(), Sink::start(&["--fail-sessions", "99"]));
        fixture.raise(Reason::New, 1);
        fixture.raise(Reason::Test, 1);
        let alerter = fixture.spawn(&sink, &["ada@example.com"], &[0, 10]);
        fixture.wait_for_states(&["failed", "failed"]);
        assert_eq!(alerter.handle().figures().failed.load(Ordering::Relaxed), 2);
        sink.wait_for_sessions(4);
        fixture.end(alerter);
    }

    #[test]
    fn who_has_the_mail_does_not_get_it_again() {
        let (fixture, sink) = (Fixture::new(), Sink::start(&["--delay", "bob@example.com"]));
        fixture.raise(Reason::New, 1);
        let alerter = fixture.spawn(&sink, &["ada@example.com", "bob@example.com"], &[0, 10, 10]);
        // Somebody has it, so it was sent; the error stays beside it.
        fixture.wait_for_states(&["sent"]);
        assert_eq!(sink.wait_for_messages(1).len(), 1);
        sink.wait_for_sessions(3);
        fixture.end(alerter);
    }

    #[test]
    fn one_busy_mailbox_does_not_delay_later_alerts() {
        let (fixture, sink) = (Fixture::new(), Sink::start(&["--delay", "bob@example.com"]));
        fixture.raise(Reason::New, 2);
        let alerter = fixture.spawn(&sink, &["ada@example.com", "bob@example.com"], &[0, 60_000]);
        assert_eq!(sink.wait_for_messages(2).len(), 2);
        fixture.wait_for_states(&["pending", "pending"]);
        fixture.end(alerter);
    }

    #[test]
    fn without_a_server_alerts_gather_in_the_table() {
        let fixture = Fixture::new();
        let sink = Sink::start(&["--mode", "starttls"]);
        fixture.raise(Reason::New, 3);
        // Its certificate is not trusted, so there is no session at all.
        let alerter = fixture.spawn(&sink, &["ada@example.com"], &[0, 60_000]);
        let handle = alerter.handle();
        wait_for("an attempt", || (handle.figures().attempts.load(Ordering::Relaxed) > 0).then_some(()));
        fixture.raise(Reason::Test, 1);
        handle.wake();
        wait_for("the test", || (handle.figures().attempts.load(Ordering::Relaxed) == 2).then_some(()));
        fixture.wait_for_states(&["pending"; 4]);
        sink.wait_for_sessions(2);
        fixture.end(alerter);
    }

    #[test]
    fn a_stop_does_not_wait_for_a_retry_and_loses_nothing() {
        let (fixture, sink) = (Fixture::new(), Sink::start(&["--fail-sessions", "1"]));
        fixture.raise(Reason::New, 1);
        let alerter = fixture.spawn(&sink, &["ada@example.com"], &[0, 600_000]);
        // Stored, or the stop would wait for the disk.
        wait_for("an attempt", || (attempts(&fixture.database) == [1]).then_some(()));
        let began = Instant::now();
        let Fixture { folder, database, threads, .. } = fixture;
        alerter.stop();
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        threads.stop();
        drop(database);

        let (database, conn) = open(folder.path());
        let (writer, threads) = Writer::start(conn).expect("a writer");
        let again = Fixture { folder, database, writer, threads, clock: Clock::fixed(NOW) };
        let alerter = again.spawn(&sink, &["ada@example.com"], &[0]);
        again.wait_for_states(&["sent"]);
        again.end(alerter);
    }

    #[test]
    fn a_stop_leaves_a_hanging_session_behind() {
        let (fixture, sink) = (Fixture::new(), Sink::start(&["--hang"]));
        fixture.raise(Reason::New, 1);
        let alerter = fixture.spawn(&sink, &["ada@example.com"], &[0]);
        sink.wait_for_sessions(1);
        let began = Instant::now();
        alerter.stop();
        assert!(began.elapsed() < STOP_WAIT + Duration::from_secs(1), "{:?}", began.elapsed());
    }

    #[test]
    fn alerts_without_an_error_are_dropped() {
        let (fixture, sink) = (Fixture::new(), Sink::start(&[]));
        fixture.writer.call(|tx| insert_alert(tx, Reason::New, 2)).expect("an alert");
        let alerter = fixture.spawn(&sink, &["ada@example.com"], &[0]);
        fixture.wait_for_states(&["dropped"]);
        fixture.raise(Reason::New, 1);
        alerter.handle().wake();
        fixture.wait_for_states(&["dropped", "sent"]);
        assert_eq!(sink.wait_for_messages(1).len(), 1);
        fixture.end(alerter);
    }

    // What follows knows the schema.

    fn open(folder: &Path) -> (Database, Connection) {
        let (database, conn) =
            Database::open(&folder.join("errors.db"), "error-tracker", store::MIGRATIONS).expect("a database");
        conn.execute_batch(
            "INSERT OR IGNORE INTO groups VALUES (1, x'00', 'shop', 'ValueError', 'm', 1, 0, 0, NULL, 'server', '[]', NULL);
             INSERT OR IGNORE INTO group_tracebacks VALUES (1, 't');",
        )
        .expect("an error");
        (database, conn)
    }

    fn insert_alert(tx: &Connection, reason: Reason, group_id: i64) -> rusqlite::Result<usize> {
        let sql = "INSERT INTO alerts (group_id, reason, state, created_at) VALUES (?1, ?2, 'pending', 0)";
        tx.execute(sql, params![(reason != Reason::Test).then_some(group_id), reason.name()])
    }

    fn states(conn: &Connection) -> Vec<String> {
        let mut statement = conn.prepare("SELECT state FROM alerts ORDER BY id").expect("a statement");
        let states = statement.query_map([], |row| row.get(0)).expect("rows");
        states.collect::<Result<_, _>>().expect("texts")
    }

    fn attempts(database: &Database) -> Vec<i64> {
        let reader = database.reader().expect("a reader");
        let mut statement = reader.prepare("SELECT attempts FROM alerts ORDER BY id").expect("a statement");
        let attempts = statement.query_map([], |row| row.get(0)).expect("rows");
        attempts.collect::<Result<_, _>>().expect("numbers")
    }
}
