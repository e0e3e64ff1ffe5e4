"""What the client talks to in tests: the real services, and a server that records and answers as it is told."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

KEY = "key-of-the-tests"
WAIT_SECONDS = 20.0

T = TypeVar("T")


def wait_for(what: str, find: Callable[[], T | None], seconds: float = WAIT_SECONDS) -> T:
    """Asks until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := find():
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds} s for {what}")


def binary(name: str) -> Path:
    """What `make build` made, or else cargo's debug build."""
    folder = os.environ.get("MONLIGHT_BIN_DIR")
    root = Path(__file__).parents[3]
    path = Path(folder) / name if folder else root / "target/debug" / name
    assert path.exists(), f"{path} is not there: make build"
    return path


class Service:
    """A real service, which can be killed and started again with the same database and port."""

    def __init__(self, name: str, folder: Path, **settings: str) -> None:
        self._name = name
        self._folder = folder
        self._settings = settings
        self._port = "0"
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        environment = {
            "API_KEY": KEY,
            "BIND_ADDRESS": "127.0.0.1",
            "DATABASE_PATH": str(self._folder / f"{self._name}.db"),
            "PORT": self._port,
            "RATE_LIMIT": "0",
            **self._settings,
        }
        log = self._folder / f"{self._name}.log"
        with log.open("w") as file:
            self._process = subprocess.Popen([binary(self._name)], env=environment, stderr=file)
        listens = re.compile(r"listens on \S+:(\d+)")
        self._port = wait_for(f"the start of {self._name}", lambda: listens.search(log.read_text()))[1]

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def get(self, path: str) -> Any:
        answer = httpx.get(self.url + path, headers={"X-API-Key": KEY})
        assert answer.status_code == 200, answer.text
        return answer.json()


@dataclass
class Request:
    """What the recorder got."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    """What the recorder says; or closes after the first `bytes_sent` of it, or waits before."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    text: str = "{}"
    bytes_sent: int | None = None
    wait: threading.Event | None = None


class Recorder:
    """A server for the client's side of the contract."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[Answer] = []
        self.usual = Answer(201)
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = recorder.answers.pop(0) if recorder.answers else recorder.usual
                recorder.requests.append(Request(self.path, headers, body))
                if answer.wait:
                    answer.wait.wait(WAIT_SECONDS)
                text = answer.text.encode()
                lines = [f"{name}: {value}" for name, value in answer.headers.items()]
                head = "\r\n".join([f"HTTP/1.1 {answer.status} X", f"Content-Length: {len(text)}", *lines, "", ""])
                self.wfile.write((head.encode() + text)[: answer.bytes_sent])
                self.close_connection = answer.bytes_sent is not None

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                # A client that is gone.
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def wrap(self, context: ssl.SSLContext) -> None:
        """HTTPS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_port}"

    def wait(self, count: int) -> list[Request]:
        """The first so many requests."""
        wait_for(f"{count} requests", lambda: len(self.requests) >= count)
        return self.requests

    def items(self) -> list[dict[str, Any]]:
        """All values of all batches."""
        return [item for request in self.requests for item in request.body]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
