"""The four services as an operator runs them: each a process with a disk, a port, settings and a log."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx

from . import clock
from .clock import Clock
from .disk import Disk
from .proxy import Network
from .verdict import Verdict
from .waiting import wait_for

KEY = "key-of-the-soak"
DSN = "0123456789abcdef0123456789abcdef"
WEB_PROJECT = "web"
# Points may be as old as the clock can be ahead, and a while older.
RAW_HOURS = 48
ROLLUP_SECONDS = 5
# Docker waits as long before it kills.
STOP_SECONDS_MAX = 10.0
# Of the log of one that does not start.
LAST_LINES = 3
# The namespace of the network is ours, so these are free.
PORTS = {"error-tracker": 5010, "log-viewer": 5011, "metrics-collector": 5012, "browser-relay": 5013}
# As each has them by default.
WORKERS = {"error-tracker": 4, "log-viewer": 4, "metrics-collector": 4, "browser-relay": 16}
# What clients talk to.
PROXY_PORTS = {name: port + 1000 for name, port in PORTS.items()}


class GoneError(Exception):
    """A service that does not run though it should: without it nothing can be settled."""


class Service:
    """One of them. Whoever starts, ends or stops it holds `life`."""

    def __init__(self, name: str, binary: Path, folder: Path, settings: dict[str, str], verdict: Verdict) -> None:
        self.name = name
        self.disk = Disk(folder / name)
        self.database = self.disk.folder / "data.db"
        self.log = folder / f"{name}.log"
        self.life = threading.Lock()
        self.starts = 0
        # None while it is meant not to run, or has not answered yet.
        self.process: subprocess.Popen[bytes] | None = None
        self._binary = binary
        self._verdict = verdict
        self._clock: Clock | None = None
        self._clock_seconds = 0
        self._environment = {
            "BIND_ADDRESS": "127.0.0.1",
            "DATABASE_PATH": str(self.database),
            "PORT": str(PORTS[name]),
            "RATE_LIMIT": "0",
            **settings,
        }

    @property
    def url(self) -> str:
        """Past the proxy."""
        return f"http://127.0.0.1:{PORTS[self.name]}"

    def start(self) -> None:
        """Returns when it answers."""
        process = self._spawn()
        try:
            wait_for(f"{self.name} to answer", lambda: self._is_up(process))
        except TimeoutError as failure:
            process.kill()
            process.wait()
            raise GoneError(f"{self.name} did not start: {failure}; it said {self._last_words()}") from failure
        self.process = process

    def kill(self) -> None:
        """As a crash of it, or the kernel for want of memory."""
        process = self._running()
        self.process = None
        process.kill()
        if (code := process.wait()) != -signal.SIGKILL:
            self._ended_by_itself(code)

    def terminate(self) -> None:
        """As `docker stop`."""
        process = self._running()
        self.process = None
        process.terminate()
        try:
            code = process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._verdict.violation(f"{self.name} did not stop within {STOP_SECONDS_MAX:.0f} s of SIGTERM")
            return
        if code != 0:
            self._verdict.violation(f"{self.name} ended with {code} after SIGTERM")

    def pause(self) -> None:
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def set_clock(self, seconds: int) -> None:
        """So far ahead of the machine's, also after further starts."""
        self._clock_seconds = seconds
        # It may have been killed just now.
        with contextlib.suppress(OSError):
            if self._clock is not None:
                self._clock.set(seconds)

    def check_alive(self) -> None:
        """That it has not ended by itself."""
        process = self.process
        if process is not None and (code := process.poll()) is not None and self.process is process:
            self.process = None
            self._ended_by_itself(code)

    def is_gone(self) -> bool:
        """Whether it does not run. Asked while nothing is done to it."""
        return self.process is None or self.process.poll() is not None

    def pid(self) -> int | None:
        process = self.process
        return None if process is None else process.pid

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, f"{self.name} does not run"
        return self.process

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("a") as log:
            process = subprocess.Popen([self._binary], env=self._environment, stderr=log, stdout=log)
        self.starts += 1
        self._clock = None
        if clock.unavailable() is None:
            try:
                self._clock = Clock(process.pid)
                self._clock.set(self._clock_seconds)
            except OSError:
                # It has ended already, or this is a failure.
                process.wait(STOP_SECONDS_MAX)
        return process

    def _is_up(self, process: subprocess.Popen[bytes]) -> bool:
        if (code := process.poll()) is not None:
            raise GoneError(f"{self.name} did not start, it ended with {code}; it said {self._last_words()}")
        # A full disk is told by `/health` as well, but then it is up.
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health", timeout=1).status_code in (200, 503)
        return False

    def _ended_by_itself(self, code: int) -> None:
        self._verdict.violation(f"{self.name} ended by itself with {code}; it said {self._last_words()}")

    def _last_words(self) -> str:
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]) or "nothing"


class Stack:
    """All of them, and the network before them."""

    def __init__(self, bin_dir: Path, folder: Path, verdict: Verdict) -> None:
        self.containers = folder / "containers"
        self.containers.mkdir()
        network = Network()
        self.proxies = {name: network.proxy(PROXY_PORTS[name], port) for name, port in PORTS.items()}
        self.services = {
            name: Service(name, bin_dir / name, folder, settings, verdict)
            for name, settings in self._settings().items()
        }

    def _settings(self) -> dict[str, dict[str, str]]:
        return {
            "error-tracker": {"API_KEY": KEY},
            "log-viewer": {
                "API_KEY": KEY,
                "LOG_SOURCES": str(self.containers),
                "MAX_ENTRIES": "1000000000",
                # All of a log, also if it is written to before it is looked at.
                "TAIL_BUFFER": "1000000000",
            },
            "metrics-collector": {
                "API_KEY": KEY,
                "RETENTION_RAW": str(RAW_HOURS),
                "AGGREGATION_INTERVAL": str(ROLLUP_SECONDS),
            },
            "browser-relay": {
                "ADMIN_API_KEY": KEY,
                "CORS_ORIGINS": "*",
                "DSN_KEYS": f"{WEB_PROJECT}:{DSN}",
                "ERROR_TRACKER_URL": proxy_url("error-tracker"),
                "ERROR_TRACKER_API_KEY": KEY,
                "METRICS_COLLECTOR_URL": proxy_url("metrics-collector"),
                "METRICS_COLLECTOR_API_KEY": KEY,
            },
        }

    def __iter__(self) -> Iterator[Service]:
        return iter(self.services.values())

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing that was started outlives this, nor what is on the disks."""
        for service in self:
            if (process := service.process) is not None:
                # First, or it would have ended by itself.
                service.process = None
                process.kill()
                process.wait()
            service.disk.remove()

    def start(self) -> None:
        for service in self:
            service.start()

    def gone(self) -> list[str]:
        """Those that were started and do not run. Asked when nothing is done to them any more."""
        return [service.name for service in self if service.starts and service.is_gone()]

    def hang_up(self) -> None:
        """Nobody is connected any more."""
        for proxy in self.proxies.values():
            proxy.drop_all()

    def set_clock(self, seconds: int) -> None:
        """They are on one machine, so they share a clock."""
        for service in self:
            service.set_clock(seconds)


def proxy_url(name: str) -> str:
    """Where clients find a service."""
    return f"http://127.0.0.1:{PROXY_PORTS[name]}"
