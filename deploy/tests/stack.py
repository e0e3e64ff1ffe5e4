"""What the tests of containers share: compose, plain HTTP, and what the kernel says of a container.

Runs inside scripts/engine.sh, so DOCKER_HOST is an engine for this run alone and `localhost` is its own.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SERVICES = ["error-tracker", "log-viewer", "metrics-collector", "browser-relay"]
# Their databases: FOLDER/FOLDER.db.
FOLDERS = dict(zip(SERVICES, ["errors", "logs", "metrics", "browser-relay"]))
# Whom the images run as, but for log-viewer.
USER = 65532
# How long anything may take before it has failed.
PATIENCE = 30
KEYS = {
    "ERROR_TRACKER_API_KEY": "key-of-error-tracker",
    "LOG_VIEWER_API_KEY": "key-of-log-viewer",
    "METRICS_COLLECTOR_API_KEY": "key-of-metrics-collector",
    "BROWSER_RELAY_ADMIN_API_KEY": "key-of-browser-relay",
}


# In the background of a shell the signal of Ctrl-C is ignored, also by everything that is started there.
signal.signal(signal.SIGINT, signal.default_int_handler)


def run(*command, check=True, env=None, **options):
    """Runs a command to its end; what it said is in the failure."""
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def docker(*args, **options):
    return run("docker", *args, **options).stdout.strip()


def engine_logs():
    """What /var/lib/docker/containers is to an engine of a machine: DOCKER_LOGS."""
    return str(Path(os.environ["DOCKER_HOST"].removeprefix("unix://")).parent / "data" / "containers")


def wait_for(what, condition, pause=0.02, patience=PATIENCE):
    """Waits until `condition()` gives something true, and returns it; asks again after `pause` seconds."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s for {what}")
        time.sleep(pause)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.text = body.decode(errors="replace")

    def json(self):
        return json.loads(self.text)


def request(method, url, data=None, headers=None, timeout=PATIENCE):
    """Any answer is an answer; only a connection that fails raises OSError."""
    if data is not None and not isinstance(data, bytes):
        data = json.dumps(data).encode()
    asked = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(asked, timeout=timeout) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as answer:
        return Answer(answer.code, answer.headers, answer.read())


def is_healthy(port):
    try:
        return request("GET", f"http://localhost:{port}/health", timeout=2).status == 200
    except OSError:
        return False


class Stack:
    """One of the compose files, under a project name of its own; everything of it is removed in the end."""

    def __init__(self, file, ports, environment=None, program="docker-compose"):
        self.program = program.split()
        self.file = Path(file)
        self.ports = ports
        self.environment = environment or {}
        self.project = "monlight_" + self.file.name.replace("docker-compose", "").replace(".yml", "").strip(".")

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, *_):
        self.compose("down", "--volumes", "--timeout", "5")

    def compose(self, *args, check=True):
        command = [*self.program, "--project-name", self.project, "--file", str(self.file), *args]
        return run(*command, env=self.environment, check=check, cwd=ROOT)

    def up(self):
        self.compose("up", "--detach", "--no-build")
        wait_for("all services to answer", lambda: all(is_healthy(port) for port in self.ports))

    def container(self, service):
        # docker-compose takes the better part of a second to say so.
        labels = {"project": self.project, "service": service, "oneoff": "False"}
        filters = [f"--filter=label=com.docker.compose.{name}={value}" for name, value in labels.items()]
        return Container(docker("ps", "--all", "--quiet", "--no-trunc", *filters))

    def containers(self):
        return {service: self.container(service) for service in SERVICES}


def test_stack(**options):
    return Stack(DEPLOY / "docker-compose.test.yml", range(15010, 15014), **options)


@contextlib.contextmanager
def keeping_images():
    """What is built meanwhile does not stay in place of `make images`' images."""
    for service in SERVICES:
        docker("tag", f"monlight/{service}:latest", f"monlight/{service}:kept")
    try:
        yield
    finally:
        for service in SERVICES:
            docker("tag", f"monlight/{service}:kept", f"monlight/{service}:latest")


class Container:
    def __init__(self, identity):
        assert identity, "there is no such container"
        self.id = identity

    def inspect(self):
        return json.loads(docker("inspect", self.id))[0]

    def state(self):
        return self.inspect()["State"]

    def logs(self):
        done = run("docker", "logs", self.id)
        return done.stdout + done.stderr

    def cgroup(self, *names):
        """The content of the file of its memory cgroup, by its name in version 1 or 2."""
        for line in Path(f"/proc/{self.state()['Pid']}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not path.strip("/."):
                # Its process is ending, and belongs to the root already: that file is about the whole machine.
                continue
            if "memory" in controllers.split(","):
                return (Path("/sys/fs/cgroup/memory" + path) / names[0]).read_text()
            if controllers == "" and (Path("/sys/fs/cgroup" + path) / names[1]).exists():
                return (Path("/sys/fs/cgroup" + path) / names[1]).read_text()
        raise AssertionError("it is in no memory cgroup")

    def memory_limit(self):
        return int(self.cgroup("memory.limit_in_bytes", "memory.max"))

    def memory(self):
        """What `docker stats` shows: usage without the part of the page cache that can go at once."""
        stat = dict(line.split() for line in self.cgroup("memory.stat", "memory.stat").splitlines())
        cache = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
        return int(self.cgroup("memory.usage_in_bytes", "memory.current")) - cache


class Meter:
    """The most memory that all containers had together."""

    def __init__(self, containers):
        self.containers, self.peak = list(containers), 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.stop.wait(0.05):
            try:
                self.peak = max(self.peak, sum(container.memory() for container in self.containers))
            except (OSError, AssertionError):
                # The smoke test ends with stopping them.
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
