//! Whole connections against the screen and the workers behind it, as strangers see them: over a socket.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::auth::ApiKey;
use crate::clock::Clock;
use crate::env::Secret;
use crate::http::error::ApiError;
use crate::http::gate::Gate;
use crate::http::metrics::HttpMetrics;
use crate::http::reply::Reply;
use crate::http::request::Method::{Get, Post};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::router::Access::{Key, Public};
use crate::http::router::Route;
use crate::http::server::{Server, ServerConfig};
use crate::http::stream::{Outlet, Stream};
use crate::shutdown::Stop;
use crate::testing::{TempDir, database};
use crate::writer::Writer;

/// Small, so that what is larger is found.
const BODY_BYTES_MAX: usize = 6 << 10;
/// Longer than any limit of the screen that does not depend on what was sent.
const PATIENCE: Duration = Duration::from_secs(8);
const ROUTES: &[Route<()>] = &[
    Route::new(Post, "/echo", Public, echo).with_body(BODY_BYTES_MAX),
    Route::new(Post, "/private", Key, echo).with_body(BODY_BYTES_MAX),
    Route::new(Get, "/stream", Public, |(), _| Ok(stream())),
];

/// A server of two workers, for as long as the process lives.
static ADDRESS: LazyLock<SocketAddr> = LazyLock::new(|| {
    let folder = TempDir::new();
    let config = ServerConfig {
        address: ([127, 0, 0, 1], 0).into(),
        connections_max: 64,
        trust_proxy: false,
        socket: folder.path().join("fuzz.sock"),
        workers: 2,
        stop: Stop::new(),
    };
    let gate = Gate::new(ROUTES, ApiKey::new(Secret::new("k")), 0, Clock::System);
    let (writer, threads) = Writer::start(database::in_memory(&[])).expect("a writer");
    let server = Server::start(config, ROUTES, || (), Arc::new(gate), writer, Arc::new(HttpMetrics::new(ROUTES)))
        .expect("a port");
    let address = server.address().expect("an address");
    // Both run until the process ends.
    std::mem::forget((folder, server, threads));
    address
});

/// Says what arrived, in text that cannot be taken for the beginning of an answer.
fn echo((): &(), request: &mut Request) -> Result<Reply, ApiError> {
    Ok(Response::new(200, "text/plain", told(&request.body).into_bytes()).into())
}

fn stream() -> Reply {
    let run = Box::new(|outlet: &mut Outlet| outlet.send(b"piece").and_then(|()| outlet.send(b"by piece")));
    Stream { head: Response::new(200, "text/plain", Vec::new()), run }.into()
}

/// Length and FNV-1a hash.
fn told(body: &[u8]) -> String {
    let hash = body
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{} bytes {hash:x}", body.len())
}

/// Whatever arrives, in whatever pieces, is answered the same way: with what it says, with a refusal, or not at all.
pub(super) fn check(bytes: &[u8]) {
    let Some((cut, input)) = bytes.split_first() else { return };
    let cut = input.len() * usize::from(*cut) / 256;
    let whole = answers(&[input]);
    let pieces = answers(&[&input[..cut], &input[cut..]]);
    // A refusal may end the connection or not, by what of the body was here.
    for (one, other) in whole.iter().zip(&pieces) {
        assert_eq!(one, other, "cut at {cut}");
    }
    for (answer, expected) in whole.iter().zip(expected(input)) {
        let (status, body) = (&answer[..3], answer.rsplit("\r\n").next().unwrap_or_default());
        assert!(!status.starts_with('5') || status == "501", "{answer}");
        if let Some(expected) = expected {
            assert!(status != "200" || body == expected, "expected {expected}, got {answer}");
        }
    }
}

/// The answers to a connection that sends these pieces and no more: each from its status on, without what depends on how
/// the pieces arrived.
fn answers(pieces: &[&[u8]]) -> Vec<String> {
    let mut socket = TcpStream::connect(*ADDRESS).expect("the server listens");
    socket.set_nodelay(true).expect("a setting");
    socket.set_read_timeout(Some(PATIENCE)).expect("a setting");
    for piece in pieces {
        // The server may have refused what came before; then it says why.
        let _ = socket.write_all(piece);
    }
    let _ = socket.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    match socket.read_to_end(&mut answers) {
        // It closed while more arrived than it drains.
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("no end of the answers: {error}"),
        _ => {}
    }
    let text = String::from_utf8(answers).expect("answers are text");
    let answers = text.split("HTTP/1.1 ").skip(1).filter(|answer| !answer.starts_with("100"));
    answers.map(|answer| answer.replace("connection: close\r\n", "")).collect()
}

/// What the server should have seen of each request, read by other means: as far as the bytes can be read in one way only.
fn expected(mut input: &[u8]) -> Vec<Option<String>> {
    let mut all = Vec::new();
    loop {
        while let Some(rest) = input.strip_prefix(b"\r\n") {
            input = rest;
        }
        let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else { return all };
        let Ok(head) = std::str::from_utf8(&input[..end]) else { return all };
        let lower = head.to_ascii_lowercase();
        let mut lengths = lower.split("\r\n").filter_map(|line| line.strip_prefix("content-length:"));
        let length = lengths.next().map_or(Ok(0), |digits| digits.trim().parse::<usize>());
        let (Ok(length), None, false) = (length, lengths.next(), lower.contains("transfer-encoding")) else {
            return all;
        };
        let Some((body, rest)) = input[end + 4..].split_at_checked(length) else { return all };
        let is_post = head.starts_with("POST /echo ") || head.starts_with("POST /private ");
        all.push(is_post.then(|| told(body)));
        input = rest;
    }
}
