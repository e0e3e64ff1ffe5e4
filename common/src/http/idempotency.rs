//! `Idempotency-Key`: a client that does not know whether its request arrived sends it again with the same key, and it counts
//! once.

use md5::{Digest as _, Md5};

use crate::http::error::{ApiError, Kind};
use crate::http::request::Request;

/// The longest key that is remembered.
const KEY_BYTES_MAX: usize = 200;

/// A key and what came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// As the client chose it.
    pub key: String,
    /// The MD5 hash of the body: another body with the same key is a mistake of the client, not an attack.
    pub body: [u8; 16],
}

impl Once {
    /// Of a request that has such a header. Fails when the key is too long.
    pub fn of(request: &Request) -> Result<Option<Self>, ApiError> {
        let Some(key) = request.header("idempotency-key").filter(|key| !key.is_empty()) else { return Ok(None) };
        if key.len() > KEY_BYTES_MAX {
            let detail = format!("Idempotency-Key: expected at most {KEY_BYTES_MAX} bytes, got {}", key.len());
            return Err(ApiError::new(Kind::Invalid, detail));
        }
        Ok(Some(Self { key: key.to_owned(), body: Md5::digest(&request.body).into() }))
    }

    /// 422: the key came with another body before.
    pub fn reused() -> ApiError {
        ApiError::new(Kind::Unprocessable, "Idempotency-Key was used with another body")
    }
}
