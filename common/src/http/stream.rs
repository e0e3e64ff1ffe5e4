//! Answers without a known end: an event stream, an export. They run on threads of their own, so that none costs a worker.
//!
//! Between the worker's side and the [screen](crate::http::screen) a stream travels in frames: a length (four bytes, big
//! endian) and so many bytes. Three lengths that no data has say something else: that it is complete, that it broke off,
//! and nothing at all, which finds out whether the client is still there.

use std::io::{self, ErrorKind, Write};

use crate::http::response::Response;

/// Ends the head of an answer that is a stream; no client sees it.
pub(crate) const STREAM_MARK: &[u8] = b"x-monlight-stream: frames\r\n\r\n";
/// Data travels in frames up to this size: what a stream costs the screen in memory.
pub(crate) const FRAME_BYTES_MAX: usize = 4 << 10;

const LENGTH_BYTES: usize = 4;
const END: u32 = 0;
const PING: u32 = u32::MAX;
const ABORT: u32 = u32::MAX - 1;

/// What a stream does on its own thread: it sends until there is no more, or until sending fails.
pub type Run = Box<dyn FnOnce(&mut Outlet) -> io::Result<()> + Send>;

/// An answer that is sent piece by piece.
pub struct Stream {
    /// Status and headers; its body is not sent.
    pub head: Response,
    /// What sends the rest.
    pub run: Run,
}

/// Where a stream's bytes go.
pub struct Outlet {
    out: Box<dyn Write + Send>,
}

impl Outlet {
    pub(crate) fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out }
    }

    /// Sends bytes at once. Waits for a client that reads slowly; fails when the client is gone.
    pub fn send(&mut self, data: &[u8]) -> io::Result<()> {
        for piece in data.chunks(FRAME_BYTES_MAX) {
            let mut frame = Vec::with_capacity(LENGTH_BYTES + piece.len());
            frame.extend_from_slice(&(piece.len() as u32).to_be_bytes());
            frame.extend_from_slice(piece);
            self.out.write_all(&frame)?;
        }
        self.out.flush()
    }

    /// Fails when the client is gone. A stream that has nothing to send calls this every second or so.
    pub fn check_client(&mut self) -> io::Result<()> {
        self.mark(PING)
    }

    /// Says that this was all, or that something broke.
    pub(crate) fn finish(&mut self, is_complete: bool) -> io::Result<()> {
        self.mark(if is_complete { END } else { ABORT })
    }

    pub(crate) fn head(&mut self, head: &[u8]) -> io::Result<()> {
        self.out.write_all(head)?;
        self.out.flush()
    }

    fn mark(&mut self, mark: u32) -> io::Result<()> {
        self.out.write_all(&mark.to_be_bytes())?;
        self.out.flush()
    }
}

/// For `write!` and serializers; each write is sent at once, so wrap it in a [`io::BufWriter`].
impl Write for Outlet {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.send(data).map(|()| data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// One frame, as the screen reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Data(Vec<u8>),
    Ping,
    End,
    Abort,
}

impl Frame {
    /// Takes the first frame off `buffer`; none when it is not here as a whole.
    pub(crate) fn take(buffer: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let Some((length, rest)) = buffer.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let (frame, data_bytes) = match u32::from_be_bytes(*length) {
            END => (Self::End, 0),
            PING => (Self::Ping, 0),
            ABORT => (Self::Abort, 0),
            length if length as usize > FRAME_BYTES_MAX => return Err(ErrorKind::InvalidData.into()),
            length => match rest.get(..length as usize) {
                Some(data) => (Self::Data(data.to_vec()), length as usize),
                None => return Ok(None),
            },
        };
        buffer.drain(..LENGTH_BYTES + data_bytes);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(data)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn frames_arrive_as_they_were_sent_however_they_are_cut() {
        let sink = Sink::default();
        let mut outlet = Outlet::new(Box::new(sink.clone()));
        let long = vec![7; FRAME_BYTES_MAX + 1];
        outlet.send(b"a").expect("sent");
        outlet.check_client().expect("sent");
        outlet.send(&long).expect("sent");
        outlet.send(b"").expect("nothing sent");
        outlet.finish(true).expect("sent");
        outlet.finish(false).expect("sent");
        let (mut buffer, mut frames) = (Vec::new(), Vec::new());
        for byte in sink.0.lock().expect("no panic").iter() {
            buffer.push(*byte);
            frames.extend(Frame::take(&mut buffer).expect("well-formed"));
        }
        let (first, rest) = long.split_at(FRAME_BYTES_MAX);
        let data = |bytes: &[u8]| Frame::Data(bytes.to_vec());
        assert_eq!(frames, [data(b"a"), Frame::Ping, data(first), data(rest), Frame::End, Frame::Abort]);
        assert!(buffer.is_empty());
        assert!(Frame::take(&mut 5000u32.to_be_bytes().to_vec()).is_err());
    }
}
