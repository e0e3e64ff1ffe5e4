//! The memory that large bodies may hold at a time.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Up to this size a body needs no permission: connections are bounded, and so many small ones fit.
pub(super) const SMALL_BODY_BYTES: usize = 16 << 10;
/// All larger bodies together.
const LARGE_BODIES_BYTES_MAX: usize = 4 << 20;
/// How long a large body waits for its turn.
const WAIT: Duration = Duration::from_secs(2);

pub(super) struct Memory {
    free: Mutex<usize>,
    returned: Condvar,
}

/// A share of the memory; gives it back when dropped.
pub(super) struct Share<'m> {
    memory: &'m Memory,
    bytes: usize,
}

impl Memory {
    pub(super) const fn new() -> Self {
        Self { free: Mutex::new(LARGE_BODIES_BYTES_MAX), returned: Condvar::new() }
    }

    /// Waits for room for a body; none when there is none in time.
    pub(super) fn take(&self, bytes: usize) -> Option<Share<'_>> {
        if bytes <= SMALL_BODY_BYTES {
            return Some(Share { memory: self, bytes: 0 });
        }
        // One body larger than all the room may still pass alone.
        let bytes = bytes.min(LARGE_BODIES_BYTES_MAX);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut free, _) =
            self.returned.wait_timeout_while(free, WAIT, |free| *free < bytes).unwrap_or_else(PoisonError::into_inner);
        (*free >= bytes).then(|| {
            *free -= bytes;
            Share { memory: self, bytes }
        })
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            *self.memory.free.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
            self.memory.returned.notify_all();
        }
    }
}
