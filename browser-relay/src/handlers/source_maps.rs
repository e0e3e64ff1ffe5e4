//! `/api/source-maps`: upload one, list them, delete one, look a place up.

use std::sync::atomic::{AtomicBool, Ordering};

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use common::json::Invalid;
use common::query::Query;
use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::resolve::{Answer, Found, resolve_position};
use crate::sourcemap::arriving::NewMap;
use crate::stack::Place;
use crate::store;
use crate::store::maps::MapRow;

/// Maps in one list; the next ones follow with `after`.
const LIST_MAX: usize = 500;

/// `POST /api/source-maps`: replaces what was there for the same project, release and file.
pub(crate) fn create(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let turn = Turn::take().ok_or_else(|| ApiError::unavailable(1, "Another source map is being read, try again"))?;
    let new = NewMap::parse(std::mem::take(&mut request.body))?;
    let answer = json!({
        "status": "uploaded", "project": new.project, "release": new.release, "file_url": new.file_url
    });
    let now = ctx.core.clock.now();
    Ok(Reply::after_commit(
        new.bytes(),
        move |tx| store::maps::replace(tx, now, &new),
        move |_id| {
            drop(turn);
            Ok(Response::json(201, &answer))
        },
    ))
}

/// A map is read and stored alone: two of the largest would not fit into the memory.
struct Turn;

static IS_TAKEN: AtomicBool = AtomicBool::new(false);

impl Turn {
    fn take() -> Option<Self> {
        (!IS_TAKEN.swap(true, Ordering::SeqCst)).then_some(Self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        IS_TAKEN.store(false, Ordering::SeqCst);
    }
}

#[derive(Serialize)]
struct ListView<'a> {
    source_maps: Vec<MapView<'a>>,
    total: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

#[derive(Serialize)]
struct MapView<'a> {
    id: i64,
    project: &'a str,
    release: &'a str,
    file_url: &'a str,
    uploaded_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

impl<'a> From<&'a MapRow> for MapView<'a> {
    fn from(row: &'a MapRow) -> Self {
        Self {
            id: row.id,
            project: &row.project,
            release: &row.release,
            file_url: &row.file_url,
            uploaded_at: &row.uploaded_at,
            problem: row.problem.as_deref(),
        }
    }
}

/// `GET /api/source-maps`: by id, of one project if one is given; an empty one matches nothing.
pub(crate) fn list(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let query = request.query();
    let (project, after) = (query.get("project"), query.integer("after")?.unwrap_or(0).max(0));
    let rows = store::maps::list(ctx.reader()?, project, after, LIST_MAX)?;
    let next = if rows.len() == LIST_MAX { rows.last().map(|row| row.id) } else { None };
    let total = store::maps::count(ctx.reader()?, project)?;
    Ok(Response::json(200, &ListView { source_maps: rows.iter().map(MapView::from).collect(), total, next }).into())
}

/// `DELETE /api/source-maps/{id}`
pub(crate) fn delete(_ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let id = request.id;
    Ok(Reply::after_commit(
        0,
        move |tx| store::maps::delete(tx, id),
        |found| {
            if !found {
                return Err(ApiError::not_found("Source map not found"));
            }
            Ok(Response::json(200, &json!({"status": "deleted"})))
        },
    ))
}

#[derive(Serialize)]
struct ResolvedView {
    status: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
}

/// `GET /api/source-maps/resolve`: for people who check a map. Line and column count from 1.
pub(crate) fn resolve(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let query = request.query();
    let [project, release, url] = [query.required("project")?, query.required("release")?, query.required("url")?];
    let place = Place { url, line: number(query, "line")?, column: number(query, "column")? };
    let view = match resolve_position(ctx.reader()?, project, release, &place)? {
        Answer::NoMap => return Err(ApiError::not_found("Source map not found")),
        Answer::NoMapping => ResolvedView { status: "no-mapping", found: None },
        Answer::Found(found) => ResolvedView { status: "resolved", found: Some(found) },
    };
    Ok(Response::json(200, &view).into())
}

fn number(query: &Query, name: &str) -> Result<u32, Invalid> {
    query.required(name)?;
    let number = query.integer(name)?.unwrap_or_default();
    u32::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| Invalid::new(format!("parameter '{name}': expected a number from 1, got {number}")))
}
