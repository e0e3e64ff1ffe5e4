//! Requests that may take long wait here when as many of them are under way as may be, so that a worker is always free for
//! what is answered at once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) struct Queue<T> {
    under_way_max: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    under_way: usize,
    /// Each came over a local connection of its own, of which the screen has few.
    waiting: VecDeque<T>,
}

impl<T> Queue<T> {
    pub(super) const fn new(under_way_max: usize) -> Self {
        Self { under_way_max, state: Mutex::new(State { under_way: 0, waiting: VecDeque::new() }) }
    }

    /// Gives the request back when it may begin now. It then has a place, which [`Self::next`] passes on.
    pub(super) fn enter(&self, request: T) -> Option<T> {
        let mut state = self.lock();
        if state.under_way == self.under_way_max {
            state.waiting.push_back(request);
            return None;
        }
        state.under_way += 1;
        Some(request)
    }

    /// After a request: the one that waited longest takes its place; the place is free when there is none.
    pub(super) fn next(&self) -> Option<T> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.under_way -= 1;
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
