//! Finds the route of a request. Routes are data: a service lists every URL it has on one screen.

use crate::http::error::{ApiError, Kind};
use crate::http::reply::Reply;
use crate::http::request::{Method, Methods, Request};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody, uncounted. What answers here does so at once: a worker is kept free for it.
    Public,
    /// Whoever has the API key, within the rate limit.
    Key,
    /// Whom the service's own gate lets in.
    Guest,
}

/// What answers a route. `C` is the service's context, one per worker. It may take the body out of the request.
pub type Handler<C> = fn(&C, &mut Request) -> Result<Reply, ApiError>;

/// The body of a request that needs none is read and ignored up to this size: some clients send `{}` with everything.
const IGNORED_BODY_BYTES_MAX: usize = 1 << 10;

/// One URL and method.
pub struct Route<C> {
    /// `GET` routes answer `HEAD` too.
    pub method: Method,
    /// Segments as in `/api/errors/{id}/resolve`; `{id}` stands for a positive whole number, `{file}` for anything.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// The most bytes a body may have.
    pub body_bytes_max: usize,
    /// What answers.
    pub handle: Handler<C>,
}

impl<C> Route<C> {
    /// A route that needs no body.
    pub const fn new(method: Method, path: &'static str, access: Access, handle: Handler<C>) -> Self {
        Self { method, path, access, body_bytes_max: IGNORED_BODY_BYTES_MAX, handle }
    }

    /// The same with a body of up to so many bytes.
    #[must_use]
    pub const fn with_body(self, body_bytes_max: usize) -> Self {
        Self { body_bytes_max, ..self }
    }
}

/// What the table says of a method and path.
pub enum Found<'r, C> {
    /// The route, its place in the table, and its `{id}`.
    Route(&'r Route<C>, usize, i64),
    /// The path exists, for other methods.
    WrongMethod,
    /// No such path.
    Nothing,
}

/// Looks a request up in the table.
pub fn find<'r, C, S: AsRef<str>>(routes: &'r [Route<C>], method: Method, segments: &[S]) -> Found<'r, C> {
    let method = if method == Method::Head { Method::Get } else { method };
    let mut path_exists = false;
    for (place, route) in routes.iter().enumerate() {
        if let Some(id) = match_path(route.path, segments) {
            if route.method == method {
                return Found::Route(route, place, id);
            }
            path_exists = true;
        }
    }
    if path_exists { Found::WrongMethod } else { Found::Nothing }
}

/// The 405 for a path, naming the methods it has.
pub fn wrong_method<C, S: AsRef<str>>(routes: &[Route<C>], segments: &[S]) -> ApiError {
    let mut methods = Methods::default();
    for route in routes.iter().filter(|route| match_path(route.path, segments).is_some()) {
        methods.add(route.method);
    }
    ApiError::new(Kind::WrongMethod(methods), "Method not allowed")
}

fn match_path<S: AsRef<str>>(pattern: &str, segments: &[S]) -> Option<i64> {
    let mut id = 0;
    let mut rest = segments.iter();
    for expected in pattern[1..].split('/') {
        let segment = rest.next()?.as_ref();
        if expected == "{id}" {
            id = parse_id(segment)?;
        } else if expected != "{file}" && expected != segment {
            return None;
        }
    }
    rest.next().is_none().then_some(id)
}

fn parse_id(segment: &str) -> Option<i64> {
    let digits = !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit());
    segment.parse().ok().filter(|id| digits && *id > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn route(method: Method, path: &'static str) -> Route<()> {
        Route::new(method, path, Access::Key, |(), _| unreachable!())
    }

    const ROUTES: &[Route<()>] = &[
        route(Method::Get, "/"),
        route(Method::Get, "/api/errors"),
        route(Method::Post, "/api/errors"),
        route(Method::Get, "/api/errors/{id}"),
    ];

    #[track_caller]
    fn check(method: Method, path: &str, expected: Option<(usize, i64)>) {
        let segments: Vec<&str> = path[1..].split('/').collect();
        let found = match find(ROUTES, method, &segments) {
            Found::Route(_, place, id) => Some((place, id)),
            _ => None,
        };
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn finds() {
        check(Method::Get, "/", Some((0, 0)));
        check(Method::Head, "/api/errors", Some((1, 0)));
        check(Method::Post, "/api/errors", Some((2, 0)));
        check(Method::Get, "/api/errors/7", Some((3, 7)));
        check(Method::Get, "/api/errors/9223372036854775807", Some((3, i64::MAX)));
    }

    #[test]
    fn finds_nothing() {
        for path in ["/api/errors/", "/api/errors/0", "/api/errors/-1", "/api/errors/+1", "/api/errors/x"] {
            check(Method::Get, path, None);
        }
        check(Method::Get, "/api/errors/9223372036854775808", None);
        check(Method::Get, "/api/errors/1/", None);
        check(Method::Get, "/api", None);
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        assert!(matches!(find(ROUTES, Method::Delete, &["api", "errors"]), Found::WrongMethod));
        let response = wrong_method(ROUTES, &["api", "errors"]).response();
        assert!(response.headers.iter().any(|(name, value)| *name == "allow" && value == "GET, HEAD, POST"));
        let all = [Method::Get, Method::Post, Method::Delete].map(|method| route(method, "/"));
        let response = wrong_method(&all, &[""]).response();
        let allow = response.headers.iter().find(|(name, _)| *name == "allow").map(|(_, value)| &**value);
        assert_eq!(allow, Some("GET, HEAD, POST, DELETE"));
    }
}
