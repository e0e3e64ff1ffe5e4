"""What happens to services. Each has a lane for its process and one for what is around it, with one fault at a time."""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from . import clock
from .stack import KEY, PROXY_PORTS, GoneError, Service, Stack
from .verdict import Verdict

# Between two faults of a lane, and how long one lasts; seconds.
GAP = (2.0, 14.0)
LASTS = (0.1, 7.0)
# Between two steps of the clock.
CLOCK_GAP = (3.0, 15.0)
# How far it is off: metrics are taken up to ten minutes ahead of the service's clock, and the clients' is right. The
# other way there are two days (RETENTION_RAW), and keys for repeats are remembered for one.
CLOCK_BEHIND_MAX = 9 * 60
CLOCK_AHEAD_MAX = 6 * 60 * 60
# More than a service has connections for.
SLOW_CLIENTS_MAX = 300
# Between two bytes of a slow client.
DRIP_SECONDS = 0.5


class Faults:
    """Runs the lanes until told to stop; then everything is healed."""

    def __init__(self, stack: Stack, seed: str, verdict: Verdict) -> None:
        self.counts: Counter[str] = Counter()
        self._stack = stack
        self._verdict = verdict
        self._is_over = threading.Event()
        self._ends_processes = True
        # Services that nobody has crowded since.
        self._uncrowded: set[str] = set()
        lanes: list[tuple[str, Callable[[random.Random], None]]] = []
        for service in stack:
            lanes.append((f"process of {service.name}", partial(self._process_fault, service)))
            lanes.append((f"around {service.name}", partial(self._fault_around, service)))
        if clock.unavailable() is None:
            lanes.append(("clock", self._step_clock))
        self._threads = [
            threading.Thread(target=self._run, args=(name, random.Random(f"{seed}:{name}"), fault), daemon=True)
            for name, fault in lanes
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def spare_processes(self) -> None:
        """From now on none is ended, so that what each holds can be watched for long. Each has a crowd first: what that
        leaves behind, such as the stacks of its threads, is then there from the beginning."""
        self._uncrowded = {service.name for service in self._stack}
        self._ends_processes = False

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        self._stack.set_clock(0)

    def _run(self, name: str, chance: random.Random, fault: Callable[[random.Random], None]) -> None:
        gap = CLOCK_GAP if name == "clock" else GAP
        while not self._is_over.wait(chance.uniform(*gap)):
            try:
                fault(chance)
            except GoneError as gone:
                self._verdict.violation(str(gone))
                return
            except Exception as failure:
                self._verdict.violation(f"{name}: {type(failure).__name__}: {failure}")
                return

    def _last(self, chance: random.Random) -> None:
        self._is_over.wait(chance.uniform(*LASTS))

    # To a process.

    def _process_fault(self, service: Service, chance: random.Random) -> None:
        faults = [self._kill, self._kill, self._restart, self._pause, self._pause]
        if not self._ends_processes:
            faults = [self._pause]
        fault = chance.choice(faults)
        with service.life:
            # If it is not there, it has ended by itself, and that was told.
            if service.process is not None:
                fault(chance, service)

    def _kill(self, chance: random.Random, service: Service) -> None:
        self.counts["kill -9"] += 1
        service.kill()
        self._last(chance)
        service.start()

    def _restart(self, chance: random.Random, service: Service) -> None:
        self.counts["restart (SIGTERM)"] += 1
        service.terminate()
        self._last(chance)
        service.start()

    def _pause(self, chance: random.Random, service: Service) -> None:
        self.counts["SIGSTOP"] += 1
        service.pause()
        try:
            self._last(chance)
        finally:
            service.resume()

    # To what is around it.

    def _fault_around(self, service: Service, chance: random.Random) -> None:
        if service.name in self._uncrowded:
            self._uncrowded.discard(service.name)
            # Not while it is stopped: then they would not come in.
            with service.life:
                self._slow_clients(chance, service, SLOW_CLIENTS_MAX)
            return
        faults = [self._fill_disk, self._drop_connections, self._lose_answers, self._slow_clients]
        chance.choice(faults)(chance, service)

    def _fill_disk(self, chance: random.Random, service: Service) -> None:
        self.counts["disk full"] += 1
        service.disk.fill()
        try:
            self._last(chance)
        finally:
            service.disk.empty()

    def _drop_connections(self, _: random.Random, service: Service) -> None:
        self.counts["connections dropped"] += 1
        self._stack.proxies[service.name].drop_all()

    def _lose_answers(self, chance: random.Random, service: Service) -> None:
        self.counts["answers lost"] += 1
        proxy = self._stack.proxies[service.name]
        proxy.loses_answers = True
        try:
            self._last(chance)
        finally:
            proxy.loses_answers = False

    def _slow_clients(self, chance: random.Random, service: Service, count: int | None = None) -> None:
        self.counts["slow clients"] += 1
        clients = [SlowClient(service.name, chance) for _ in range(count or chance.randint(1, SLOW_CLIENTS_MAX))]
        try:
            for _ in range(int(chance.uniform(*LASTS) / DRIP_SECONDS)):
                if self._is_over.wait(DRIP_SECONDS):
                    break
                for client in clients:
                    client.drip()
        finally:
            for client in clients:
                client.close()

    def _step_clock(self, chance: random.Random) -> None:
        self.counts["clock stepped"] += 1
        small = chance.random() < 0.5
        self._stack.set_clock(chance.randint(-5, 5) if small else chance.randint(-CLOCK_BEHIND_MAX, CLOCK_AHEAD_MAX))


class SlowClient:
    """Sends a head or a body byte by byte, or asks for much and does not read it."""

    HEAD = f"Host: x\r\nX-API-Key: {KEY}\r\n"
    QUESTIONS: ClassVar = {
        "error-tracker": "/api/errors?limit=200&resolved=all",
        "log-viewer": "/api/logs/export",
        "metrics-collector": "/api/metrics?name=shop_seconds&period=24h",
        "browser-relay": "/api/source-maps",
    }

    def __init__(self, service: str, chance: random.Random) -> None:
        self._socket: socket.socket | None = None
        kinds = [
            # A head that does not end, a body that does not, an answer that nobody reads.
            (f"GET / HTTP/1.1\r\n{self.HEAD}X-Slow: ", "x"),
            (f"POST /api/errors HTTP/1.1\r\n{self.HEAD}Content-Length: 1000\r\n\r\n", " "),
            (f"GET {self.QUESTIONS[service]} HTTP/1.1\r\n{self.HEAD}\r\n", ""),
        ]
        start, self._drop = (text.encode() for text in chance.choice(kinds))
        try:
            self._socket = socket.create_connection(("127.0.0.1", PROXY_PORTS[service]), timeout=1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self._socket.sendall(start)
        except OSError:
            # The service is away.
            self.close()

    def drip(self) -> None:
        try:
            if self._socket is not None and self._drop:
                self._socket.sendall(self._drop)
        except OSError:
            # The service has had enough.
            self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
