//! What `cargo fuzz` calls (`fuzz/`): bytes of strangers, all the way to an answer. Panics where a promise is broken.

use std::cell::RefCell;
use std::sync::Mutex;

use common::fuzzing::{Handlers, NOW, Setup};
use common::query::Query;
use rusqlite::Connection;

use crate::alert::{self, PendingAlert, Reason};
use crate::context::{AlertSwitch, Shared};
use crate::fingerprint::Fingerprint;
use crate::group::Filter;
use crate::report::Report;
use crate::routes::ROUTES;
use crate::store;

thread_local! {
    static DATABASE: Connection = {
        let conn = common::testing::database::in_memory(store::MIGRATIONS);
        store::register_functions(&conn).expect("our functions");
        conn
    };
    static HANDLERS: RefCell<Handlers<Shared>> = const { RefCell::new(Handlers::new(SETUP)) };
}

const SETUP: Setup<Shared> = Setup {
    routes: ROUTES,
    migrations: store::MIGRATIONS,
    prepare_reader: store::register_functions,
    shared: |_| Shared { alerts: AlertSwitch::Off { missing: "SMTP_HOST" }, large_answer: Mutex::new(()) },
    notes: &[],
};

/// A request is refused with a reason, or answered.
pub fn request(bytes: &[u8]) {
    HANDLERS.with_borrow_mut(|handlers| handlers.answer(bytes));
}

/// A report is refused, or stored and shown, and its mail holds nothing but the words of a mail.
pub fn report(bytes: &[u8]) {
    let Ok(report) = Report::parse(bytes) else { return };
    let fingerprint = Fingerprint::of(&report.project, &report.exception_type, &report.traceback);
    mail(&report);
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

/// Whatever the report says, its mails have the lines and the tags of any other.
fn mail(report: &Report) {
    let alert = |text: fn(&str) -> String| PendingAlert {
        id: 1,
        reason: Reason::New,
        group_id: 1,
        project: text(&report.project),
        exception_type: text(&report.exception_type),
        message: text(&report.message),
        traceback: text(&report.traceback),
        request: report.request_url.as_deref().map(|url| (text("GET"), text(url))),
        count: 1,
    };
    let (given, harmless) = (alert(str::to_owned), alert(|_| "x".to_owned()));
    for (mail, plain) in [
        (alert::compose(&given, "http://x"), alert::compose(&harmless, "http://x")),
        (alert::digest(&[given], 1, "http://x"), alert::digest(&[harmless], 1, "http://x")),
    ] {
        assert!(!mail.subject.contains(char::is_control), "{:?}", mail.subject);
        for part in [&mail.text, &mail.html] {
            assert_eq!(part.matches(['\r', '\n']).count(), 2 * part.matches("\r\n").count(), "{part:?}");
        }
        for special in ['<', '>', '"', '\''] {
            assert_eq!(mail.html.matches(special).count(), plain.html.matches(special).count(), "{}", mail.html);
        }
    }
}
