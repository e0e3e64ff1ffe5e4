//! The totals of the last dashboard, for the next one: most ask for the same period over and over, and what is rolled up
//! changes once a minute.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use crate::dashboard::Totals;
use crate::store::cells::TotalSpans;

/// What the rollups of one period come to. At most 1 MB, with [`MAX_SERIES`](crate::config) as it is.
#[derive(Default)]
pub(crate) struct TotalsCache(Mutex<Option<Kept>>);

struct Kept {
    spans: TotalSpans,
    /// How many minutes had been rolled up; late points change one that was.
    rollups: u64,
    totals: Totals,
}

impl TotalsCache {
    /// The totals of all rollups in these spans.
    pub(crate) fn of(&self, conn: &Connection, spans: &TotalSpans, rollups: u64) -> rusqlite::Result<Totals> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.rollups == rollups && kept.spans.has_same_rollups(spans)) {
            return Ok(kept.totals.clone());
        }
        let mut totals = Totals::default();
        spans.for_each_closed(conn, &mut |series, count, sum| totals.entry(series).or_default().add(count, sum))?;
        *kept = Some(Kept { spans: *spans, rollups, totals: totals.clone() });
        Ok(totals)
    }
}
