//! A back end of our making: it records what it is sent and answers what the test says.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::testing::wait_for;
use serde_json::Value;

/// What came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) at: Instant,
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What it does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Status, more header lines, body.
    Answer(u16, &'static str, &'static str),
    /// Closes the connection.
    HangUp,
    /// Says nothing.
    Hang,
    /// Sends what is no HTTP.
    Garble,
}

/// The back end; it takes 201 for an answer unless told otherwise.
pub(crate) struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    acts: Mutex<VecDeque<Act>>,
    always: Mutex<Option<Act>>,
    is_closed: AtomicBool,
}

impl Backend {
    pub(crate) fn start() -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap())
    }

    /// On an address that was in use before.
    pub(crate) fn start_on(address: SocketAddr) -> Self {
        let listener = wait_for("the port to be free", || TcpListener::bind(address).ok());
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for socket in listener.incoming() {
                if accepting.is_closed.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, socket) = (Arc::clone(&accepting), socket.unwrap());
                thread::spawn(move || serve(&shared, socket));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next requests get these, one each.
    pub(crate) fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.shared.acts.lock().unwrap().extend(acts);
    }

    /// All further requests get this.
    pub(crate) fn always(&self, act: Act) {
        *self.shared.always.lock().unwrap() = Some(act);
    }

    /// All that came so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits for so many requests.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Received> {
        wait_for("requests at the back end", || Some(self.received()).filter(|received| received.len() >= count))
    }

    /// Answers no more; connections are refused.
    pub(crate) fn stop(self) -> SocketAddr {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        // The thread wakes, sees, and drops its listener.
        drop(TcpStream::connect(self.address));
        self.address
    }
}

fn serve(shared: &Shared, socket: TcpStream) {
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut reader = BufReader::new(socket);
    while let Some(received) = read(&mut reader) {
        if shared.is_closed.load(Ordering::SeqCst) {
            return;
        }
        let act = shared.acts.lock().unwrap().pop_front();
        let act = act.or_else(|| shared.always.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let act = act.unwrap_or(Act::Answer(201, "", r#"{"status":"created","id":1}"#));
        shared.received.lock().unwrap().push(received);
        let socket = reader.get_mut();
        match act {
            Act::Answer(status, headers, body) => {
                let length = body.len();
                let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
                if socket.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
            Act::HangUp => return,
            Act::Hang => thread::park(),
            Act::Garble => {
                let _ = socket.write_all(b"\x16\x03\x01 what\r\n\r\n");
                return;
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Received { at: Instant::now(), line: line.trim_end().to_owned(), headers, body })
}
