//! What browsers send, made into what error-tracker and metrics-collector take.

use std::borrow::Cow;
use std::time::Duration;

use common::clock::Timestamp;
use common::json::{Invalid, Object};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::scrub::scrub;

/// The most items of one batch; metrics-collector takes as many.
const METRICS_MAX: usize = 1000;
/// What is taken of a page's path and of a session's name: with a thousand items each byte counts a thousand times.
const PAGE_BYTES_MAX: usize = 200;
const SESSION_BYTES_MAX: usize = 64;
/// What metrics-collector takes.
const METRICS_BYTES_MAX: usize = 512 << 10;

/// metrics-collector refuses a batch with a time that is further ahead.
const AHEAD_MAX: Duration = Duration::from_secs(10 * 60);

/// error-tracker's limit for the type of an exception: what is longer is refused here, not when it has waited in the outbox.
const TYPE_BYTES_MAX: usize = 200;

/// An error as a page reports it.
pub(crate) struct BrowserError<'a> {
    kind: Cow<'a, str>,
    message: Cow<'a, str>,
    pub(crate) stack: Cow<'a, str>,
    url: Option<Cow<'a, str>>,
    user_agent: Option<Cow<'a, str>>,
    session_id: Option<Cow<'a, str>>,
    pub(crate) release: Option<Cow<'a, str>>,
    timestamp: Option<Cow<'a, str>>,
    /// Scrubbed.
    context: Option<Box<RawValue>>,
}

impl<'a> BrowserError<'a> {
    /// Reads a request body.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Invalid> {
        let object = object(body)?;
        let kind = object.required_text("type")?;
        let message = object.required_text("message")?;
        let stack = object.required_text("stack")?;
        if kind.len() > TYPE_BYTES_MAX {
            return Err(Invalid::new(format!("Field 'type' exceeds maximum length of {TYPE_BYTES_MAX} characters")));
        }
        Ok(Self {
            kind,
            message,
            stack,
            url: object.text("url"),
            user_agent: object.text("user_agent"),
            session_id: object.text("session_id"),
            release: object.text("release"),
            timestamp: object.text("timestamp"),
            context: object.raw("context").filter(|raw| raw.get().starts_with('{')).and_then(scrubbed),
        })
    }

    /// The report for error-tracker: `traceback` is the stack as far as source maps could make it readable, `sources` what
    /// they know of the code around it.
    pub(crate) fn report(&self, project: &str, traceback: &str, sources: Option<Box<RawValue>>) -> Vec<u8> {
        let report = Report {
            project,
            exception_type: &self.kind,
            message: &self.message,
            traceback,
            request_method: "BROWSER",
            request_url: self.url.as_deref(),
            extra: Extra {
                user_agent: self.user_agent.as_deref(),
                session_id: self.session_id.as_deref(),
                release: self.release.as_deref(),
                timestamp: self.timestamp.as_deref(),
                context: self.context.as_deref(),
                sources,
            },
        };
        serde_json::to_vec(&report).expect("our own types always serialise")
    }
}

fn scrubbed(raw: &RawValue) -> Option<Box<RawValue>> {
    RawValue::from_string(scrub(raw.get())).ok()
}

fn object(body: &[u8]) -> Result<Object<'_>, Invalid> {
    if body.is_empty() {
        return Err(Invalid::new("Empty request body"));
    }
    Object::parse(body)
}

#[derive(Serialize)]
struct Report<'a> {
    project: &'a str,
    exception_type: &'a str,
    message: &'a str,
    traceback: &'a str,
    request_method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_url: Option<&'a str>,
    extra: Extra<'a>,
}

#[derive(Serialize)]
struct Extra<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Box<RawValue>>,
}

/// A batch of metrics as a page sends it.
pub(crate) struct Metrics<'a> {
    /// When it arrived.
    now: Timestamp,
    items: Vec<&'a RawValue>,
    project: &'a str,
    session: Option<Cow<'a, str>>,
    page: Option<String>,
}

impl<'a> Metrics<'a> {
    /// Reads a request body.
    pub(crate) fn parse(body: &'a [u8], project: &'a str, now: Timestamp) -> Result<Self, Invalid> {
        let object = object(body)?;
        let raw = object.raw("metrics").ok_or_else(|| Invalid::new("Missing required field: metrics"))?;
        let items: Vec<&'a RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| Invalid::new("Field 'metrics' must be an array"))?;
        if items.is_empty() {
            return Err(Invalid::new("Metrics array must not be empty"));
        }
        if items.len() > METRICS_MAX {
            return Err(Invalid::new(format!("Metrics batch exceeds maximum of {METRICS_MAX} items"))
                .because(format!("it has {}", items.len())));
        }
        let page = object.text("url").map(|url| page(&url).to_owned());
        Ok(Self { now, items, project, session: object.text("session_id"), page })
    }

    /// How many items there are.
    pub(crate) const fn count(&self) -> usize {
        self.items.len()
    }

    /// About what [`Self::batch`] takes.
    pub(crate) fn bytes(&self) -> usize {
        let own: usize = self.items.iter().map(|item| item.get().len()).sum();
        (own + self.count() * self.known(None).bytes()).min(METRICS_BYTES_MAX)
    }

    /// The JSON array for metrics-collector, with the labels that the relay knows. Items without a time, or with that of a
    /// visitor's clock which is ahead, get none, so that metrics-collector takes them for new.
    pub(crate) fn batch(&self) -> Result<Vec<u8>, Invalid> {
        self.batch_at(None)
    }

    /// [`Self::batch`], to be sent later: those items get the time at which they arrived.
    pub(crate) fn batch_to_keep(&self) -> Result<Vec<u8>, Invalid> {
        self.batch_at(Some(&self.now.with_millis()))
    }

    fn batch_at(&self, at: Option<&str>) -> Result<Vec<u8>, Invalid> {
        let known = self.known(at);
        let mut out = Vec::with_capacity(self.bytes());
        out.push(b'[');
        for (number, item) in self.items.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            known.write_item(item, &mut out).map_err(|invalid| at_item(invalid, number))?;
            if out.len() >= METRICS_BYTES_MAX {
                return Err(Invalid::new("Metrics batch is too large")
                    .because(format!("with all labels it exceeds {METRICS_BYTES_MAX} bytes at item {number}")));
            }
        }
        out.push(b']');
        Ok(out)
    }

    fn known<'k>(&'k self, at: Option<&'k str>) -> Known<'k> {
        Known {
            latest: self.now.saturating_add(AHEAD_MAX),
            project: self.project,
            at,
            session_id: self.session.as_deref().map(|session| cut(session, SESSION_BYTES_MAX)),
            page: self.page.as_deref(),
        }
    }
}

fn at_item(invalid: Invalid, number: usize) -> Invalid {
    Invalid { detail: format!("{} (item {number})", invalid.detail), ..invalid }
}

/// What the relay knows of all items of a batch.
struct Known<'a> {
    /// A later time is the mistake of a clock.
    latest: Timestamp,
    project: &'a str,
    at: Option<&'a str>,
    session_id: Option<&'a str>,
    page: Option<&'a str>,
}

#[derive(Serialize)]
struct Item<'a> {
    name: &'a str,
    r#type: &'a str,
    value: &'a RawValue,
    #[serde(serialize_with = "as_map")]
    labels: Vec<(Cow<'a, str>, Label<'a>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Cow<'a, str>>,
    project: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Label<'a> {
    Text(&'a str),
    Given(&'a RawValue),
    Null(()),
}

impl Known<'_> {
    /// About what is added to an item, names and punctuation included.
    fn bytes(&self) -> usize {
        let texts = [self.at, self.session_id, self.page];
        120 + 2 * self.project.len() + texts.into_iter().flatten().map(str::len).sum::<usize>()
    }

    fn write_item(&self, item: &RawValue, out: &mut Vec<u8>) -> Result<(), Invalid> {
        let item = Object::parse(item.get().as_bytes()).map_err(|invalid| match invalid.detail.as_str() {
            "Request body must be a JSON object" => Invalid::new("Each metric must be a JSON object"),
            _ => invalid,
        })?;
        let name = item.required_text("name")?;
        if !(1..=200).contains(&name.len()) {
            return Err(Invalid::new("Field 'name' must be 1-200 characters"));
        }
        let kind = item.required_text("type")?;
        if !["counter", "histogram", "gauge"].contains(&&*kind) {
            return Err(Invalid::new("Field 'type' must be 'counter', 'histogram', or 'gauge'"));
        }
        let value = item
            .raw("value")
            .filter(|raw| raw.get().parse::<f64>().is_ok_and(f64::is_finite))
            .ok_or_else(|| Invalid::new("Missing required field: value"))?;
        let item = Item {
            name: &name,
            r#type: &kind,
            value,
            labels: self.labels(item.raw("labels"))?,
            timestamp: item.text("timestamp").filter(|time| !self.is_ahead(time)).or(self.at.map(Cow::Borrowed)),
            project: self.project,
        };
        serde_json::to_writer(out, &item).expect("our own types always serialise into memory");
        Ok(())
    }

    fn is_ahead(&self, time: &str) -> bool {
        Timestamp::parse(time).is_some_and(|time| time > self.latest)
    }

    /// One value per name: `project` and `source` are ours, the item's own `session_id` and `page` go before the batch's.
    fn labels<'l>(&'l self, own: Option<&'l RawValue>) -> Result<Vec<(Cow<'l, str>, Label<'l>)>, Invalid> {
        let own = own.filter(|raw| raw.get().starts_with('{'));
        let own = own.map(|raw| members(raw)).transpose()?.unwrap_or_default();
        let is_own = |name: &str| own.iter().any(|(other, _)| other == name);
        let mut labels: Vec<(Cow<'l, str>, Label<'l>)> =
            vec![("project".into(), Label::Text(self.project)), ("source".into(), Label::Text("browser"))];
        for (name, value) in [("session_id", self.session_id), ("page", self.page)] {
            if let Some(value) = value.filter(|_| !is_own(name)) {
                labels.push((name.into(), Label::Text(value)));
            }
        }
        let own = own.into_iter().filter(|(name, _)| name != "project" && name != "source");
        labels.extend(own.map(|(name, raw)| {
            let is_scalar = !matches!(raw.get().as_bytes().first(), Some(b'{' | b'[' | b'n'));
            (name, if is_scalar { Label::Given(raw) } else { Label::Null(()) })
        }));
        Ok(labels)
    }
}

fn members(raw: &RawValue) -> Result<Vec<(Cow<'_, str>, &RawValue)>, Invalid> {
    Object::parse(raw.get().as_bytes()).map(Object::into_members)
}

fn as_map<S: serde::Serializer>(labels: &[(Cow<'_, str>, Label<'_>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(name, value)| (name, value)))
}

/// The path of a page's URL: without scheme, host, query and fragment, which may tell more than a label should.
fn page(url: &str) -> &str {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if path.is_empty() { "/" } else { cut(path, PAGE_BYTES_MAX) }
}

/// The first so many bytes of a text, or fewer where a character would be cut.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_768_903_200_000);

    fn metrics(body: &Value) -> Result<Value, String> {
        let body = body.to_string();
        let batch = Metrics::parse(body.as_bytes(), "web", NOW).and_then(|metrics| metrics.batch());
        Ok(serde_json::from_slice(&batch.map_err(|invalid| invalid.detail)?).expect("JSON"))
    }

    #[track_caller]
    fn refused(body: &Value, expected: &str) {
        assert_eq!(metrics(body), Err(expected.into()), "{body}");
    }

    #[test]
    fn an_error_becomes_a_report() {
        let body = json!({
            "type": "T", "message": "m", "stack": "s", "url": "https://e.com/p?q=1#f", "user_agent": "UA", "session_id": "sid",
            "release": "1.0", "timestamp": "2026-01-01T00:00:00.000Z", "environment": "x",
            "context": {"a": 1.5, "user_id": "u", "authToken": "t"}
        })
        .to_string();
        let error = BrowserError::parse(body.as_bytes()).expect("an error");
        let report: Value = serde_json::from_slice(&error.report("web", "readable", None)).expect("JSON");
        assert_eq!(
            report,
            json!({
                "project": "web", "exception_type": "T", "message": "m", "traceback": "readable",
                "request_method": "BROWSER", "request_url": "https://e.com/p?q=1#f",
                "extra": {
                    "user_agent": "UA", "session_id": "sid", "release": "1.0", "timestamp": "2026-01-01T00:00:00.000Z",
                    "context": {"a": 1.5, "user_id": "u", "authToken": "[scrubbed]"}
                }
            })
        );
    }

    #[test]
    fn an_error_needs_three_strings_which_may_be_empty() {
        let error =
            BrowserError::parse(br#"{"type":"","message":"","stack":"","url":5,"context":[1]}"#).expect("an error");
        let report: Value = serde_json::from_slice(&error.report("p", "", None)).expect("JSON");
        assert_eq!((report.get("request_url"), &report["extra"]), (None, &json!({})));
        let too_long = json!({"type": "é".repeat(101), "message": "", "stack": ""}).to_string();
        for (body, expected) in [
            ("", "Empty request body"),
            ("{", "Invalid JSON"),
            ("[]", "Request body must be a JSON object"),
            ("{}", "Missing required field: type"),
            (r#"{"type":"T"}"#, "Missing required field: message"),
            (r#"{"type":"T","message":"m","stack":1}"#, "Missing required field: stack"),
            (too_long.as_str(), "Field 'type' exceeds maximum length of 200 characters"),
        ] {
            let refused = BrowserError::parse(body.as_bytes()).err().map(|invalid| invalid.detail);
            assert_eq!(refused.as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn metrics_get_the_labels_that_the_relay_knows() {
        let body = json!({
            "session_id": "sid", "url": "https://e.com/dash?x=1",
            "metrics": [
                {"name": "a", "type": "histogram", "value": 1250.5},
                {"name": "b", "type": "counter", "value": 1, "timestamp": "t", "project": "evil",
                 "labels": {"page": "/own", "project": "evil", "source": "evil", "n": 1e21, "o": {"x": 1}, "z": null, "t": true}}
            ]
        });
        let parsed = metrics(&body).expect("metrics");
        let labels = json!({"project": "web", "source": "browser", "session_id": "sid", "page": "/dash"});
        assert_eq!(
            parsed[0],
            json!({"name": "a", "type": "histogram", "value": 1250.5, "labels": labels, "project": "web"})
        );
        let labels = json!({"project": "web", "source": "browser", "session_id": "sid", "page": "/own", "n": 1e21,
            "o": null, "z": null, "t": true});
        assert_eq!((&parsed[1]["labels"], &parsed[1]["timestamp"]), (&labels, &json!("t")));
    }

    #[test]
    fn a_time_that_cannot_be_yet_is_the_one_of_arrival() {
        let item = |time: &str| json!({"name": "a", "type": "gauge", "value": 1, "timestamp": time});
        let times =
            ["2026-01-20T10:10:00Z", "2026-01-20T10:10:00.001Z", "2027-01-20T10:00:00+02:00", "2025-01-20T10:00:00Z"];
        let body = json!({"metrics": times.map(item)}).to_string();
        let metrics = Metrics::parse(body.as_bytes(), "web", NOW).expect("metrics");
        let times_of = |batch: Vec<u8>| {
            let items: Vec<Value> = serde_json::from_slice(&batch).expect("JSON");
            items.into_iter().map(|item| item["timestamp"].as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        let given = |at: usize| Some(times[at].to_owned());
        assert_eq!(times_of(metrics.batch().expect("a batch")), [given(0), None, None, given(3)]);
        let arrival = Some("2026-01-20T10:00:00.000Z".to_owned());
        assert_eq!(times_of(metrics.batch_to_keep().expect("a batch")), [given(0), arrival.clone(), arrival, given(3)]);
    }

    #[test]
    fn what_is_wrong_with_metrics_is_named() {
        let item = |item: Value| json!({"metrics": [{"name": "a", "type": "gauge", "value": 1}, item]});
        refused(&json!({}), "Missing required field: metrics");
        refused(&json!({"metrics": {}}), "Field 'metrics' must be an array");
        refused(&json!({"metrics": []}), "Metrics array must not be empty");
        refused(&json!({"metrics": vec![1; 1001]}), "Metrics batch exceeds maximum of 1000 items");
        refused(&item(json!(1)), "Each metric must be a JSON object (item 1)");
        refused(&item(json!({})), "Missing required field: name (item 1)");
        refused(&item(json!({"name": ""})), "Field 'name' must be 1-200 characters (item 1)");
        refused(&item(json!({"name": "a"})), "Missing required field: type (item 1)");
        let wrong_type = "Field 'type' must be 'counter', 'histogram', or 'gauge' (item 1)";
        refused(&item(json!({"name": "a", "type": "x"})), wrong_type);
        refused(&item(json!({"name": "a", "type": "gauge", "value": "1"})), "Missing required field: value (item 1)");
    }

    #[test]
    fn a_page_is_a_path_and_no_more() {
        for (url, expected) in [
            ("https://e.com/a/b?token=x#y", "/a/b"),
            ("https://e.com", "/"),
            ("https://e.com?x=/y", "/"),
            ("/a?b", "/a"),
            ("", "/"),
            ("file:///home/x.html", "/home/x.html"),
        ] {
            assert_eq!(page(url), expected, "{url}");
        }
        assert_eq!(page(&format!("/{}", "é".repeat(200))).len(), 199);
    }

    #[test]
    fn a_batch_stays_within_what_metrics_collector_takes() {
        let long = "\u{1}".repeat(200);
        let body = json!({"url": format!("/{long}"), "metrics": vec![json!({"name": "a", "type": "gauge", "value": 1}); 1000]});
        refused(&body, "Metrics batch is too large");
    }
}
