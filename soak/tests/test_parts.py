"""The faults are real: what each part of the harness says that it does to a process, it does."""

from __future__ import annotations

import errno
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from soak.clock import Clock, unavailable
from soak.containers import parts
from soak.disk import Disk
from soak.docker_log import PIECE_BYTES, Container, Rotation
from soak.proxy import Network
from soak.watch import WARM_SECONDS, Use, halves

HOUR = 3600


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_process_has_a_wall_clock_of_its_own(seconds: int) -> None:
    assert unavailable() is None
    tell = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", tell], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        clock = Clock(process.pid)
        for step in (0, seconds, 0):
            clock.set(step)
            process.stdin.write("now\n")
            wall, monotonic = map(float, process.stdout.readline().split())
            assert wall - time.time() == pytest.approx(step, abs=5)
            assert monotonic == pytest.approx(time.monotonic(), abs=5)
        process.stdin.close()
    assert process.returncode == 0


def test_a_full_disk_takes_nothing_and_keeps_what_it_has(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    file = disk.folder / "file"
    file.write_bytes(b"kept" * 10_000)
    disk.fill()
    with pytest.raises(OSError, match="No space left") as refused:
        (disk.folder / "other").write_bytes(b"x" * 10_000)
    assert refused.value.errno == errno.ENOSPC
    assert file.read_bytes() == b"kept" * 10_000
    disk.empty()
    (disk.folder / "other").write_bytes(b"x" * 10_000)
    disk.remove()


def test_answers_are_lost_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "page").write_text("hello")
    serve = [sys.executable, "-m", "http.server", "7000", "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        proxy = Network().proxy(7001, 7000)
        transport = httpx.HTTPTransport(retries=5)
        with httpx.Client(base_url="http://127.0.0.1", transport=transport) as client:
            while client.get("http://127.0.0.1:7000/page").status_code != 200:
                pass
            assert client.get("http://127.0.0.1:7001/page").text == "hello"
            proxy.loses_answers = True
            with pytest.raises(httpx.TransportError):
                client.get("http://127.0.0.1:7001/page?lost")
        server.terminate()
        assert server.stderr is not None
        assert "GET /page?lost" in server.stderr.read()


def test_what_can_become_of_a_line_in_pieces() -> None:
    one, two = "a" * PIECE_BYTES, "b" * PIECE_BYTES
    assert parts("short") == []
    assert parts(one + two + "c") == [one, one + two, two, two + "c", "c"]


@pytest.mark.parametrize("compress", [False, True])
def test_a_log_is_rotated_as_docker_does_it(tmp_path: Path, *, compress: bool) -> None:
    container = Container(tmp_path, "shop", Rotation(bytes_max=5000, files_max=100, compress=compress))
    lines = [f"line {number} {'y' * (2 * PIECE_BYTES if number % 20 == 0 else 50)}" for number in range(200)]
    for line in lines:
        container.write("stdout", line)
    container.wait_for_compression()
    files = sorted(tmp_path.glob("*/*-json.log*"), key=_age, reverse=True)
    assert len(files) > 5
    assert [file.suffix == ".gz" for file in files[:-1]] == [compress] * (len(files) - 1)
    records = [json.loads(record) for file in files for record in _read(file).splitlines()]
    assert "".join(record["log"] for record in records) == "".join(f"{line}\n" for line in lines)


def _age(file: Path) -> int:
    """The number in its name."""
    return int(file.name.partition(".log")[2].removesuffix(".gz").lstrip(".") or 0)


def _read(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


@pytest.mark.parametrize(
    ("use", "problem"),
    [
        (Use(30 << 10, (9000, 9000), (20, 30), 30, 90), None),
        (Use(30 << 10, None, (20, 30), 30, 90), None),
        (Use((30 << 10) + 1, (9000, 9000), (20, 30), 30, 90), "its memory came to 30.0 MB"),
        (Use(30 << 10, (9000, 9000 + 2048), (20, 30), 30, 90), None),
        (Use(30 << 10, (9000, 9000 + 2049), (20, 30), 30, 90), "its memory grew from 9000 to 11049 KB"),
        (Use(30 << 10, (9000, 9000), (20, 31), 30, 90), "it holds 31 descriptors with nobody connected"),
    ],
)
def test_what_a_service_may_use(use: Use, problem: str | None) -> None:
    found = use.problems()
    assert len(found) == (problem is not None)
    assert all(line.startswith(problem) for line in found if problem)


@pytest.mark.parametrize(
    ("seen", "medians"),
    [
        # Filling caches, then flat but for a crowd.
        ([*range(WARM_SECONDS), *[9000] * 30, *[15000] * 20, *[9000] * 50], (9000, 9000)),
        # A leak.
        ([0] * WARM_SECONDS + list(range(0, 10000, 10)), (2495, 7495)),
        ([9000] * (WARM_SECONDS + 59), None),
    ],
)
def test_what_a_leak_looks_like(seen: list[int], medians: tuple[float, float] | None) -> None:
    assert halves(seen) == medians
