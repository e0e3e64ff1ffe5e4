//! A request's body on its way in, and on to tiny_http.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use super::connection::{Client, End, Incoming, READ_BYTES, RECEIVING, is_timeout, refused};
use super::local::Local;
use crate::http::body::{BadChunks, Chunks};
use crate::http::error::{ApiError, Kind};
use crate::http::head::Framing;
use crate::http::metrics::Refusal;
use crate::memory::{SMALL_BYTES, Share};

/// A body is complete this long after its head.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// So much of a large body comes with its head; what waits for its share holds no more.
const SHARE_AT_BYTES: usize = READ_BYTES / 2;
/// Larger bodies are kept in parts of this size; glibc gives them back to the system one by one.
const PART_BYTES: usize = 256 << 10;

/// A body that is here.
pub(super) struct Body {
    /// Empty when it is in the input buffer, right behind the head: as most are.
    pub(super) parts: Vec<Vec<u8>>,
    /// Where the input of the next request begins.
    pub(super) end: usize,
}

impl Body {
    pub(super) fn length(&self, head_bytes: usize) -> usize {
        if self.parts.is_empty() { self.end - head_bytes } else { self.parts.iter().map(Vec::len).sum() }
    }
}

/// A body on its way in. Its memory is asked for only when some of it is here: a promise alone keeps nobody else out.
pub(super) struct Arriving<'s> {
    bytes_max: usize,
    received: usize,
    deadline: Instant,
    /// How much of it must be here before a share is asked for.
    share_at: usize,
    share: Option<Share<'s>>,
}

impl Arriving<'_> {
    pub(super) fn new(incoming: &Incoming, input_bytes: usize) -> Result<Self, End> {
        let (bytes_max, share_at) = match incoming.framing {
            Framing::Length(length) if length > incoming.body_bytes_max as u64 => {
                return Err(body_too_large(incoming.body_bytes_max));
            }
            Framing::Length(length) if length <= SMALL_BYTES as u64 => (length as usize, usize::MAX),
            Framing::Length(length) => (length as usize, SHARE_AT_BYTES),
            // It may well be small: most are.
            Framing::Chunked => (incoming.body_bytes_max, SMALL_BYTES),
        };
        let received = input_bytes - incoming.head_bytes;
        Ok(Self { bytes_max, received, deadline: Instant::now() + BODY_TIME_MAX, share_at, share: None })
    }
}

impl<'c> Client<'c> {
    pub(super) fn read_sized_body(&mut self, incoming: &Incoming, arriving: &mut Arriving<'c>) -> Result<Body, End> {
        let start = incoming.head_bytes;
        let (mut parts, mut left) = (Vec::new(), arriving.bytes_max);
        loop {
            let here = start + left.min(PART_BYTES);
            while self.buffers.input.len() < here {
                // The buffer grows with what arrives, not with what was promised.
                let missing = here - self.buffers.input.len();
                self.fill_body(missing.min(SMALL_BYTES), arriving)?;
            }
            if parts.is_empty() && left <= PART_BYTES {
                return Ok(Body { parts, end: here });
            }
            parts.push(self.buffers.input.drain(start..here).collect());
            left -= here - start;
            if left == 0 {
                return Ok(Body { parts, end: start });
            }
        }
    }

    pub(super) fn read_chunked_body(&mut self, incoming: &Incoming, arriving: &mut Arriving<'c>) -> Result<Body, End> {
        let (mut chunks, mut parts, mut at) = (Chunks::new(), vec![Vec::new()], incoming.head_bytes);
        let mut left = incoming.body_bytes_max;
        loop {
            let input = &mut self.buffers.input;
            let part = parts.last_mut().expect("one is there from the start");
            let before = part.len();
            at += chunks.decode(&input[at..], part, before + left).map_err(|bad| match bad {
                BadChunks::TooLarge => body_too_large(incoming.body_bytes_max),
                BadChunks::Malformed => refused(Kind::Invalid, "Malformed chunked body", Refusal::Malformed),
            })?;
            left -= part.len() - before;
            if chunks.is_done() {
                return Ok(Body { parts, end: at });
            }
            if part.len() >= PART_BYTES {
                parts.push(Vec::new());
            }
            input.drain(incoming.head_bytes..at);
            at = incoming.head_bytes;
            self.fill_body(READ_BYTES, arriving)?;
        }
    }

    fn fill_body(&mut self, most: usize, arriving: &mut Arriving<'c>) -> Result<(), End> {
        if arriving.share.is_none() && arriving.received >= arriving.share_at {
            arriving.share = Some(self.shared.room_for_body(arriving.bytes_max).ok_or_else(no_room_for_body)?);
            self.connection.set_state(RECEIVING);
        }
        let most = if arriving.share.is_some() { most } else { most.min(arriving.share_at - arriving.received) };
        match self.fill(most, arriving.deadline) {
            Ok(0) => Err(End::Closed),
            Ok(count) => {
                let before = arriving.received;
                arriving.received += count;
                if arriving.share.is_some() && before / SMALL_BYTES < arriving.received / SMALL_BYTES {
                    self.connection.set_state(RECEIVING);
                }
                Ok(())
            }
            Err(error) if is_timeout(&error) => {
                Err(refused(Kind::TooSlow, "The request body did not arrive in time", Refusal::TooSlow))
            }
            Err(_) => Err(End::Closed),
        }
    }
}

/// Each part's memory is free when it is sent, so that a large body is never held twice.
pub(super) fn send_parts(local: &mut Local<'_>, head: &[u8], parts: Vec<Vec<u8>>) -> io::Result<()> {
    let stream = local.stream()?;
    stream.write_all(head)?;
    parts.into_iter().try_for_each(|part| stream.write_all(&part))
}

fn body_too_large(bytes_max: usize) -> End {
    let error = ApiError::new(Kind::BodyTooLarge, "Request body exceeds maximum size");
    End::Refused(error.with_reason(format!("expected at most {bytes_max} bytes")), Refusal::BodyTooLarge)
}

fn no_room_for_body() -> End {
    End::Refused(ApiError::unavailable(1, "Too many large requests at once, try again"), Refusal::BodyMemory)
}
