//! Hands out a service's web interface, which was built and compressed before the binary was.

use std::borrow::Cow;

use crate::http::error::{ApiError, Kind};
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::service::Context;

/// Nothing runs, loads or is sent anywhere but from and to this service; no page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

/// The names of assets hold a hash of what is in them: another content has another name.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// A web interface as it was built.
#[derive(Debug)]
pub struct Interface {
    /// The page at `/`. Its links are relative, so it works under any prefix.
    pub page: &'static str,
    /// The same page for addresses one level down, such as `/errors/1`.
    pub page_below: &'static str,
    /// What the page loads.
    pub assets: &'static [Asset],
}

/// A script, a style sheet or an image.
#[derive(Debug)]
pub struct Asset {
    /// As in `/assets/app-5DJ4QCR7.js`.
    pub name: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// The content, compressed.
    pub gzip: &'static [u8],
}

/// `GET /`.
pub fn page<S>(ctx: &Context<S>, _request: &mut Request) -> Result<Reply, ApiError> {
    Ok(html(interface(ctx)?.page).into())
}

/// `GET` of an address one level down.
pub fn page_below<S>(ctx: &Context<S>, _request: &mut Request) -> Result<Reply, ApiError> {
    Ok(html(interface(ctx)?.page_below).into())
}

/// `GET /assets/{file}`. They are only kept compressed: a client that refuses gzip is told so with a 406.
pub fn asset<S>(ctx: &Context<S>, request: &mut Request) -> Result<Reply, ApiError> {
    let name = request.target.segments.last().map_or("", String::as_str);
    let asset = interface(ctx)?.assets.iter().find(|asset| asset.name == name);
    let asset = asset.ok_or_else(|| ApiError::not_found("Not found"))?;
    if !takes_gzip(request.header("accept-encoding")) {
        return Err(ApiError::new(Kind::NotAcceptable, "Only available with Content-Encoding: gzip"));
    }
    let response = Response::new(200, asset.content_type, Cow::Borrowed(asset.gzip))
        .with_header("content-encoding", "gzip")
        .with_header("cache-control", FOR_EVER)
        .with_header("vary", "accept-encoding");
    Ok(guarded(response).into())
}

fn interface<S>(ctx: &Context<S>) -> Result<&'static Interface, ApiError> {
    ctx.core.interface.ok_or_else(|| ApiError::not_found("Not found"))
}

fn html(page: &'static str) -> Response {
    guarded(Response::new(200, "text/html; charset=utf-8", page.as_bytes()).with_header("cache-control", "no-cache"))
        .with_header("cross-origin-opener-policy", "same-origin")
}

/// With what a browser must know of everything that it may show as a page; the icon is one too when somebody opens it.
fn guarded(response: Response) -> Response {
    response.with_header("content-security-policy", POLICY).with_header("referrer-policy", "no-referrer")
}

/// Whether `Accept-Encoding` allows gzip (RFC 9110, section 12.5.3); who does not send it takes anything.
fn takes_gzip(accept: Option<&str>) -> bool {
    let Some(accept) = accept else { return true };
    let weight = |coding: &str| {
        accept.split(',').find_map(|item| {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            name.trim().eq_ignore_ascii_case(coding).then(|| {
                let quality = parameters.trim().strip_prefix("q=").and_then(|q| q.trim().parse().ok());
                quality.unwrap_or(1.0_f32)
            })
        })
    };
    weight("gzip").or_else(|| weight("x-gzip")).or_else(|| weight("*")).is_some_and(|quality| quality > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_unless_refused_or_left_out() {
        for accept in [None, Some("gzip"), Some("br, GZIP;q=0.5"), Some("deflate, *"), Some("x-gzip")] {
            assert!(takes_gzip(accept), "{accept:?}");
        }
        for accept in [Some(""), Some("identity"), Some("gzip;q=0, *"), Some("br"), Some("*;q=0")] {
            assert!(!takes_gzip(accept), "{accept:?}");
        }
    }
}
