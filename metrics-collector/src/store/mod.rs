//! Every SQL statement of metrics-collector.

pub(crate) mod cells;
pub(crate) mod idempotency;
pub(crate) mod lists;
pub(crate) mod pending;
pub(crate) mod points;
pub(crate) mod retention;
pub(crate) mod rollups;
pub(crate) mod scan;
mod scratch;
pub(crate) mod series;
#[cfg(test)]
pub(crate) mod testing;

use common::db::Migration;
use rusqlite::Connection;

/// Steps 1 to 6 are the original's; its files start somewhere among them.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "raw metrics", sql: include_str!("../../migrations/0001_metrics_raw.sql") },
    Migration { version: 2, name: "aggregates", sql: include_str!("../../migrations/0002_metrics_aggregated.sql") },
    Migration { version: 3, name: "indexes", sql: include_str!("../../migrations/0003_indexes.sql") },
    Migration { version: 4, name: "projects", sql: include_str!("../../migrations/0004_raw_project.sql") },
    Migration {
        version: 5,
        name: "projects of aggregates",
        sql: include_str!("../../migrations/0005_aggregated_project.sql"),
    },
    Migration { version: 6, name: "project indexes", sql: include_str!("../../migrations/0006_project_indexes.sql") },
    Migration { version: 7, name: "series", sql: include_str!("../../migrations/0007_series.sql") },
];

/// Runs several queries on one state of the database.
pub(crate) fn on_one_state<T, E: From<rusqlite::Error>>(
    conn: &Connection,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    // Inside another transaction, as in tests and jobs, that one is the state.
    let tx = conn.is_autocommit().then(|| conn.unchecked_transaction()).transpose()?;
    let outcome = work()?;
    tx.map_or(Ok(()), rusqlite::Transaction::commit)?;
    Ok(outcome)
}
