//! What the tailer counts about itself.

use std::sync::atomic::{AtomicU64, Ordering};

use common::prometheus::Page;

/// A number that only grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds and returns what it was before.
    pub(crate) fn add(&self, count: u64) -> u64 {
        self.0.fetch_add(count, Ordering::Relaxed)
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(crate) struct Figures {
    /// Records read.
    pub(crate) lines: Counter,
    /// Entries committed.
    pub(crate) entries: Counter,
    /// Records that are not Docker's.
    pub(crate) corrupt: Counter,
    /// Records too long to be kept whole.
    pub(crate) cut: Counter,
    /// Files that were emptied.
    pub(crate) truncated: Counter,
    /// Times that files were deleted before they were read, as far as can be seen.
    pub(crate) gaps: Counter,
    /// Bytes of log files that were not stored at the last look.
    unstored_bytes: AtomicU64,
}

impl Figures {
    pub(crate) fn note_unstored(&self, bytes: u64) {
        self.unstored_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn render(&self, page: &mut Page) {
        let mut counter = |name: &str, help: &str, counter: &Counter| page.counter(name, help, counter.get());
        counter("monlight_log_lines_total", "Records read from log files.", &self.lines);
        counter("monlight_log_entries_total", "Entries stored.", &self.entries);
        counter("monlight_log_corrupt_total", "Records that are not Docker's, left out.", &self.corrupt);
        counter("monlight_log_cut_total", "Records too long to be kept whole.", &self.cut);
        counter("monlight_log_truncated_total", "Log files that were emptied.", &self.truncated);
        counter("monlight_log_gaps_total", "Times that log files were deleted before they were read.", &self.gaps);
        let unstored = self.unstored_bytes.load(Ordering::Relaxed);
        page.gauge("monlight_log_unstored_bytes", "Bytes of log files that are not stored yet.", unstored);
    }
}
