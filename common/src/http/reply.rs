//! What a handler returns: an answer now, what to write and how to render it once that is on disk, or a stream.

use rusqlite::Connection;

use crate::http::error::ApiError;
use crate::http::response::Response;
use crate::http::stream::Stream;
use crate::writer::Writer;

/// Sends the final response; called exactly once.
pub type Answer = Box<dyn FnOnce(Response) + Send>;

/// The answer to a request.
pub enum Reply {
    /// Known already.
    Now(Response),
    /// Known after the commit.
    AfterCommit(Write),
    /// Sent piece by piece on a thread of its own. How many there may be at a time is the handler's to bound.
    Stream(Stream),
}

/// A write and its rendering, not yet queued.
pub struct Write(Submit);

type Submit = Box<dyn FnOnce(&Writer, Answer) + Send>;

impl Reply {
    /// Writes with `work` in the next group commit and answers with `render` of its result, after the commit.
    ///
    /// `work` can run twice and must have no effect outside its transaction; `bytes` is about what it holds in memory.
    pub fn after_commit<T: Send + 'static>(
        bytes: usize,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        render: impl FnOnce(T) -> Result<Response, ApiError> + Send + 'static,
    ) -> Self {
        Self::AfterCommit(Write(Box::new(move |writer, answer| {
            let submitted = writer.submit(bytes, work, move |outcome| {
                let rendered = outcome.map_err(ApiError::from).and_then(render);
                answer(rendered.unwrap_or_else(|error| error.response()));
            });
            // Refused by the queue: the closure comes back and gives the refusal itself.
            if let Err((error, done)) = submitted {
                done(Err(error));
            }
        })))
    }
}

impl Write {
    /// Queues the write; `answer` is called after the commit, or at once when the queue is full.
    pub fn submit(self, writer: &Writer, answer: Answer) {
        (self.0)(writer, answer);
    }
}

impl From<Stream> for Reply {
    fn from(stream: Stream) -> Self {
        Self::Stream(stream)
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Now(response)
    }
}
