//! What `cargo fuzz` calls (`fuzz/`): bytes of strangers, all the way to an answer. Panics where a promise is broken.

use common::clock::Timestamp;
use common::query::Query;
use rusqlite::Connection;

use crate::fingerprint::Fingerprint;
use crate::group::Filter;
use crate::report::Report;
use crate::store;

const NOW: Timestamp = Timestamp::from_millis(1_768_900_000_000);

thread_local! {
    static DATABASE: Connection = {
        let conn = common::testing::database::in_memory(store::MIGRATIONS);
        store::register_functions(&conn).expect("our functions");
        conn
    };
}

/// A report is refused, or stored and shown.
pub fn report(bytes: &[u8]) {
    let Ok(report) = Report::parse(bytes) else { return };
    let fingerprint = Fingerprint::of(&report.project, &report.exception_type, &report.traceback);
    DATABASE.with(|conn| {
        let recorded = store::record(conn, NOW, &report, &fingerprint, true, None).expect("stored").expect("new");
        store::detail(conn, recorded.id).expect("read").expect("it is there");
    });
}

/// A list is refused, or answered.
pub fn list(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(Ok(filter)) = Query::parse(text).map(|query| Filter::parse(&query)) else { return };
    DATABASE.with(|conn| store::list(conn, &filter).expect("an answer"));
}
