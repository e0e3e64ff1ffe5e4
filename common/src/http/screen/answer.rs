//! An answer on its way from tiny_http to the client: taken over whole, or passed on as it comes when it is a stream.

use std::io::{self, ErrorKind, Write as _};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Shared;
use super::connection::{BUSY, Connection, WRITING, find_empty_line};
use super::local::{ANSWER_TIME_MAX, Local, read_once};
use crate::http::stream::{FRAME_BYTES_MAX, Frame, STREAM_MARK};
use crate::memory::Share;

/// One piece of an answer. The clock of a client that does not read starts anew with each.
const PIECE_BYTES: usize = 4 << 10;
/// The first read of an answer; holds a common one.
const ANSWER_BYTES: usize = 1 << 10;
/// What tells the client that no request follows.
const CLOSE: &[u8] = b"connection: close\r\n";
/// What an HTTP/1.0 client must be told to keep the connection.
const KEEP_ALIVE: &[u8] = b"connection: keep-alive\r\n";
/// What tells it how a stream is sent.
const CHUNKED: &[u8] = b"transfer-encoding: chunked\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Our own server's heads are far smaller.
const ANSWER_HEAD_BYTES_MAX: usize = 4 << 10;

/// What became of an answer.
pub(super) enum Answer<'s> {
    /// It is here, and its memory is accounted for.
    Whole(Share<'s>),
    /// There is no room for one so large.
    TooLarge,
    /// The client has what there was to send; whether that was all.
    Streamed { complete: bool },
}

/// An answer, and what its client wants.
pub(super) struct Answering<'a> {
    pub(super) connection: &'a Connection,
    pub(super) answer: &'a mut Vec<u8>,
    /// Header lines that the gate adds.
    pub(super) headers: &'a str,
    pub(super) keep_open: bool,
    pub(super) is_head: bool,
    pub(super) is_http10: bool,
}

impl Answering<'_> {
    /// Reads the whole answer, or passes a stream on until it ends.
    pub(super) fn take_over<'s>(&mut self, local: &mut Local<'_>, shared: &'s Shared) -> io::Result<Answer<'s>> {
        self.answer.clear();
        let head_bytes = self.read_head(local)?;
        if self.answer[..head_bytes].ends_with(STREAM_MARK) {
            return self.pass_on(local, head_bytes);
        }
        let body_bytes = if self.is_head { 0 } else { body_length(&self.answer[..head_bytes])? };
        let Some(share) = shared.room_for_answer(body_bytes) else { return Ok(Answer::TooLarge) };
        let added = [self.headers.as_bytes(), self.connection_word()].concat();
        self.answer.reserve_exact((head_bytes + body_bytes + added.len()).saturating_sub(self.answer.len()));
        while self.answer.len() < head_bytes + body_bytes {
            let missing = head_bytes + body_bytes - self.answer.len();
            self.read_piece(local, missing.min(PIECE_BYTES))?;
        }
        local.reusable();
        if !added.is_empty() {
            let before_empty_line = head_bytes - 2;
            self.answer.splice(before_empty_line..before_empty_line, added);
        }
        Ok(Answer::Whole(share))
    }

    const fn connection_word(&self) -> &'static [u8] {
        match (self.keep_open, self.is_http10) {
            (false, _) => CLOSE,
            (true, true) => KEEP_ALIVE,
            (true, false) => b"",
        }
    }

    /// Sends what [`Self::take_over`] has read.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let written = self.answer.chunks(PIECE_BYTES).try_for_each(|piece| self.write_piece(piece));
        self.answer.clear();
        written
    }

    fn write_piece(&self, piece: &[u8]) -> io::Result<()> {
        self.connection.set_state(WRITING);
        (&self.connection.socket).write_all(piece)
    }

    /// Passes a stream on frame by frame. A client that leaves takes its local connection with it, which ends the stream.
    fn pass_on<'s>(&mut self, local: &mut Local<'_>, head_bytes: usize) -> io::Result<Answer<'s>> {
        let mut frames = self.answer.split_off(head_bytes);
        self.answer.truncate(head_bytes - STREAM_MARK.len());
        self.answer.extend_from_slice(self.headers.as_bytes());
        self.answer.extend_from_slice(if self.is_http10 { CLOSE } else { CHUNKED });
        if !self.keep_open && !self.is_http10 {
            self.answer.extend_from_slice(CLOSE);
        }
        self.answer.extend_from_slice(b"\r\n");
        let sent = self.write();
        let outcome = sent.and_then(|()| self.pass_on_frames(local, &mut frames));
        if matches!(outcome, Ok(true)) {
            local.reusable();
        }
        // Whatever broke, the head is sent: all that is left to say to the client is the end of the connection.
        Ok(Answer::Streamed { complete: outcome.unwrap_or(false) })
    }

    /// Whether the stream came to its own end.
    fn pass_on_frames(&mut self, local: &mut Local<'_>, frames: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            self.connection.set_state(BUSY);
            match Frame::take(frames)? {
                Some(Frame::Data(data)) if !self.is_head => self.pass_on_data(&data)?,
                Some(Frame::Data(_) | Frame::Ping) => {}
                Some(Frame::End) => {
                    if !self.is_http10 && !self.is_head {
                        self.write_piece(LAST_CHUNK)?;
                    }
                    return Ok(true);
                }
                Some(Frame::Abort) => return Ok(false),
                None => {
                    self.wait_for_more(local)?;
                    read_some(local, frames)?;
                }
            }
        }
    }

    fn pass_on_data(&mut self, data: &[u8]) -> io::Result<()> {
        if self.is_http10 {
            return self.write_piece(data);
        }
        self.answer.clear();
        write!(self.answer, "{:x}\r\n", data.len())?;
        self.answer.extend_from_slice(data);
        self.answer.extend_from_slice(b"\r\n");
        self.write()
    }

    /// Waits for the next bytes of the stream; fails when the client hangs up first.
    fn wait_for_more(&self, local: &mut Local<'_>) -> io::Result<()> {
        let mut sockets =
            [PollFd::new(local.stream()?, PollFlags::IN), PollFd::new(&self.connection.socket, PollFlags::RDHUP)];
        let patience = Timespec { tv_sec: ANSWER_TIME_MAX.as_secs() as i64, tv_nsec: 0 };
        match poll(&mut sockets, Some(&patience)) {
            Ok(0) => return Err(ErrorKind::TimedOut.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if sockets[1].revents().is_empty() { Ok(()) } else { Err(ErrorKind::ConnectionAborted.into()) }
    }

    fn read_head(&mut self, local: &mut Local<'_>) -> io::Result<usize> {
        loop {
            if let Some(end) = find_empty_line(self.answer, 0) {
                return Ok(end);
            }
            if self.answer.len() > ANSWER_HEAD_BYTES_MAX {
                return Err(ErrorKind::InvalidData.into());
            }
            self.read_piece(local, ANSWER_BYTES)?;
        }
    }

    fn read_piece(&mut self, local: &mut Local<'_>, most: usize) -> io::Result<()> {
        read_up_to(local, self.answer, most)
    }
}

fn read_some(local: &mut Local<'_>, frames: &mut Vec<u8>) -> io::Result<()> {
    read_up_to(local, frames, FRAME_BYTES_MAX)
}

/// Appends what one read gives; fails at the end.
fn read_up_to(local: &mut Local<'_>, buffer: &mut Vec<u8>, most: usize) -> io::Result<()> {
    let before = buffer.len();
    buffer.resize(before + most, 0);
    let outcome = read_once(local.stream()?, &mut buffer[before..]);
    buffer.truncate(before + outcome.as_ref().copied().unwrap_or(0));
    match outcome? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// The length our server states; it states one for every answer that has a body.
fn body_length(head: &[u8]) -> io::Result<usize> {
    let mut storage = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut storage);
    response.parse(head).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let stated = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let digits = stated.and_then(|header| std::str::from_utf8(header.value).ok());
    Ok(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0))
}
