//! What HTTP allows and clients rarely do.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use crate::attacks::{Target, key_line, report_head};
use crate::{report, start};

#[test]
fn expectations() {
    let tracker = start();
    let target = Target::of(&tracker);
    let body = report("expected").to_string();
    let expect = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());

    let mut stream = target.connect();
    stream.write_all(report_head(&key_line(), &expect).as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(read_status(&mut stream).unwrap(), "HTTP/1.1 201");

    // Whoever is not let in, or sends too much, is told so instead of `100 Continue`.
    let too_much = "Expect: 100-continue\r\nContent-Length: 300000\r\n";
    let refusals = [
        (report_head("", &expect), "HTTP/1.1 401"),
        (report_head(&key_line(), too_much), "HTTP/1.1 413"),
        (report_head(&key_line(), "Expect: cake\r\nContent-Length: 5\r\n"), "HTTP/1.1 417"),
    ];
    for (head, expected) in refusals {
        let mut stream = target.connect();
        stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(read_status(&mut stream).unwrap(), expected);
    }
}

fn read_status(stream: &mut TcpStream) -> io::Result<String> {
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(String::from_utf8_lossy(&status).into_owned())
}

#[test]
fn http_1_0_and_head() {
    let tracker = start();
    let target = Target::of(&tracker);

    let mut old = target.send("GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(old.read_answer(false).unwrap().json()["status"], "ok");
    assert!(old.is_closed(), "HTTP/1.0 closes unless asked to keep");

    let mut kept = target.send("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    for _ in 0..2 {
        let answer = kept.read_answer(false).unwrap();
        assert_eq!((answer.status, answer.headers["connection"].as_str()), (200, "keep-alive"));
        kept.write(b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
    }

    let mut head = target.send("HEAD /health HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\n\r\n");
    let (without_body, with_body) = (head.read_answer(true).unwrap(), head.read_answer(false).unwrap());
    assert_eq!(without_body.headers["content-length"], with_body.headers["content-length"]);
    assert_eq!((without_body.status, with_body.text().len()), (200, r#"{"status":"ok"}"#.len()));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let tracker = start();
    let body = report("first").to_string();
    let sized = report_head(&key_line(), &format!("Content-Length: {}\r\n", body.len())) + &body;
    let chunked = report_head(&key_line(), "Transfer-Encoding: chunked\r\n")
        + &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let list = format!("GET /api/errors HTTP/1.1\r\n{}\r\n", key_line());
    let stranger = report_head("", "Content-Length: 2\r\n") + "{}";
    let farewell = "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n";

    // An empty line behind a body is allowed, and a refusal does not end the connection when its body is there.
    let mut connection = Target::of(&tracker).send([&sized, "\r\n", &chunked, &list, &stranger, farewell].concat());
    let mut next = || connection.read_answer(false).unwrap();
    assert_eq!(next().json()["status"], "created");
    assert_eq!(next().json()["count"], 2);
    assert_eq!(next().json()["errors"][0]["count"], 2);
    assert_eq!(next().status, 401);
    assert_eq!(next().json()["status"], "ok");
    assert!(connection.is_closed());
}
