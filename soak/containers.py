"""Containers whose programs log."""

from __future__ import annotations

from .docker_log import PIECE_BYTES, Container, Rotation
from .sender import Sender
from .stack import Stack
from .verdict import Verdict

# What is kept of each log is some minutes of what is written, more than log-viewer is ever away.
ROTATIONS = {
    "shop": None,
    "api": Rotation(bytes_max=100_000, files_max=100, compress=False),
    "worker": Rotation(bytes_max=150_000, files_max=100, compress=True),
}
LINE_SHOWN_MAX = 200
# log-viewer takes a line that has no end after a second for a program's last words. A machine that is so busy that we
# need as long to write one can make it two.
LINE_PAUSE_MAX = 0.9


class Program(Sender):
    """A container that logs, each line with a number of its own."""

    rate = 120.0
    TRACE = ("java.lang.IllegalStateException: no order", "\tat Shop.pay(Shop.java:12)", "\tat Shop.main(Shop.java:4)")

    def __init__(self, stack: Stack, name: str, rotation: Rotation | None, seed: str, verdict: Verdict) -> None:
        super().__init__(f"log lines, {name}", seed, verdict)
        self.container = Container(stack.containers, name, rotation)

    def work(self) -> None:
        stream = self.random.choice(["stdout", "stderr"])
        kind = self.random.randrange(200)
        if kind < 4:
            for line in self.TRACE:
                self._write(stream, f"{line} #{self.next()}")
        elif kind == 4:
            # Several records.
            filler = "y" * self.random.randint(PIECE_BYTES - 40, 3 * PIECE_BYTES)
            self._write(stream, f"[debug] #{self.next()} {filler}")
        else:
            filler = "x" * self.random.randint(0, 150)
            self._write(stream, f'[info] #{self.next()} <tag> "quoted" \t{filler}')

    def settle(self) -> None:
        self.container.wait_for_compression()

    def _write(self, stream: str, line: str) -> None:
        name = line_name(self.container.name, stream, line)
        self.ledger.send(name)
        pause = self.container.write(stream, line)
        if pause < LINE_PAUSE_MAX:
            # As far as a program knows.
            self.ledger.acknowledge(name)
        else:
            # Whole or in parts, nobody can know.
            self.ledger.send(*(line_name(self.container.name, stream, part) for part in parts(line)))


def parts(line: str) -> list[str]:
    """What can become of a line whose pieces do not come at once: some of them that follow each other, not all."""
    cuts = [*range(0, len(line), PIECE_BYTES), len(line)]
    some = [(start, end) for number, start in enumerate(cuts) for end in cuts[number + 1 :]]
    return [line[start:end] for start, end in some if end - start < len(line)]


def line_name(container: str, stream: str, line: str) -> str:
    """A line in a ledger: a long one by its beginning and its length."""
    shown = line if len(line) < LINE_SHOWN_MAX else f"{line[:30]}... ({len(line)} bytes)"
    return f"{container} {stream} {shown}"
