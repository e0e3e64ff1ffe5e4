//! Bounds what many may hold in memory at a time: large bodies, large answers, large events being translated.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Up to this size nobody needs permission: connections are bounded, and so many small ones fit.
pub const SMALL_BYTES: usize = 16 << 10;

/// So many bytes, of which shares are taken.
pub struct Memory {
    most: usize,
    free: Mutex<usize>,
    returned: Condvar,
}

/// A share of the memory; gives it back when dropped.
pub struct Share<'m> {
    memory: &'m Memory,
    bytes: usize,
}

impl Memory {
    /// With so much to share.
    pub const fn new(most: usize) -> Self {
        Self { most, free: Mutex::new(most), returned: Condvar::new() }
    }

    /// Waits for room; none when there is none in time.
    pub fn take(&self, bytes: usize, patience: Duration) -> Option<Share<'_>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_taken_while_there_is_room_and_given_back() {
        let memory = Memory::new(100 << 10);
        let take = |bytes| memory.take(bytes, Duration::ZERO);
        let first = take(60 << 10).expect("room");
        assert!(take(60 << 10).is_none());
        let second = take(40 << 10).expect("the rest");
        assert!(take(SMALL_BYTES + 1).is_none() && take(SMALL_BYTES).is_some());
        drop(first);
        assert!(take(60 << 10).is_some() && take(61 << 10).is_none());
        drop(second);
        // Alone, whatever its size.
        let large = take(1 << 20).expect("all the room");
        assert!(take(SMALL_BYTES + 1).is_none());
        drop(large);
        assert!(take(100 << 10).is_some());
    }

    #[test]
    fn a_share_that_is_given_back_goes_to_who_waits() {
        let memory = Memory::new(100 << 10);
        let share = memory.take(100 << 10, Duration::ZERO).expect("room");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| memory.take(100 << 10, crate::testing::PATIENCE).is_some());
            drop(share);
            assert!(waiting.join().expect("no panic"));
        });
    }
}
