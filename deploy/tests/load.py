"""Events at a steady rate through every door of a stack, and what the services know of them afterwards."""

import json
import logging
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from stack import KEYS, ROOT, docker, is_healthy, request, run, wait_for

sys.path.insert(0, str(ROOT / "clients" / "python" / "src"))

from monlight import ErrorClient, MetricsClient  # noqa: E402

TRACKER, VIEWER, COLLECTOR, RELAY = (f"http://localhost:{port}" for port in range(5010, 5014))
# An error, an increment and a measurement through the Python client, an error and a measurement of a browser through the relay.
EVENTS_PER_TURN = 5
# Browsers that send at the same time.
BROWSERS = 16
# Turns that wait for an answer: an application that cannot be served becomes slower, and the client's own queue is not our matter.
TURNS_WAITING_MAX = 500
BROWSER_ERROR = {"type": "TypeError", "message": "x is undefined", "stack": "TypeError: x is undefined\n    at pay (https://shop.example/app.js:1:2)"}
BROWSER_METRICS = {"metrics": [{"name": "web_vitals_lcp", "type": "histogram", "value": 1250.5}]}


class Load:
    """So many events a second while it is entered; afterwards all of them have been sent. No service may limit them (RATE_LIMIT=0)."""

    def __init__(self, events_per_second):
        self.turns = 0
        self.pause = EVENTS_PER_TURN / events_per_second
        # Of this load alone, so that another has been there does not matter.
        self.shop, self.web = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("shop", "web"))
        made = request("POST", f"{RELAY}/api/dsn-keys", {"project": self.web}, {"X-API-Key": KEYS["BROWSER_RELAY_ADMIN_API_KEY"]})
        self.dsn = made.json()["public_key"]
        self.errors = ErrorClient(TRACKER, KEYS["ERROR_TRACKER_API_KEY"], project=self.shop)
        self.metrics = MetricsClient(COLLECTOR, KEYS["METRICS_COLLECTOR_API_KEY"], flush_interval=0.5, project=self.shop)
        self.browsers = ThreadPoolExecutor(BROWSERS)
        self.sent = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)
        # That a service is away is known.
        logging.getLogger("monlight").addHandler(logging.NullHandler())

    def __enter__(self):
        self.started = time.monotonic()
        self.metrics.start()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        self.seconds = time.monotonic() - self.started
        self.browsers.shutdown()
        for client in (self.errors, self.metrics):
            wait_for("the last event of a client", client.flush)
        self.metrics.shutdown()
        for future in self.sent:
            future.result()

    def run(self):
        due = time.monotonic()
        while not self.stopped.wait(max(0, due - time.monotonic())):
            due += self.pause
            if self.errors.stats()["waiting"] > TURNS_WAITING_MAX or sum(not sent.done() for sent in self.sent) > TURNS_WAITING_MAX:
                continue
            self.errors.report_error_sync(ValueError("no such order"))
            self.metrics.counter("orders")
            self.metrics.histogram("seconds", 0.25)
            self.sent.append(self.browsers.submit(self.browse))
            self.turns += 1

    def browse(self):
        self.send("errors", BROWSER_ERROR)
        self.send("metrics", BROWSER_METRICS)

    def send(self, what, body):
        """Repeats what was not answered, with the same key, as the client for browsers does."""
        headers = {"X-Monlight-Key": self.dsn, "Idempotency-Key": uuid.uuid4().hex}

        def is_taken():
            try:
                answer = request("POST", f"{RELAY}/api/browser/{what}", body, headers)
            except OSError:
                return False
            assert answer.status in (200, 201, 202, 503), answer.text
            return answer.status < 300

        wait_for(f"the relay to take {what}", is_taken, pause=0.2)

    def stored(self):
        """How many of each kind the services know of, once nothing waits in the relay any more."""
        wait_for("the relay to forward what waits", lambda: waiting_in_relay() == 0, pause=0.2)
        return {
            "errors": count_of_errors(self.shop),
            "increments": total(f"project={self.shop}&name=orders&agg=sum"),
            "measurements": total(f"project={self.shop}&name=seconds&agg=count"),
            "errors of browsers": count_of_errors(self.web),
            "measurements of browsers": total(f"project={self.web}&name=web_vitals_lcp&agg=count"),
        }


def waiting_in_relay():
    page = request("GET", f"{RELAY}/metrics", headers={"X-API-Key": KEYS["BROWSER_RELAY_ADMIN_API_KEY"]}).text
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith("monlight_outbox_events"))


def count_of_errors(project):
    answer = request("GET", f"{TRACKER}/api/errors?project={project}", headers={"X-API-Key": KEYS["ERROR_TRACKER_API_KEY"]})
    return sum(error["count"] for error in answer.json()["errors"])


def total(question):
    answer = request("GET", f"{COLLECTOR}/api/metrics?period=1h&{question}", headers={"X-API-Key": KEYS["METRICS_COLLECTOR_API_KEY"]})
    return sum(row["value"] for row in answer.json()["data"])


class Speaker:
    """A container that says numbered lines while this is entered; its log is rotated every few seconds."""

    ROTATION = ["--log-opt=max-size=50k", "--log-opt=max-file=10"]

    def __init__(self, stand_in):
        self.command = [f"--volume={stand_in}:/stand_in:ro", "--entrypoint=/stand_in", "monlight/error-tracker", "speak"]
        self.name = f"speaker-{uuid.uuid4().hex[:8]}"

    def __enter__(self):
        docker("run", "--detach", f"--name={self.name}", *self.ROTATION, *self.command)
        return self

    def __exit__(self, *_):
        docker("rm", "--force", self.name)

    def finish(self):
        """Ends it: how many lines it said, and the numbers of those that log-viewer has then."""
        docker("stop", self.name)
        # The last one of each stream.
        said = run("docker", "logs", "--tail=2", self.name)
        last = {number_of(line) for line in (said.stdout + said.stderr).splitlines()}
        wait_for("the last lines", lambda: last <= set(self.stored()), pause=0.2)
        return max(last), self.stored()

    def stored(self):
        answer = request("GET", f"{VIEWER}/api/logs/export?container={self.name}", headers={"X-API-Key": KEYS["LOG_VIEWER_API_KEY"]})
        return sorted(number_of(json.loads(entry)["message"]) for entry in answer.text.splitlines())


def number_of(line):
    return int(line.removeprefix("line "))


class Gaps:
    """The longest time that each port was not healthy while this is entered, in seconds."""

    def __init__(self, ports):
        self.longest = dict.fromkeys(ports, 0.0)
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.watch, args=(port,)) for port in ports]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def watch(self, port):
        healthy_at = time.monotonic()
        while not self.stopped.wait(0.02):
            if is_healthy(port):
                # Two healthy answers are a pause apart at least.
                self.longest[port] = max(self.longest[port], time.monotonic() - healthy_at)
                healthy_at = time.monotonic()
