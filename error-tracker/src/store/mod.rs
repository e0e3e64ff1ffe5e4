//! Every SQL statement of error-tracker: [`reports`] write groups, [`lists`] read them, [`mod@alerts`] are the mail queue.

mod alerts;
mod lists;
mod reports;
mod search;

use common::db::Migration;
use rusqlite::Connection;

pub(crate) use alerts::{
    ALERTS_KEPT, AlertRow, AlertState, alerts, count_pending_alerts, finish_alerts, insert_test_alert,
    note_alert_attempt, pending_alerts, trim_alerts,
};
pub(crate) use lists::{detail, list, projects};
pub(crate) use reports::{
    IDEMPOTENCY_KEPT, Recorded, delete_resolved_before, forget_idempotency_keys, record, reopen, resolve,
};

/// Steps 1 to 4 are the original's; its files start somewhere among them.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "errors", sql: include_str!("../../migrations/0001_errors.sql") },
    Migration { version: 2, name: "occurrences", sql: include_str!("../../migrations/0002_error_occurrences.sql") },
    Migration { version: 3, name: "indexes", sql: include_str!("../../migrations/0003_indexes.sql") },
    Migration { version: 4, name: "no environment", sql: include_str!("../../migrations/0004_drop_environment.sql") },
    Migration { version: 5, name: "narrow groups, alerts", sql: include_str!("../../migrations/0005_groups.sql") },
    Migration { version: 6, name: "activity", sql: include_str!("../../migrations/0006_activity.sql") },
];

/// Makes our SQL functions known to a connection.
pub(crate) fn register_functions(conn: &Connection) -> rusqlite::Result<()> {
    search::register(conn)
}

#[cfg(test)]
pub(crate) mod testing {
    use rusqlite::Connection;

    /// An empty database in memory with our schema.
    pub(crate) fn database() -> Connection {
        let conn = common::testing::database::in_memory(super::MIGRATIONS);
        super::register_functions(&conn).expect("our functions");
        conn
    }
}
