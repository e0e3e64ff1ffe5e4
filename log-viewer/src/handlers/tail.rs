//! `GET /api/logs/tail`: new entries as server-sent events (HTML standard, section 9.2).

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::db::Reader;
use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use common::http::stream::{Outlet, Stream};
use common::service::Core;

use super::logs::EntryView;
use crate::context::{Context, Shared};
use crate::entry::Entry;
use crate::filter::Filter;
use crate::live::{News, Seat};
use crate::store::{self, Stretch};

/// How often a silent stream says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a silent stream looks whether its client does: a place is free again so soon after a client left.
const CLIENT_CHECK: Duration = Duration::from_secs(1);
/// Clients connect anew after this long, and resume where they were.
const DURATION_MAX: Duration = Duration::from_secs(30 * 60);
/// Entries read from the database at a time.
const PAGE: usize = 200;

/// The stream. `Last-Event-ID` resumes after that entry.
pub(crate) fn follow(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let filter = Filter::parse(request.query())?;
    let resumed = request.header("last-event-id").and_then(|id| id.trim().parse::<i64>().ok()).filter(|id| *id >= 0);
    let (seat, newest) =
        ctx.shared.live.take_seat().ok_or_else(|| ApiError::unavailable(5, "Too many SSE connections"))?;
    let tail = Tail {
        core: Arc::clone(&ctx.core),
        shared: Arc::clone(&ctx.shared),
        filter,
        // An id from before the file was made anew means nothing.
        last_id: resumed.map_or(newest, |id| id.min(newest)),
        is_resuming: resumed.is_some(),
        reader: None,
        _seat: seat,
    };
    let head = Response::new(200, "text/event-stream", Vec::new())
        .with_header("cache-control", "no-cache")
        .with_header("x-accel-buffering", "no")
        .with_header("access-control-allow-origin", "*");
    Ok(Stream { head, run: Box::new(move |outlet| tail.run(outlet)) }.into())
}

struct Tail {
    core: Arc<Core>,
    shared: Arc<Shared>,
    filter: Filter,
    /// Everything up to this id was sent, or is not wanted.
    last_id: i64,
    /// What the client missed is still being read from the database.
    is_resuming: bool,
    reader: Option<Reader>,
    _seat: Seat,
}

impl Tail {
    fn run(mut self, outlet: &mut Outlet) -> io::Result<()> {
        let began = Instant::now();
        let mut last_sent = Instant::now();
        // The client's `onopen` need not wait for the first line.
        outlet.send(b":\n\n")?;
        while began.elapsed() < DURATION_MAX {
            let sent = match self.shared.live.after(self.last_id, CLIENT_CHECK) {
                News::Entries(entries) => {
                    self.is_resuming = false;
                    self.send_new(&entries, outlet)?
                }
                News::Behind if self.is_resuming => self.send_missed(outlet)?,
                News::Behind => return outlet.send(&close("too_slow")),
                News::Nothing => false,
                News::Closed => return outlet.send(&close("shutdown")),
            };
            if sent {
                last_sent = Instant::now();
            } else if last_sent.elapsed() >= HEARTBEAT {
                outlet.send(b"event: heartbeat\ndata: {}\n\n")?;
                last_sent = Instant::now();
            } else {
                outlet.check_client()?;
            }
        }
        outlet.send(&close("max_duration"))
    }

    /// Sends what is wanted of new entries, from memory; a search asks the index. Whether there was any.
    fn send_new(&mut self, entries: &[Arc<Entry>], outlet: &mut Outlet) -> io::Result<bool> {
        let Some(newest) = entries.last().map(|entry| entry.id) else { return Ok(false) };
        if self.filter.needs_index() {
            return self.send_stored(newest, outlet);
        }
        let mut events = Vec::new();
        for entry in entries.iter().filter(|entry| self.filter.matches(entry)) {
            write_event(&mut events, entry)?;
        }
        self.last_id = newest;
        outlet.send(&events)?;
        Ok(!events.is_empty())
    }

    /// Sends what the client missed while it was away.
    fn send_missed(&mut self, outlet: &mut Outlet) -> io::Result<bool> {
        let newest = self.shared.live.last_id();
        self.send_stored(newest, outlet)
    }

    /// Sends wanted entries up to `newest` from the database, a page at a time.
    fn send_stored(&mut self, newest: i64, outlet: &mut Outlet) -> io::Result<bool> {
        let mut any = false;
        loop {
            let stretch = self.page(newest).map_err(io::Error::other)?;
            self.last_id = stretch.upto;
            let mut events = Vec::new();
            for entry in &stretch.entries {
                write_event(&mut events, entry)?;
            }
            outlet.send(&events)?;
            any |= !events.is_empty();
            if self.last_id >= newest {
                return Ok(any);
            }
        }
    }

    fn page(&mut self, newest: i64) -> rusqlite::Result<Stretch> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.core.database.reader()?,
        };
        reader.restart_time_limit();
        let page = store::entries_between(&reader, &self.filter, self.last_id, newest, PAGE);
        self.reader = Some(reader);
        page
    }
}

fn write_event(events: &mut Vec<u8>, entry: &Entry) -> io::Result<()> {
    use std::io::Write as _;
    write!(events, "id: {}\nevent: log\ndata: ", entry.id)?;
    // Compact JSON has no line breaks.
    serde_json::to_writer(&mut *events, &EntryView::whole(entry))?;
    events.extend_from_slice(b"\n\n");
    Ok(())
}

fn close(reason: &str) -> Vec<u8> {
    format!("event: close\ndata: {{\"reason\":\"{reason}\"}}\n\n").into_bytes()
}
