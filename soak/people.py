"""People who look: lists, searches, dashboards, tails, and now and then a click that changes something."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import httpx

from .stack import KEY, proxy_url
from .verdict import Verdict

PAUSE_SECONDS = 0.05
ANSWER_SECONDS_MAX = 5.0
# How long somebody watches a tail.
TAIL_SECONDS_MAX = 8.0
QUESTIONS = [
    ("error-tracker", "/api/errors?limit=50"),
    ("error-tracker", "/api/errors?resolved=all&search=order&limit=200"),
    ("error-tracker", "/api/errors?project=shop&source=server"),
    ("error-tracker", "/api/projects"),
    ("error-tracker", "/metrics"),
    ("error-tracker", "/"),
    ("log-viewer", "/api/logs?limit=100"),
    ("log-viewer", "/api/logs?search=quoted&limit=500"),
    ("log-viewer", "/api/logs?container=shop&level=%3E%3DWARNING"),
    ("log-viewer", "/api/logs/histogram?period=1h"),
    ("log-viewer", "/api/stats"),
    ("log-viewer", "/api/containers"),
    ("metrics-collector", "/api/metrics?name=shop_seconds&period=1h"),
    ("metrics-collector", "/api/metrics?name=orders_total&period=7d&agg=sum&labels=shop:rome"),
    ("metrics-collector", "/api/dashboard?period=24h"),
    ("metrics-collector", "/api/metrics/names"),
    ("browser-relay", "/api/dsn-keys"),
    ("browser-relay", "/api/source-maps"),
    ("browser-relay", "/health"),
]
# Right answers; 503 and 507 say that it is not the moment.
EXPECTED = {200, 404, 503, 507}


class People:
    """Some of them, as one thread."""

    def __init__(self, seed: str, verdict: Verdict) -> None:
        self.answers: Counter[str] = Counter()
        self._random = random.Random(f"{seed}:people")
        self._verdict = verdict
        self._http = httpx.Client(timeout=ANSWER_SECONDS_MAX, headers={"X-API-Key": KEY})
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._look, self._watch)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(PAUSE_SECONDS):
            if self._random.random() < 0.1:
                self._resolve()
            else:
                self._ask(*self._random.choice(QUESTIONS))

    def _ask(self, service: str, question: str, method: str = "GET") -> httpx.Response | None:
        try:
            answer = self._http.request(method, proxy_url(service) + question)
        except httpx.TransportError:
            # It is away, or too slow for a person.
            self.answers["nothing in time"] += 1
            return None
        self.answers[str(answer.status_code)] += 1
        if answer.status_code not in EXPECTED:
            self._verdict.violation(f"{method} {service}{question}: {answer.status_code} {answer.text[:200]}")
        return answer if answer.status_code == 200 else None

    def _resolve(self) -> None:
        """An error that was shown; it comes again perhaps."""
        if (answer := self._ask("error-tracker", "/api/errors?limit=20")) and (errors := answer.json()["errors"]):
            self._ask("error-tracker", f"/api/errors/{self._random.choice(errors)['id']}/resolve", "POST")

    def _watch(self) -> None:
        url = f"{proxy_url('log-viewer')}/api/logs/tail"
        while not self._is_over.wait(PAUSE_SECONDS):
            end = time.monotonic() + self._random.uniform(0, TAIL_SECONDS_MAX)
            try:
                with httpx.stream("GET", url, headers={"X-API-Key": KEY}, timeout=ANSWER_SECONDS_MAX) as answer:
                    for _ in answer.iter_raw():
                        if time.monotonic() > end or self._is_over.is_set():
                            break
            except httpx.TransportError:
                # Away, or nothing was said for a while.
                continue
