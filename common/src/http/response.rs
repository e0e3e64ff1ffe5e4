//! A response as data: status, headers, body bytes; and its HTTP/1.1 text.

use std::borrow::Cow;
use std::io::Write as _;

use serde::Serialize;

/// What is sent back, of known length.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers besides those every response has.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// More header lines as they stand on the wire, each with its `\r\n`.
    pub(crate) lines: String,
    /// The body.
    pub body: Cow<'static, [u8]>,
}

impl Response {
    /// A compact JSON body. Nothing we serialise can fail (no maps with keys that are not strings);
    /// if it does, that is our mistake and a worker answers 500.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        let mut body = serde_json::to_vec(value).expect("our own types always serialise");
        body.shrink_to_fit();
        Self::new(status, "application/json", body)
    }

    /// 204.
    pub const fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), lines: String::new(), body: Cow::Borrowed(&[]) }
    }

    /// Any body with its content type.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        let headers = vec![("content-type", content_type.into())];
        Self { status, headers, lines: String::new(), body: body.into() }
    }

    /// Adds a header. The value must hold no control character.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds what the gate wants every answer to have.
    #[must_use]
    pub(crate) fn with_lines(mut self, lines: &str) -> Self {
        self.lines.push_str(lines);
        self
    }

    /// The response as bytes on the wire; `head_only` (for `HEAD`) keeps the length and drops the body.
    pub fn to_http(&self, head_only: bool, close: bool) -> Vec<u8> {
        let mut out = self.head(close);
        if !head_only {
            out.extend_from_slice(&self.body);
        }
        out
    }

    /// What comes before the body, its empty line included.
    pub(crate) fn head(&self, close: bool) -> Vec<u8> {
        let mut out = self.open_head();
        if self.status != 204 && self.status != 304 {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "content-length: {}\r\n", self.body.len());
        }
        if close {
            out.extend_from_slice(b"connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The head up to where its length would be told.
    pub(crate) fn open_head(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        // Writing to a Vec cannot fail.
        let _ = write!(out, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            debug_assert!(!value.contains(|c: char| c.is_control()), "{name} would break the head");
            let _ = write!(out, "{name}: {value}\r\n");
        }
        out.extend_from_slice(b"x-content-type-options: nosniff\r\n");
        // Answers are for who has the key. No cache on the way knows that a key is in `X-API-Key` or in the query.
        if self.headers.iter().all(|(name, _)| *name != "cache-control") {
            out.extend_from_slice(b"cache-control: no-store\r\n");
        }
        out.extend_from_slice(self.lines.as_bytes());
        out
    }
}

/// The customary words for the statuses we send (RFC 9110, section 15).
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_reads_as_http() {
        let response = Response::json(201, &serde_json::json!({"id": 1})).with_header("allow", "GET");
        assert_eq!(
            String::from_utf8(response.to_http(false, true)).expect("ASCII"),
            "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nallow: GET\r\n\
             x-content-type-options: nosniff\r\ncache-control: no-store\r\ncontent-length: 8\r\nconnection: close\r\n\r\n\
             {\"id\":1}"
        );
        let kept = String::from_utf8(Response::no_content().with_header("cache-control", "no-cache").head(false));
        assert_eq!(kept.expect("ASCII").matches("cache-control").count(), 1);
        assert!(response.to_http(true, false).ends_with(b"\r\n\r\n"));
    }
}
