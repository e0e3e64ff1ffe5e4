//! Lets clients in, one after the other, and sees off those for whom there is no place.

use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Shared;
use super::connection::Connection;
use crate::http::error::ApiError;
use crate::http::metrics::Refusal;

/// How long it pauses after `accept` failed, for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(50);
/// Clients that had knocked when the service was told to stop are let in for so long.
const LAST_TIME_MAX: Duration = Duration::from_millis(500);
/// Clients without a place that are still being told so, and how long that may take. Closing at once would reset the
/// connection before the client has read why.
const TURNED_AWAY_MAX: usize = 64;
const TURNED_AWAY_TIME_MAX: Duration = Duration::from_secs(1);
/// How often it is looked whether they are done.
const TURNED_AWAY_CHECK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Accepts until the service stops, which `wake` tells.
pub(super) fn until_stopped(shared: &Arc<Shared>, listener: &TcpListener, wake: &OwnedFd) {
    let mut door = Door { shared, next_id: 0, turned_away: VecDeque::new() };
    while !shared.stopping.load(Ordering::SeqCst) {
        match door.let_in(listener) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => door.wait(listener, wake),
            Err(error) => {
                log::warn!("accept failed, trying again: {error}");
                shared.metrics.refused(Refusal::AcceptFailed);
                shared.evict_oldest();
                thread::sleep(PAUSE);
            }
        }
    }
    let deadline = Instant::now() + LAST_TIME_MAX;
    while Instant::now() < deadline && door.let_in(listener).is_ok() {}
}

struct Door<'s> {
    shared: &'s Arc<Shared>,
    next_id: u64,
    turned_away: VecDeque<(Instant, Arc<Connection>)>,
}

impl Door<'_> {
    /// Lets the next client in; fails with `WouldBlock` when there is none.
    fn let_in(&mut self, listener: &TcpListener) -> io::Result<()> {
        let (socket, peer) = match listener.accept() {
            // The client went away between its knock and our opening.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Ok(()),
            accepted => accepted?,
        };
        self.next_id += 1;
        let connection = Arc::new(Connection::new(self.next_id, socket, peer.ip()));
        if let Err(connection) = self.shared.take_in(connection) {
            connection.turn_away(&ApiError::unavailable(1, "Too many connections, try again"));
            if self.turned_away.len() == TURNED_AWAY_MAX {
                self.turned_away.pop_front();
            }
            self.turned_away.push_back((Instant::now(), connection));
        }
        self.see_off();
        Ok(())
    }

    /// Swallows what those without a place send, and closes when they are done.
    fn see_off(&mut self) {
        self.turned_away.retain(|(since, connection)| connection.swallow() && since.elapsed() < TURNED_AWAY_TIME_MAX);
    }

    /// Waits for a client or the stop.
    fn wait(&mut self, listener: &TcpListener, wake: &OwnedFd) {
        let mut sources = [PollFd::new(listener, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        let patience = (!self.turned_away.is_empty()).then_some(&TURNED_AWAY_CHECK);
        // Fails when a signal comes, which is another reason to look.
        let _ = poll(&mut sources, patience);
        self.see_off();
    }
}
