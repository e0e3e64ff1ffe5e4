//! The head of a request, read strictly: whatever two programs could read in two ways is refused (RFC 9112, section 11.2).

use crate::http::error::{ApiError, Kind};

/// A head larger than this is `431`; the original's limit.
pub const HEAD_BYTES_MAX: usize = 8 << 10;
/// More headers than any client of ours sends.
const HEADERS_MAX: usize = 64;

/// The only headers that handlers see. Everything else stays in the screen.
pub const FORWARDED_HEADERS: [&str; 5] =
    ["accept-encoding", "idempotency-key", "if-none-match", "last-event-id", "user-agent"];

/// How the length of the body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes follow, possibly none.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// A well-formed head.
#[derive(Debug)]
pub struct Head<'a> {
    /// The method's word.
    pub method: &'a str,
    /// The target as sent; printable ASCII.
    pub target: &'a str,
    /// The length of the body.
    pub framing: Framing,
    /// Whether the client wants the connection kept.
    pub keep_alive: bool,
    /// Whether it is an HTTP/1.0 client, which knows no chunks.
    pub is_http10: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    headers: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Head<'a> {
    /// The first header of this (lower-case) name whose value is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.values(name).next().and_then(|value| std::str::from_utf8(value).ok()).filter(|v| v.is_ascii())
    }

    /// The last header of this (lower-case) name whose value is ASCII.
    pub fn last_header(&self, name: &str) -> Option<&'a str> {
        self.values(name).last().and_then(|value| std::str::from_utf8(value).ok()).filter(|v| v.is_ascii())
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Reads a complete head: `bytes` ends with its empty line.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ApiError> {
        refuse_bare_line_ends(bytes)?;
        let mut storage = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut storage);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(malformed("request head", "an empty line in its middle")),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(ApiError::new(
                    Kind::HeadTooLarge,
                    format!("Too many headers, expected at most {HEADERS_MAX}"),
                ));
            }
            Err(error) => return Err(malformed("request head", error)),
        }
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
            return Err(malformed("request head", "no request line"));
        };
        if !target.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(malformed("request target", "expected percent-encoded ASCII"));
        }
        let headers = request.headers.iter().map(|header| (header.name, header.value)).collect();
        let mut head = Self {
            method,
            target,
            framing: Framing::Length(0),
            keep_alive: version == 1,
            is_http10: version == 0,
            expects_continue: false,
            headers,
        };
        head.framing = head.read_framing(version)?;
        head.keep_alive = head.wants_keep_alive(version);
        head.expects_continue = head.read_expect(version)?;
        head.check_idempotency_key()?;
        Ok(head)
    }

    fn read_framing(&self, version: u8) -> Result<Framing, ApiError> {
        let mut lengths = self.values("content-length");
        let mut codings = self.values("transfer-encoding");
        let (length, coding) = (lengths.next(), codings.next());
        if lengths.next().is_some() || codings.next().is_some() {
            return Err(malformed("request head", "Content-Length or Transfer-Encoding is given twice"));
        }
        match (length, coding) {
            (None, None) => Ok(Framing::Length(0)),
            (Some(_), Some(_)) => Err(malformed("request head", "both Content-Length and Transfer-Encoding are given")),
            (Some(digits), None) => parse_length(digits).map(Framing::Length),
            (None, Some(_)) if version == 0 => Err(malformed("request head", "Transfer-Encoding in HTTP/1.0")),
            (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (None, Some(_)) => Err(ApiError::new(Kind::NotImplemented, "Transfer-Encoding: expected chunked")),
        }
    }

    /// A header that is not ASCII goes no further. Without this one, what is to count once would count again.
    fn check_idempotency_key(&self) -> Result<(), ApiError> {
        if self.values("idempotency-key").all(<[u8]>::is_ascii) {
            return Ok(());
        }
        Err(malformed("Idempotency-Key", "expected ASCII"))
    }

    fn wants_keep_alive(&self, version: u8) -> bool {
        let mut keep_alive = version == 1;
        for word in self.values("connection").flat_map(|value| value.split(|b| *b == b',')) {
            let word = word.trim_ascii();
            if word.eq_ignore_ascii_case(b"close") {
                return false;
            }
            keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
        }
        keep_alive
    }

    fn read_expect(&self, version: u8) -> Result<bool, ApiError> {
        match self.values("expect").next() {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(version == 1),
            Some(_) => Err(ApiError::new(Kind::ExpectationFailed, "Expect: expected 100-continue")),
        }
    }
}

fn malformed(what: &str, why: impl std::fmt::Display) -> ApiError {
    ApiError::new(Kind::Invalid, format!("Malformed {what}: {why}"))
}

/// Decimal digits and nothing else: no sign, no list. More than fits is simply more than any limit.
fn parse_length(digits: &[u8]) -> Result<u64, ApiError> {
    let text = std::str::from_utf8(digits).unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(malformed("Content-Length", "expected decimal digits"));
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

/// Lines end in CR LF, and neither stands alone.
fn refuse_bare_line_ends(bytes: &[u8]) -> Result<(), ApiError> {
    let paired = |at: usize| match bytes[at] {
        b'\n' => at > 0 && bytes[at - 1] == b'\r',
        b'\r' => bytes.get(at + 1) == Some(&b'\n'),
        _ => true,
    };
    if (0..bytes.len()).all(paired) {
        return Ok(());
    }
    Err(malformed("request head", "a bare CR or LF"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> u16 {
        match Head::parse(head.as_bytes()) {
            Ok(_) => 200,
            Err(error) => error.status(),
        }
    }

    #[track_caller]
    fn check(headers: &str, expected: Result<Framing, u16>) {
        let text = format!("POST /api/errors HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let framing = Head::parse(text.as_bytes()).map(|head| head.framing).map_err(|error| error.status());
        assert_eq!(framing, expected, "{headers:?}");
    }

    #[test]
    fn lengths() {
        check("", Ok(Framing::Length(0)));
        check("Content-Length: 12\r\n", Ok(Framing::Length(12)));
        check("content-length: 40000000000\r\n", Ok(Framing::Length(40_000_000_000)));
        check("content-length: 99999999999999999999999\r\n", Ok(Framing::Length(u64::MAX)));
        check("Transfer-Encoding: Chunked\r\n", Ok(Framing::Chunked));
        for bad in ["-5", "+5", "5, 5", "0x5", "", "5 5", "٥"] {
            check(&format!("Content-Length: {bad}\r\n"), Err(400));
        }
        check("Content-Length: 5\r\nContent-Length: 5\r\n", Err(400));
        check("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(400));
        check("Transfer-Encoding: gzip, chunked\r\n", Err(501));
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        assert_eq!(status("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
        assert_eq!(status("GET / HTTP/1.1\nHost: x\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nA : b\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n"), 400);
        assert_eq!(status("GET /\u{e9} HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/2.0\r\n\r\n"), 400);
        assert_eq!(status("nonsense\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nExpect: cake\r\n\r\n"), 417);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65))), 431);
    }

    #[test]
    fn an_idempotency_key_that_would_be_lost_is_refused() {
        assert_eq!(status("POST / HTTP/1.1\r\nIdempotency-Key: a b\r\n\r\n"), 200);
        assert_eq!(status("POST / HTTP/1.1\r\nUser-Agent: \u{e9}\r\nIdempotency-Key: \u{e9}\r\n\r\n"), 400);
        assert_eq!(status("POST / HTTP/1.1\r\nUser-Agent: \u{e9}\r\n\r\n"), 200);
    }

    #[test]
    fn keep_alive() {
        let wants = |text: &str| Head::parse(text.as_bytes()).expect("well-formed").keep_alive;
        assert!(wants("GET / HTTP/1.1\r\n\r\n"));
        assert!(!wants("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n"));
        assert!(!wants("GET / HTTP/1.0\r\n\r\n"));
        assert!(wants("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    }
}
