//! `GET /api/metrics/labels`: by what a metric can be filtered and grouped.

use std::collections::BTreeSet;

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde::Serialize;

use crate::context::Context;
use crate::label_list::LabelList;
use crate::question::Question;
use crate::store::lists;

#[derive(Serialize)]
struct LabelView<'a> {
    name: &'a str,
    values: &'a BTreeSet<String>,
    has_more: bool,
}

#[derive(Serialize)]
struct LabelsView<'a> {
    name: &'a str,
    series: u64,
    labels: Vec<LabelView<'a>>,
}

/// Of the series that a question with the same `name`, `project`, `type` and `labels` is about.
pub(crate) fn list(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let question = Question::parse(request.query())?;
    let (project, kind) = (question.project.as_deref(), question.kind);
    let mut list = LabelList::default();
    lists::for_each_member::<ApiError>(ctx.reader()?, &question.name, project, kind, &mut |member| {
        if question.group_of(member.labels).is_some() {
            list.add(member.labels);
        }
        Ok(())
    })?;
    let labels = list
        .labels
        .iter()
        .map(|(name, values)| LabelView { name, values: &values.all, has_more: values.has_more })
        .collect();
    Ok(Response::json(200, &LabelsView { name: &question.name, series: list.series, labels }).into())
}
