//! A request as data: what a handler may ask about it. No socket, no server library.

use std::fmt;

use crate::query::{BadEscape, Query, percent_decode};

/// The methods our routes are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`; its routes answer `HEAD` too.
    Get,
    /// `HEAD`: a `GET` whose answer is sent without its body.
    Head,
    /// `POST`
    Post,
    /// `DELETE`
    Delete,
    /// Any other word: never matches a route, so it is a 404 or a 405.
    Other,
}

impl Method {
    /// Method names are case-sensitive (RFC 9110, section 9.1).
    pub fn parse(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Other => "OTHER",
        }
    }
}

/// A set of methods; reads as in an `Allow` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Methods(u8);

impl Methods {
    const ALL: [Method; 4] = [Method::Get, Method::Head, Method::Post, Method::Delete];

    /// Adds a method; `HEAD` comes with `GET`.
    pub const fn add(&mut self, method: Method) {
        self.0 |= 1 << method as u8;
        if matches!(method, Method::Get) {
            self.0 |= 1 << Method::Head as u8;
        }
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for method in Self::ALL.into_iter().filter(|method| self.0 & (1 << *method as u8) != 0) {
            write!(f, "{separator}{}", method.name())?;
            separator = ", ";
        }
        Ok(())
    }
}

/// Where a request goes: decoded path segments and query parameters.
#[derive(Debug, Default)]
pub struct Target {
    /// The path split at `/`, without the leading empty segment, each percent-decoded.
    /// `/` is one empty segment; a trailing slash leaves an empty last one.
    pub segments: Vec<String>,
    /// The decoded query parameters.
    pub query: Query,
}

impl Target {
    /// Reads origin form (`/path?query`) and absolute form (`http://host/path?query`).
    pub fn parse(raw: &str) -> Result<Self, BadEscape> {
        let (path, query) = origin_form(raw).split_once('?').unwrap_or((origin_form(raw), ""));
        let segments = path
            .strip_prefix('/')
            .unwrap_or(path)
            .split('/')
            .map(|segment| percent_decode(segment, false))
            .collect::<Result<_, _>>()?;
        Ok(Self { segments, query: Query::parse(query)? })
    }
}

/// Cuts `scheme://authority` off an absolute-form target (RFC 9112, section 3.2.2).
fn origin_form(raw: &str) -> &str {
    if raw.starts_with('/') {
        return raw;
    }
    match raw.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
        None => raw,
    }
}

/// A complete request that has passed the screen and the gate.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// Of what.
    pub target: Target,
    /// The headers the screen lets through ([`crate::http::head::FORWARDED_HEADERS`]), names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body; empty when there was none.
    pub body: Vec<u8>,
    /// The number in the place of the route's `{id}`, 0 for a route without one.
    pub id: i64,
}

impl Request {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The query parameters.
    pub const fn query(&self) -> &Query {
        &self.target.query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, segments: &[&str], key: Option<&str>) {
        let target = Target::parse(raw).expect("a well-formed target");
        assert_eq!(target.segments, segments);
        assert_eq!(target.query.get("k"), key);
    }

    #[test]
    fn targets() {
        check("/", &[""], None);
        check("/api/errors", &["api", "errors"], None);
        check("/api/errors/", &["api", "errors", ""], None);
        check("/api/%65rrors?k=a%20b+c", &["api", "errors"], Some("a b c"));
        check("/a%2Fb", &["a/b"], None);
        check("http://host:80/x?k=1", &["x"], Some("1"));
        check("http://host", &[""], None);
        check("http://host?k=1", &[""], Some("1"));
        check("*", &["*"], None);
    }

    #[test]
    fn malformed_escapes_are_refused() {
        assert!(Target::parse("/a%zz").is_err());
        assert!(Target::parse("/a%ff").is_err());
        assert!(Target::parse("/?k=%").is_err());
    }
}
