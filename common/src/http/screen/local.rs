//! The way from the screen to tiny_http: a few connections to its Unix socket, kept open and shared.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Requests behind the screen at a time. Each costs tiny_http a thread; a commit shared by so many is cheap enough.
const LOCAL_CONNECTIONS_MAX: usize = 64;
/// How long a request waits for a free connection.
const WAIT: Duration = Duration::from_secs(5);
/// How long an answer may take: longer than any query, write or wait behind the screen.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

pub(super) struct LocalPool {
    path: PathBuf,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<UnixStream>,
    open: usize,
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
            .wait_timeout_while(lock(&self.state), WAIT, |state| {
                state.idle.is_empty() && state.open >= LOCAL_CONNECTIONS_MAX
            })
            .unwrap_or_else(PoisonError::into_inner);
        // The last one returned is the one whose thread and buffers are warm.
        if let Some(stream) = state.idle.pop() {
            return Ok(Local { pool: self, stream: Some(stream), reusable: false });
        }
        if state.open >= LOCAL_CONNECTIONS_MAX {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.open += 1;
        drop(state);
        let mut local = Local { pool: self, stream: None, reusable: false };
        let stream = UnixStream::connect(&self.path)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
        local.stream = Some(stream);
        Ok(local)
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
            Some(stream) if self.reusable => state.idle.push(stream),
            _ => state.open -= 1,
        }
        drop(state);
        self.pool.returned.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
