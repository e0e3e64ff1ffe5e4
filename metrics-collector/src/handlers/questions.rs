//! `GET /api/metrics`: a metric over time.

use common::clock::Timestamp;
use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::answer::{Plan, Rows};
use crate::context::Context;
use crate::question::Question;
use crate::store::{cells, lists, on_one_state};
use crate::window::Window;

#[derive(Serialize)]
struct AnswerView<'a> {
    name: &'a str,
    resolution: &'static str,
    period: &'a str,
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    agg: Option<&'static str>,
    data: &'a RawValue,
}

/// All that is asked for is one state of the database.
pub(crate) fn show(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let (query, now) = (request.query(), ctx.shared.clock.now());
    let question = Question::parse(query)?;
    let window = Window::parse(query, now, ctx.shared.retention.minutes)?;
    let is_free = matches!(query.text("resolution"), None | Some("auto"));
    let reader = ctx.reader()?;
    let (window, data) = on_one_state::<_, ApiError>(reader, || {
        let members = lists::members(reader, &question.name, question.project.as_deref(), question.kind)?;
        let plan = Plan::new(&question, members)?;
        let window = plan.fit(window, is_free)?;
        let mut rows = Rows::new(&plan, window.resolution, now);
        cells::for_each(reader, &window, &plan.wanted(), plan.needs_sketches(), &mut |bucket, rollup| {
            rows.add(bucket, &rollup);
            Ok(())
        })?;
        Ok((window, rows.finish()))
    })?;
    let data: &RawValue = serde_json::from_slice(&data).map_err(|error| {
        log::error!("rows: {error}");
        ApiError::internal()
    })?;
    let second = |second: i64| Timestamp::from_millis(second * 1000).to_string();
    let view = AnswerView {
        name: &question.name,
        resolution: window.resolution.name(),
        period: &window.period,
        from: second(window.from),
        to: second(window.to),
        agg: question.agg.map(crate::question::Agg::name),
        data,
    };
    Ok(Response::json(200, &view).into())
}
