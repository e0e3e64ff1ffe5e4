"""Pages that send to browser-relay, and the job that releases their scripts."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from .ledger import Ledger
from .sender import BATCH_MAX, HttpSender, Sender, Types
from .stack import DSN, KEY, WEB_PROJECT, proxy_url
from .verdict import Verdict

# A page that got no answer tries again, with pauses between these, as long as it is open.
RETRY_SECONDS = (0.3, 3.0)


class Page(HttpSender):
    """A page that sends what the JavaScript client sends. `tries_again`: as ours does, else as the published one."""

    def __init__(self, what: str, seed: str, verdict: Verdict, *, tries_again: bool) -> None:
        super().__init__(what, seed, verdict)
        self._tries_again = tries_again
        self._session = str(UUID(int=self.random.getrandbits(128), version=4))

    def send(self, path: str, body: object, names: list[str], *, is_beacon: bool = False) -> None:
        self.ledger.send(*names)
        url, headers = f"{proxy_url('browser-relay')}{path}", {"Content-Type": "application/json"}
        if is_beacon:
            url += f"?key={DSN}"
        else:
            headers["X-Monlight-Key"] = DSN
        if self._tries_again:
            headers["Idempotency-Key"] = f"{self._session}-{self.number}"
        while True:
            status = self.post(url, body, headers)
            if status is not None and 200 <= status < 300:
                # Also 202: then it waits in the outbox.
                self.ledger.acknowledge(*names)
                return
            # Otherwise the event may still have come to the service behind the relay.
            if not self._tries_again:
                return
            time.sleep(self.random.uniform(*RETRY_SECONDS))

    def now(self) -> str:
        at = time.time()
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03}Z"


class PageErrors(Page):
    def __init__(self, seed: str, verdict: Verdict, *, tries_again: bool) -> None:
        who = "browser" if tries_again else "published browser client"
        super().__init__(f"errors, {who}", seed, verdict, tries_again=tries_again)
        self._types = Types("BrowserError" if tries_again else "OldBrowserError", self.random)

    def work(self) -> None:
        kind = self._types.choose()
        body = {
            "type": kind,
            "message": f"x{self.next()} is undefined",
            "stack": f"{kind}: x is undefined\n    at pay (https://shop.example/app.js:{self.number % 50 + 1}:7)",
            "url": "https://shop.example/cart",
            "user_agent": "Mozilla/5.0",
            "session_id": self._session,
            "release": "1.0.0",
            "context": {"number": self.number},
            "timestamp": self.now(),
        }
        self.send("/api/browser/errors", body, [f"{WEB_PROJECT} {kind}"])


class PageMetrics(Page):
    def __init__(self, seed: str, verdict: Verdict, *, tries_again: bool) -> None:
        who = "browser" if tries_again else "published browser client"
        super().__init__(f"measurements, {who}", seed, verdict, tries_again=tries_again)
        self._name = "browser_ms" if tries_again else "old_browser_ms"

    def work(self) -> None:
        values = [self.next() for _ in range(self.random.randint(1, BATCH_MAX))]
        labels = {"session_id": self._session, "page": "/cart"}
        at = self.now()
        body = {
            "metrics": [
                {"name": self._name, "type": "histogram", "value": value, "timestamp": at, "labels": labels}
                for value in values
            ]
        }
        names = [f"{self._name} {value}" for value in values]
        self.send("/api/browser/metrics", body, names, is_beacon=self.random.random() < 0.1)


class Browser(Sender):
    """A page in a real browser, with our client: soak/page.mjs."""

    rate = 20.0
    SCRIPT = Path(__file__).with_name("page.mjs")

    def __init__(self, seed: str, verdict: Verdict) -> None:
        super().__init__("errors, JavaScript client", seed, verdict)
        self.values = Ledger("measurements, JavaScript client")
        # Made by the page that is open, and not known to have arrived.
        self._errors: list[str] = []
        self._values: list[str] = []

    def work(self) -> None:
        """Until it is over."""
        command = ["node", str(self.SCRIPT), proxy_url("browser-relay"), DSN, str(self.rate)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node:
            assert node.stdin is not None
            assert node.stdout is not None
            threading.Thread(target=self._close_when_over, args=(node.stdin,), daemon=True).start()
            for line in node.stdout:
                self._hear(json.loads(line))
        if node.returncode != 0:
            self.is_over.set()
            self.verdict.violation(f"the page in the browser ended with {node.returncode}")

    def _close_when_over(self, stdin: IO[str]) -> None:
        self.is_over.wait()
        stdin.close()

    def _hear(self, said: dict[str, Any]) -> None:
        if "error" in said:
            self.next()
            self.ledger.send(name := f"{WEB_PROJECT} {said['error']}")
            self._errors.append(name)
            self.values.send(*said["values"])
            self._values += said["values"]
        if said.get("delivered"):
            self.ledger.acknowledge(*self._errors)
            self.values.acknowledge(*self._values)
        if said.get("delivered") or said.get("left"):
            self._errors, self._values = [], []
        if said.get("lost"):
            self.verdict.violation(f"{self.ledger.what}: it gave up {said['lost']} errors and values")
            self.is_over.set()


class SourceMaps(HttpSender):
    """A release that uploads its source map; a job that repeats it until somebody says that it is there."""

    rate = 0.5
    MAP = '{"version":3,"sources":["pay.ts"],"names":["pay"],"mappings":"AAAAA"}'

    def __init__(self, seed: str, verdict: Verdict) -> None:
        super().__init__("source maps", seed, verdict)

    def work(self) -> None:
        release = f"release-{self.next()}"
        body = {"project": WEB_PROJECT, "release": release, "file_url": "/app.js", "map_content": self.MAP}
        self.ledger.send(release)
        while self.post(f"{proxy_url('browser-relay')}/api/source-maps", body, {"X-API-Key": KEY}) != 201:
            time.sleep(self.random.uniform(*RETRY_SECONDS))
        self.ledger.acknowledge(release)
