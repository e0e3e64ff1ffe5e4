//! The way from the screen to tiny_http: a few connections to its Unix socket, kept open and shared.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Requests behind the screen at a time. Each costs tiny_http a thread; a commit shared by so many is cheap enough.
pub(super) const LOCAL_CONNECTIONS_MAX: usize = 64;
/// How long a request waits for a free connection, and for the greeting of a new one.
const WAIT: Duration = Duration::from_secs(5);
/// A connection that was not needed for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long an answer may take: longer than any query, write or wait behind the screen.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// What a new connection says first, and the length of the answer that [`crate::http::server`] gives at once.
/// No target of a client can be this: the screen lets only visible characters through.
pub(crate) const GREETING_TARGET: &str = "\x01";
const GREETING: &[u8] = b"GET \x01 HTTP/1.1\r\n\r\n";
const GREETING_ANSWER_MAX: usize = 256;

pub(super) struct LocalPool {
    path: PathBuf,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    /// Each with the time since when; the last one returned comes last.
    idle: Vec<(Instant, UnixStream)>,
    open: usize,
    /// One of them is being opened. Of several that arrive at once tiny_http gives more than one to a waiting thread, and
    /// those behind the first wait until that one is closed: for ever.
    is_opening: bool,
}

impl State {
    /// Closes what was not needed for a while, so that a burst leaves nothing behind.
    fn close_unused(&mut self) {
        let unused = self.idle.iter().take_while(|(since, _)| since.elapsed() >= IDLE_MAX).count();
        self.idle.drain(..unused);
        self.open -= unused;
    }

    const fn has_none(&self) -> bool {
        self.idle.is_empty() && (self.is_opening || self.open >= LOCAL_CONNECTIONS_MAX)
    }
}

/// A connection in use. It goes back to the pool only when [`Local::reusable`] says that its answer was read to the end.
pub(super) struct Local<'p> {
    pool: &'p LocalPool,
    stream: Option<UnixStream>,
    reusable: bool,
}

impl LocalPool {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default(), returned: Condvar::new() }
    }

    pub(super) fn take(&self) -> io::Result<Local<'_>> {
        let (mut state, _) = self
            .returned
            .wait_timeout_while(lock(&self.state), WAIT, |state| state.has_none())
            .unwrap_or_else(PoisonError::into_inner);
        // The last one returned is the one whose thread and buffers are warm.
        if let Some((_, stream)) = state.idle.pop() {
            return Ok(Local { pool: self, stream: Some(stream), reusable: false });
        }
        if state.has_none() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.open += 1;
        state.is_opening = true;
        drop(state);
        let opened = self.open();
        lock(&self.state).is_opening = false;
        self.returned.notify_one();
        let mut local = Local { pool: self, stream: None, reusable: false };
        local.stream = Some(opened?);
        Ok(local)
    }

    /// Closes connections that were not needed for a while.
    pub(super) fn close_unused(&self) {
        lock(&self.state).close_unused();
    }

    /// Opens a connection and waits until a thread of tiny_http serves it.
    fn open(&self) -> io::Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.path)?;
        stream.set_read_timeout(Some(WAIT))?;
        stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
        stream.write_all(GREETING)?;
        let mut answer = [0; GREETING_ANSWER_MAX];
        let mut length = 0;
        while !answer[..length].ends_with(b"\r\n\r\n") {
            match read_once(&mut stream, &mut answer[length..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => length += count,
            }
        }
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        Ok(stream)
    }
}

impl Local<'_> {
    pub(super) fn stream(&mut self) -> io::Result<&mut UnixStream> {
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    pub(super) const fn reusable(&mut self) {
        self.reusable = true;
    }
}

impl Drop for Local<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.pool.state);
        match self.stream.take() {
            Some(stream) if self.reusable => state.idle.push((Instant::now(), stream)),
            _ => state.open -= 1,
        }
        state.close_unused();
        drop(state);
        self.pool.returned.notify_one();
    }
}

/// One read that gives something. The kernel breaks one with a time limit off when the process was stopped meanwhile
/// (signal(7)): that is no answer.
pub(super) fn read_once(stream: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
