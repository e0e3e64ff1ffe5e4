"""One attempt to hand a parcel to the server, and what its answer means. Only this file names httpx."""

from __future__ import annotations

# Imported by httpx and socket when they need them. A fork meanwhile would leave the child with half of a module.
import encodings.idna  # noqa: F401
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from uuid import uuid4

import httpcore  # noqa: F401, for the same reason
import httpx

# The server remembers idempotency keys for a day and takes values of the last hour.
AGE_SECONDS_MAX = 3600.0
# Longer than the usual pause between two flushes; the server keeps an idle connection for a minute.
KEEPALIVE_SECONDS = 30.0
# A server that wants to be left alone for longer is asked again.
RETRY_AFTER_SECONDS_MAX = 300
# Of an answer. Only the beginning is shown; the rest is read so that the connection can be used again.
ANSWER_BYTES_MAX = 64 * 1024
ANSWER_CHARACTERS_SHOWN = 200


@dataclass(eq=False)
class Parcel:
    """A body and what is needed to send it more than once."""

    body: bytes
    # How many reports or values it holds.
    weight: int = 1
    # Smaller parcels instead of one whose content was refused.
    split: Callable[[], list[Parcel]] | None = None
    key: str = field(default_factory=lambda: uuid4().hex)
    since: float = field(default_factory=time.monotonic)
    # How often the server failed at it.
    broken: int = 0


class Verdict(Enum):
    """What an attempt came to."""

    DELIVERED = "delivered"
    # Whatever is sent there: a wrong key, a wrong address.
    REFUSED = "refused"
    # The content, as the server says.
    UNFIT = "unfit"
    TOO_OLD = "too old"
    LATER = "later"
    # The server failed at it.
    BROKEN = "broken"


@dataclass(frozen=True)
class Outcome:
    """A verdict, why, and how long the server wants to be left alone."""

    verdict: Verdict
    reason: str = ""
    retry_after: float | None = None


class Line:
    """The connection to a service, made when it is needed."""

    def __init__(
        self,
        url: str,
        headers: dict[str, str],
        timeout: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url
        self._headers = headers
        self._timeout = timeout
        # Not when the first parcel leaves: a fork in the middle would leave OpenSSL's locks closed in the child.
        self._tls = tls or _tls(url)
        self._http: httpx.Client | None = None

    def attempt(self, parcel: Parcel) -> Outcome:
        if time.monotonic() - parcel.since > AGE_SECONDS_MAX:
            return Outcome(Verdict.TOO_OLD)
        try:
            return self._send(parcel)
        except httpx.UnsupportedProtocol as failure:
            return Outcome(Verdict.REFUSED, f"{self._url} cannot be used: {failure}")
        except httpx.TransportError as failure:
            return Outcome(Verdict.LATER, f"{type(failure).__name__}: {failure}")
        except Exception as failure:
            # A key that no header can hold, a proxy setting that is none.
            return Outcome(Verdict.REFUSED, f"{type(failure).__name__}: {failure}")

    def another(self) -> Line:
        """To the same service, without the connection."""
        return Line(self._url, self._headers, self._timeout, self._tls)

    def hang_up(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def _send(self, parcel: Parcel) -> Outcome:
        if self._http is None:
            limits = httpx.Limits(keepalive_expiry=KEEPALIVE_SECONDS)
            self._http = httpx.Client(verify=self._tls, timeout=self._timeout, headers=self._headers, limits=limits)
        start = time.monotonic()
        headers = {"Idempotency-Key": parcel.key}
        with self._http.stream("POST", self._url, content=parcel.body, headers=headers) as response:
            answer = _read(response, start + self._timeout)
        if response.is_success:
            milliseconds = (time.monotonic() - start) * 1000
            said = f"{self._url}: {response.status_code} for {len(parcel.body)} bytes, {milliseconds:.0f} ms"
            return Outcome(Verdict.DELIVERED, said)
        return _judge(response, answer)


def _tls(url: str) -> ssl.SSLContext:
    """One that trusts the usual authorities, which take a while to load; or nobody, where it is not needed."""
    return httpx.create_ssl_context() if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _read(response: httpx.Response, deadline: float) -> str:
    """The beginning of the answer. The status is what counts, so one that is cut off is as good."""
    read = bytearray()
    try:
        for piece in response.iter_bytes(4096):
            read += piece
            if len(read) > ANSWER_BYTES_MAX or time.monotonic() > deadline:
                break
    except (httpx.TransportError, httpx.DecodingError):
        pass
    return read.decode("utf-8", "replace")[:ANSWER_CHARACTERS_SHOWN]


def _judge(response: httpx.Response, answer: str) -> Outcome:
    """Of what is no success."""
    status = response.status_code
    reason = f"{response.url} returned status {status}: {answer}"
    if status == 500:
        return Outcome(Verdict.BROKEN, reason)
    # Too slow, too often, or away for now.
    if status in (408, 429) or status > 500:
        return Outcome(Verdict.LATER, reason, _retry_after(response))
    if status in (400, 413, 422):
        return Outcome(Verdict.UNFIT, reason)
    return Outcome(Verdict.REFUSED, reason)


def _retry_after(response: httpx.Response) -> float | None:
    try:
        seconds = int(response.headers.get("retry-after", ""))
    except ValueError:
        # None, or a date: then our own pauses.
        return None
    return min(max(seconds, 0), RETRY_AFTER_SECONDS_MAX)
