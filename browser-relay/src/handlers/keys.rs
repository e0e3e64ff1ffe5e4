//! `/api/dsn-keys`: make one, list them, deactivate one.

use std::sync::Arc;

use common::http::error::{ApiError, Kind};
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use common::json::{Invalid, Object};
use common::query::Query;
use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::cors::Origins;
use crate::dsn::{self, Dsn, KEYS_BYTES_MAX, KEYS_MAX};
use crate::store;
use crate::store::keys::{Created, Deactivated, KeyRow};

/// Keys in one list; the next ones follow with `after`.
const LIST_MAX: usize = 1000;

/// `POST /api/dsn-keys`
pub(crate) fn create(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let (project, origins) = parse(&request.body)?;
    let key = dsn::new_key().map_err(|error| {
        log::error!("no randomness for a key: {error}");
        ApiError::new(Kind::Internal, "Failed to generate key")
    })?;
    let (now, shared) = (ctx.core.clock.now(), Arc::clone(&ctx.shared));
    let (stored_key, stored_project, entries) = (key.clone(), project.clone(), origins.entries());
    Ok(Reply::after_commit(
        0,
        move |tx| store::keys::create(tx, now, &stored_key, &stored_project, &entries),
        move |created| {
            let id = match created {
                Created::Yes(id) => id,
                Created::TooMany => return Err(full(&format!("expected at most {KEYS_MAX} active keys"))),
                Created::TooLarge => {
                    return Err(full(&format!("expected at most {KEYS_BYTES_MAX} bytes of active keys and origins")));
                }
            };
            let answer = Response::json(201, &json!({"public_key": key, "project": project}));
            let origins = (!origins.is_empty()).then_some(origins);
            shared.keys.add(key, Dsn { id, project, origins });
            Ok(answer)
        },
    ))
}

fn full(reason: &str) -> ApiError {
    ApiError::new(Kind::Invalid, "There are too many active keys, deactivate some").with_reason(reason)
}

/// `GET /api/dsn-keys`: by id, inactive ones included.
pub(crate) fn list(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let after = after(request.query())?;
    let rows = store::keys::list(ctx.reader()?, after, LIST_MAX)?;
    let next = if rows.len() == LIST_MAX { rows.last().map(|row| row.id) } else { None };
    let view = ListView { keys: rows.iter().map(KeyView::from).collect(), next };
    Ok(Response::json(200, &view).into())
}

/// `DELETE /api/dsn-keys/{id}`: the key stays in the list, and lets nobody in.
pub(crate) fn deactivate(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let (id, shared) = (request.id, Arc::clone(&ctx.shared));
    Ok(Reply::after_commit(
        0,
        move |tx| store::keys::deactivate(tx, id),
        move |deactivated| {
            match deactivated {
                Deactivated::Now => shared.keys.remove(id),
                Deactivated::Before => {}
                Deactivated::Unknown => return Err(ApiError::not_found("DSN key not found")),
            }
            Ok(Response::json(200, &json!({"status": "deactivated"})))
        },
    ))
}

/// The project of a new key and its own origins.
fn parse(body: &[u8]) -> Result<(String, Origins), Invalid> {
    if body.is_empty() {
        return Err(Invalid::new("Empty request body"));
    }
    let object = Object::parse(body)?;
    let project = object.required_text("project")?;
    dsn::check_project(&project)?;
    let Some(raw) = object.raw("origins") else { return Ok((project.into(), Origins::default())) };
    let entries: Vec<String> =
        serde_json::from_str(raw.get()).map_err(|_| Invalid::new("Field 'origins' must be an array of strings"))?;
    let origins = Origins::parse(&entries).map_err(|problem| Invalid::new(format!("Field 'origins': {problem}")))?;
    Ok((project.into(), origins))
}

fn after(query: &Query) -> Result<i64, Invalid> {
    Ok(query.integer("after")?.unwrap_or(0).max(0))
}

#[derive(Serialize)]
struct ListView<'a> {
    keys: Vec<KeyView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

#[derive(Serialize)]
struct KeyView<'a> {
    id: i64,
    public_key: &'a str,
    project: &'a str,
    active: bool,
    created_at: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    origins: &'a [String],
}

impl<'a> From<&'a KeyRow> for KeyView<'a> {
    fn from(row: &'a KeyRow) -> Self {
        Self {
            id: row.id,
            public_key: &row.public_key,
            project: &row.project,
            active: row.is_active,
            created_at: &row.created_at,
            origins: &row.origins,
        }
    }
}
