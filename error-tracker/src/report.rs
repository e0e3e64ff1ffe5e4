//! What clients report, parsed once: whoever holds a [`Report`] asks nothing more.

use common::json::{Invalid, Object};

use crate::group::Source;

const PROJECT_BYTES_MAX: usize = 100;
const EXCEPTION_TYPE_BYTES_MAX: usize = 200;
const ENVIRONMENT_CHARS_MAX: usize = 50;
const DEFAULT_ENVIRONMENT: &str = "prod";

/// One exception that happened somewhere.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) project: String,
    pub(crate) exception_type: String,
    pub(crate) message: String,
    pub(crate) traceback: String,
    pub(crate) environment: String,
    pub(crate) request_url: Option<String>,
    pub(crate) request_method: Option<String>,
    /// Any JSON, compact.
    pub(crate) request_headers: Option<String>,
    pub(crate) user_id: Option<String>,
    /// Any JSON, compact.
    pub(crate) extra: Option<String>,
    /// `extra.session_id`, when that is a string.
    pub(crate) session_id: Option<String>,
}

impl Report {
    /// Reads a request body. Checks come in the original's order, with its sentences.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let object = Object::parse(body)?;
        let project = object.required_text("project")?;
        let exception_type = object.required_text("exception_type")?;
        let message = object.required_text("message")?;
        let traceback = object.required_text("traceback")?;
        check_length("project", &project, PROJECT_BYTES_MAX)?;
        check_length("exception_type", &exception_type, EXCEPTION_TYPE_BYTES_MAX)?;
        let extra = object.compact("extra");
        let optional = |name| object.text(name).map(String::from);
        Ok(Self {
            project: project.into(),
            exception_type: exception_type.into(),
            message: message.into(),
            traceback: traceback.into(),
            environment: environment(&object)?,
            request_url: optional("request_url"),
            request_method: optional("request_method"),
            request_headers: object.compact("request_headers"),
            user_id: optional("user_id"),
            session_id: extra.as_deref().and_then(session_id),
            extra,
        })
    }

    /// Which kind of program it came from: the relay marks what browsers send.
    pub(crate) fn source(&self) -> Source {
        match self.request_method.as_deref() {
            Some("BROWSER") => Source::Browser,
            _ => Source::Server,
        }
    }

    /// About what it holds in memory.
    pub(crate) fn bytes(&self) -> usize {
        let optional = [&self.request_url, &self.request_method, &self.request_headers, &self.user_id, &self.extra];
        let texts = [&self.project, &self.exception_type, &self.message, &self.traceback, &self.environment];
        let optional: usize = optional.into_iter().flatten().map(String::len).sum();
        size_of::<Self>() + optional + texts.into_iter().map(String::len).sum::<usize>()
    }
}

/// The original counts bytes and says characters.
fn check_length(name: &str, value: &str, bytes_max: usize) -> Result<(), Invalid> {
    if value.len() <= bytes_max {
        return Ok(());
    }
    Err(Invalid::new(format!("Field '{name}' exceeds maximum length of {bytes_max} characters"))
        .because(format!("it has {} bytes", value.len())))
}

fn environment(object: &Object<'_>) -> Result<String, Invalid> {
    let Some(raw) = object.raw("environment") else { return Ok(DEFAULT_ENVIRONMENT.into()) };
    let name = object
        .text("environment")
        .ok_or_else(|| Invalid::new("Field 'environment' must be a string").because(format!("got {}", raw.get())))?;
    match name.chars().count() {
        0 => Ok(DEFAULT_ENVIRONMENT.into()),
        1..=ENVIRONMENT_CHARS_MAX => Ok(name.into()),
        count => Err(Invalid::new(format!(
            "Field 'environment' exceeds maximum length of {ENVIRONMENT_CHARS_MAX} characters"
        ))
        .because(format!("it has {count}"))),
    }
}

fn session_id(extra: &str) -> Option<String> {
    // Most reports carry none, which the text tells faster than a parser.
    if !extra.contains("session_id") {
        return None;
    }
    Object::parse(extra.as_bytes()).ok()?.text("session_id").map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(body: &str, expected: &str) {
        assert_eq!(Report::parse(body.as_bytes()).expect_err("a refusal").detail, expected, "{body}");
    }

    fn report(members: &str) -> String {
        format!(r#"{{"project":"p","exception_type":"E","message":"m","traceback":"t"{members}}}"#)
    }

    #[track_caller]
    fn parsed(members: &str) -> Report {
        Report::parse(report(members).as_bytes()).expect("a report")
    }

    #[test]
    fn checks_come_in_order() {
        refused("", "Invalid JSON");
        refused("{", "Invalid JSON");
        refused("[]", "Request body must be a JSON object");
        refused("{}", "Missing required field: project");
        refused(r#"{"project":1}"#, "Missing required field: project");
        refused(r#"{"project":"p"}"#, "Missing required field: exception_type");
        refused(r#"{"project":"p","exception_type":"E"}"#, "Missing required field: message");
        refused(r#"{"project":"p","exception_type":"E","message":"m"}"#, "Missing required field: traceback");
        let long = "é".repeat(51);
        let body = format!(r#"{{"project":"{long}","exception_type":"E","message":"m","traceback":"t"}}"#);
        refused(&body, "Field 'project' exceeds maximum length of 100 characters");
        let body = body.replace(&long, "p").replace("\"E\"", &format!("\"{}\"", "x".repeat(201)));
        refused(&body, "Field 'exception_type' exceeds maximum length of 200 characters");
        refused(&report(r#","environment":7"#), "Field 'environment' must be a string");
        let long = report(&format!(r#","environment":"{}""#, "x".repeat(51)));
        refused(&long, "Field 'environment' exceeds maximum length of 50 characters");
    }

    #[test]
    fn optional_fields_of_another_type_are_absent() {
        let report = parsed(r#","request_url":1,"request_method":null,"user_id":[],"unknown":{}"#);
        assert_eq!((report.request_url, report.request_method, report.user_id), (None, None, None));
    }

    #[test]
    fn headers_and_extra_are_any_json() {
        let report = parsed(r#","request_headers":{ "a" : [1, 2.50] },"extra":"text""#);
        assert_eq!(report.request_headers.as_deref(), Some(r#"{"a":[1,2.50]}"#));
        assert_eq!(report.extra.as_deref(), Some(r#""text""#));
    }

    #[test]
    fn the_environment_is_prod_unless_said() {
        assert_eq!(parsed("").environment, "prod");
        assert_eq!(parsed(r#","environment":null"#).environment, "prod");
        assert_eq!(parsed(r#","environment":"""#).environment, "prod");
        assert_eq!(parsed(&format!(r#","environment":"{}""#, "é".repeat(50))).environment, "é".repeat(50));
    }

    #[test]
    fn a_session_is_found_in_extra() {
        assert_eq!(parsed(r#","extra":{"session_id":"s\u00e9"}"#).session_id.as_deref(), Some("sé"));
        assert_eq!(parsed(r#","extra":{"session_id":5}"#).session_id, None);
        assert_eq!(parsed(r#","extra":["session_id"]"#).session_id, None);
    }
}
