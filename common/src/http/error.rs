//! What a caller reads when a request is refused or fails, and the one match from its kind to a status.

use serde::Serialize;

use crate::http::request::Methods;
use crate::http::response::Response;
use crate::json::Invalid;
use crate::query::BadEscape;
use crate::writer::{WriteError, is_storage};

/// Why a request got no success, for the caller.
#[derive(Debug)]
pub struct ApiError {
    kind: Kind,
    detail: String,
    reason: Option<String>,
}

/// The kinds of refusal and failure; each has one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request is not what we take.
    Invalid,
    /// No key, or a wrong one.
    Unauthorized,
    /// The key is right, but not for this.
    Forbidden,
    /// Nothing is there.
    NotFound,
    /// Something is there, but not for this method; names the ones it has.
    WrongMethod(Methods),
    /// What is there is not in a form the client takes.
    NotAcceptable,
    /// The request did not arrive in time.
    TooSlow,
    /// The body is over the limit.
    BodyTooLarge,
    /// The head is over the limit.
    HeadTooLarge,
    /// An `Expect` we do not know.
    ExpectationFailed,
    /// A transfer coding we do not know.
    NotImplemented,
    /// Well-formed, but at odds with an earlier request.
    Unprocessable,
    /// Over the rate limit; the caller may come back after so many seconds.
    TooMany(u64),
    /// Something of ours is away for now; worth another try after so many seconds.
    Unavailable(u64),
    /// A service behind us answered what we cannot pass on.
    BadGateway,
    /// The disk is full.
    StorageFull,
    /// Something broke here.
    Internal,
}

impl Kind {
    /// The status code of this kind.
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::WrongMethod(_) => 405,
            Self::NotAcceptable => 406,
            Self::TooSlow => 408,
            Self::BodyTooLarge => 413,
            Self::ExpectationFailed => 417,
            Self::Unprocessable => 422,
            Self::TooMany(_) => 429,
            Self::HeadTooLarge => 431,
            Self::Internal => 500,
            Self::NotImplemented => 501,
            Self::Unavailable(_) => 503,
            Self::BadGateway => 502,
            Self::StorageFull => 507,
        }
    }
}

impl ApiError {
    /// An error with the sentence its caller reads.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), reason: None }
    }

    /// Adds what in particular was wrong.
    #[must_use]
    pub fn with_reason(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// 404 with a sentence.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    /// 500: something broke here. Log the cause first.
    pub fn internal() -> Self {
        Self::new(Kind::Internal, "Internal server error")
    }

    /// 503: try again in `seconds`.
    pub fn unavailable(seconds: u64, detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable(seconds), detail)
    }

    /// The status code.
    pub const fn status(&self) -> u16 {
        self.kind.status()
    }

    /// The sentence the caller reads.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The JSON response: `detail` is the contract's sentence, `reason` says what in particular was wrong.
    pub fn response(&self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            detail: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after: Option<u64>,
        }
        let retry_after = match self.kind {
            Kind::TooMany(seconds) | Kind::Unavailable(seconds) => Some(seconds),
            _ => None,
        };
        let body = Body { detail: &self.detail, reason: self.reason.as_deref(), retry_after };
        let response = Response::json(self.status(), &body);
        match (self.kind, retry_after) {
            (Kind::WrongMethod(methods), _) => response.with_header("allow", methods.to_string()),
            (_, Some(seconds)) => response.with_header("retry-after", seconds.to_string()),
            _ => response,
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self { kind: Kind::Invalid, detail: invalid.detail, reason: invalid.reason }
    }
}

impl From<BadEscape> for ApiError {
    fn from(bad: BadEscape) -> Self {
        Self::new(Kind::Invalid, bad.to_string())
    }
}

/// What broke in storage is logged here, once, with its cause; the caller reads what to do about it.
impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Full | WriteError::Late => Self::unavailable(1, "Too many writes are waiting, try again"),
            WriteError::Stopped => Self::unavailable(5, "The service is stopping, try again"),
            WriteError::Storage { full: true, .. } => {
                Self::new(Kind::StorageFull, "The disk is full, nothing was stored")
            }
            WriteError::Storage { full: false, .. } => {
                Self::unavailable(5, "The database cannot be written for now, nothing was stored")
            }
            WriteError::Job(cause) => {
                log::error!("write failed: {cause}");
                Self::new(Kind::Internal, "Internal server error")
            }
        }
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) {
            return Self::unavailable(5, "The query took too long, ask for less");
        }
        log::error!("query failed: {error}");
        if is_storage(&error) {
            return Self::unavailable(5, "The database cannot be read for now");
        }
        Self::new(Kind::Internal, "Internal server error")
    }
}
