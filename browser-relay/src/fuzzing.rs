//! What `cargo fuzz` calls (`fuzz/`): bytes of strangers, all the way to an answer. Panics where a promise is broken.

use std::cell::RefCell;
use std::sync::Arc;

use common::env::Secret;
use common::fuzzing::{Handlers, NOW, Setup};
use common::memory::Memory;
use common::service::Core;
use rusqlite::Connection;
use serde_json::value::RawValue;

use crate::config::{Backend, LARGE_EVENTS_BYTES_MAX};
use crate::context::Shared;
use crate::cors::Origins;
use crate::door::{CLIENT_NOTE, DSN_NOTE};
use crate::dsn::{self, Keys};
use crate::outbox::Outbox;
use crate::resolve::{resolve_position, resolve_stack};
use crate::routes::ROUTES;
use crate::sourcemap::arriving::NewMap;
use crate::sourcemap::parse::SourceMap;
use crate::stack::{self, Original, Place};
use crate::store;
use crate::translate::{BrowserError, Metrics};
use crate::upstream::Upstream;

thread_local! {
    static DATABASE: Connection = common::testing::database::in_memory(store::MIGRATIONS);
    static HANDLERS: RefCell<Handlers<Shared>> = const { RefCell::new(Handlers::new(SETUP)) };
}

const SETUP: Setup<Shared> = Setup {
    routes: ROUTES,
    migrations: store::MIGRATIONS,
    prepare_reader: |_| Ok(()),
    shared,
    notes: &[(DSN_NOTE, "1"), (CLIENT_NOTE, "192.0.2.1")],
};

/// One key, and back ends that are away: what is taken waits.
fn shared(core: &Core) -> Shared {
    let backend = || Backend { url: "http://127.0.0.1:1".into(), api_key: Secret::new("k") };
    let upstream = Arc::new(Upstream::new(backend(), backend()));
    let active = core.writer.call(|tx| {
        store::keys::seed(tx, NOW, "key", "p")?;
        store::keys::active(tx)
    });
    let keys = Arc::new(Keys::default());
    active.expect("a key").into_iter().for_each(|(key, dsn)| keys.add(key, dsn));
    let (outbox, threads) = Outbox::start(core, Arc::clone(&upstream)).expect("its threads");
    threads.stop();
    Shared { keys, upstream, outbox, large_events: Memory::new(LARGE_EVENTS_BYTES_MAX) }
}

/// A request is refused with a reason, or answered.
pub fn request(bytes: &[u8]) {
    HANDLERS.with_borrow_mut(|handlers| handlers.answer(bytes));
}

/// Settings: the origin of a page, then lines of `CORS_ORIGINS`, each of which is a seed of `DSN_KEYS` as well. What is read
/// is the same when it is written and read again, and only a star lets in what is not named.
pub fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let origin = lines.next().unwrap_or_default();
    let entries: Vec<&str> = lines.collect();
    for entry in &entries {
        if let Ok((project, key)) = dsn::parse_seed(entry) {
            assert_eq!(dsn::parse_seed(&format!("{project}:{key}")), Ok((project, key)));
        }
    }
    let Ok(origins) = Origins::parse(&entries) else { return };
    let stored = origins.entries().join(",");
    let again: Vec<&str> = stored.split(',').filter(|entry| !entry.is_empty()).collect();
    assert_eq!(Origins::parse(&again).as_ref(), Ok(&origins));
    if origins.allow(origin) {
        let named = again.contains(&origin);
        assert!(named || again.iter().any(|entry| entry.contains('*')), "{origin} by {stored}");
    }
}

/// A source map is refused, or stored and looked up.
pub fn source_map(bytes: &[u8]) {
    let Ok(map) = SourceMap::parse(bytes.to_vec()) else { return };
    let [project, release, file_url] = ["p", "1", "/a.js"].map(String::from);
    let new = NewMap { project, release, file_url, map };
    DATABASE.with(|conn| {
        store::maps::replace(conn, NOW, &new).expect("stored");
        for (line, column) in [(1, 1), (1, 40), (2, 7), (u32::MAX, u32::MAX)] {
            let place = Place { url: "/a.js", line, column };
            resolve_position(conn, "p", "1", &place).expect("looked up");
        }
        resolve_stack(conn, "p", "1", "E: m\n    at f (/a.js:1:3)\ng@/a.js:1:1").expect("rewritten");
    });
}

/// An upload as it comes in.
pub fn upload(bytes: &[u8]) {
    if let Ok(new) = NewMap::parse(bytes.to_vec()) {
        assert!(!new.project.is_empty() && !new.file_url.is_empty());
    }
}

/// A stack is left alone where nothing is known, and keeps its lines where something is.
pub fn stack(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let same = stack::rewrite(text, |_| Ok::<_, ()>(None)).expect("nothing fails");
    assert_eq!(same, text);
    let original = Original { source: "src/a.ts".into(), line: 3, column: 4, name: Some("f".into()) };
    let rewritten = stack::rewrite(text, |_| Ok::<_, ()>(Some(original.clone()))).expect("nothing fails");
    assert_eq!(rewritten.matches('\n').count(), text.matches('\n').count());
}

/// What pages send becomes what the back ends take, or is refused.
pub fn event(bytes: &[u8]) {
    if let Ok(error) = BrowserError::parse(bytes) {
        let report = error.report("p", &error.stack, None);
        // Numbers are passed on as they are spelt, whether they fit into ours or not.
        serde_json::from_slice::<&RawValue>(&report).expect("a report");
    }
    if let Ok(metrics) = Metrics::parse(bytes, "p", NOW)
        && let Ok(batch) = metrics.batch_to_keep()
    {
        let items: Vec<&RawValue> = serde_json::from_slice(&batch).expect("a batch");
        assert_eq!(items.len(), metrics.count());
    }
}
