//! `GET /api/metrics`: a metric over time.

use common::clock::Timestamp;
use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde::Serialize;

use crate::answer::{Plan, Rows};
use crate::context::Context;
use crate::question::Question;
use crate::store::cells::{self, Reading};
use crate::store::{lists, on_one_state};
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
}

/// All that is asked for is one state of the database.
pub(crate) fn show(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let (query, now) = (request.query(), ctx.core.clock.now());
    let question = Question::parse(query)?;
    let window = Window::parse(query, now, ctx.shared.retention.minutes)?;
    let is_free = matches!(query.text("resolution"), None | Some("auto"));
    let reader = ctx.reader()?;
    let body = on_one_state::<_, ApiError>(reader, || {
        let mut plan = Plan::new(&question);
        let project = question.project.as_deref();
        lists::for_each_member::<ApiError>(reader, &question.name, project, question.kind, &mut |member| {
            Ok(plan.add(*member)?)
        })?;
        let plan = plan.finish();
        let window = plan.fit(window, is_free)?;
        let mut rows = Rows::new(&plan, &view(&question, &window), window.resolution, now);
        let reading = Reading {
            window: &window,
            wanted: &plan.wanted(),
            sketches: plan.needs_sketches(),
            in_parts: question.merges(),
        };
        cells::for_each::<ApiError>(reader, &reading, &mut |bucket, rollup| Ok(rows.add(bucket, &rollup)?))?;
        Ok(rows.finish()?)
    })?;
    Ok(Response::new(200, "application/json", body).into())
}

fn view<'a>(question: &'a Question, window: &'a Window) -> AnswerView<'a> {
    let second = |second: i64| Timestamp::from_millis(second * 1000).to_string();
    AnswerView {
        name: &question.name,
        resolution: window.resolution.name(),
        period: &window.period,
        from: second(window.from),
        to: second(window.to),
        agg: question.agg.map(crate::question::Agg::name),
    }
}
