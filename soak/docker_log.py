"""Writes container folders and logs as Docker's json-file driver does: escapes, records of long lines, rotation."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path

# What fills the driver's buffer without a newline is a record of its own.
PIECE_BYTES = 16 * 1024
ID_DIGITS = 64


@dataclass(frozen=True)
class Rotation:
    """`max-size`, `max-file` and `compress`."""

    bytes_max: int
    files_max: int
    compress: bool


class Container:
    """A container's folder and its log."""

    def __init__(self, folder: Path, name: str, rotation: Rotation | None) -> None:
        self.name = name
        # Those that Docker deleted because there were too many.
        self.deleted = 0
        self._rotation = rotation
        identity = hashlib.sha256(name.encode()).hexdigest()[:ID_DIGITS]
        (folder / identity).mkdir()
        self._path = folder / identity / f"{identity}-json.log"
        self._log = self._path.open("ab", buffering=0)
        self._size = 0
        self._compression: threading.Thread | None = None
        config = {"ID": identity, "Name": f"/{name}", "LogPath": str(self._path)}
        (folder / identity / "config.v2.json").write_text(json.dumps(config))

    def write(self, stream: str, line: str) -> float:
        """What the program in it says; ASCII, as pieces are cut by bytes. The longest time between two, in seconds."""
        text = line + "\n"
        last, longest = None, 0.0
        at = time.time_ns()
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 10**9)) + f".{at % 10**9:09}Z"
        for start in range(0, len(text), PIECE_BYTES):
            record = {"log": text[start : start + PIECE_BYTES], "stream": stream, "time": moment}
            self._record(json.dumps(record, separators=(",", ":")).encode() + b"\n")
            now = time.monotonic()
            longest = max(longest, now - (last or now))
            last = now
        return longest

    def wait_for_compression(self) -> None:
        if self._compression is not None:
            self._compression.join()
            self._compression = None

    def _record(self, record: bytes) -> None:
        if self._rotation is not None and self._size >= self._rotation.bytes_max:
            self._rotate(self._rotation)
        self._log.write(record)
        self._size += len(record)

    def _rotate(self, rotation: Rotation) -> None:
        # The next rotation waits for the compression of the one before.
        self.wait_for_compression()
        self._log.close()
        ending = ".gz" if rotation.compress else ""
        oldest = rotation.files_max - 1
        if (last := self._numbered(oldest, ending)).exists():
            last.unlink()
            self.deleted += 1
        for number in range(oldest - 1, 0, -1):
            if (old := self._numbered(number, ending)).exists():
                old.rename(self._numbered(number + 1, ending))
        first = self._numbered(1, "")
        self._path.rename(first)
        self._log = self._path.open("xb", buffering=0)
        self._size = 0
        if rotation.compress:
            self._compression = threading.Thread(target=_compress, args=(first, self._numbered(1, ending)))
            self._compression.start()

    def _numbered(self, number: int, ending: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}{ending}")


def _compress(plain: Path, packed: Path) -> None:
    with packed.open("wb") as file, gzip.GzipFile(fileobj=file, mode="wb", filename="") as archive:
        archive.write(plain.read_bytes())
    plain.unlink()
