//! The memory that large bodies, or large answers, may hold at a time.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Up to this size a body or answer needs no permission: connections are bounded, and so many small ones fit.
pub(super) const SMALL_BYTES: usize = 16 << 10;

pub(super) struct Memory {
    most: usize,
    free: Mutex<usize>,
    returned: Condvar,
}

/// A share of the memory; gives it back when dropped.
pub(super) struct Share<'m> {
    memory: &'m Memory,
    bytes: usize,
}

impl Memory {
    pub(super) const fn new(most: usize) -> Self {
        Self { most, free: Mutex::new(most), returned: Condvar::new() }
    }

    /// Waits for room; none when there is none in time.
    pub(super) fn take(&self, bytes: usize, patience: Duration) -> Option<Share<'_>> {
        if bytes <= SMALL_BYTES {
            return Some(Share { memory: self, bytes: 0 });
        }
        // What is larger than all the room may still pass alone.
        let bytes = bytes.min(self.most);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut free, _) = self
            .returned
            .wait_timeout_while(free, patience, |free| *free < bytes)
            .unwrap_or_else(PoisonError::into_inner);
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
