"""The table in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from .ledger import Balance
from .stack import Service, Stack
from .verdict import Verdict
from .watch import GROWTH_KB_MAX, PEAK_KB_MAX, WARM_SECONDS, Use

Row: TypeAlias = tuple[str, ...]
FLAT = f"""\
memory is flat: what a service holds, from {WARM_SECONDS} s after its last start, is in the second half of that
time at most {GROWTH_KB_MAX >> 10} MB over the first, by medians; and it never peaks over {PEAK_KB_MAX >> 10} MB"""


def render(
    stack: Stack,
    balances: Sequence[Balance],
    are_sound: dict[str, bool],
    uses: dict[str, Use],
    faults: Counter[str],
    people: Counter[str],
    verdict: Verdict,
) -> str:
    """Everything that a run has to say."""
    events: list[Row] = [("events", "sent", "acknowledged", "stored", "lost", "doubled")]
    numbers = [_numbers(balance) for balance in balances]
    rows = [*zip((balance.what for balance in balances), numbers, strict=True), ("together", _sums(numbers))]
    events += [(what, *map(str, row)) for what, row in rows]
    services: list[Row] = [
        ("service", "starts", "peak RSS", "own memory, halves", "descriptors", "idle, first and last", "database")
    ]
    services += [_service(service, uses[service.name], is_sound=are_sound[service.name]) for service in stack]
    happened: list[Row] = [("faults", "times"), *((name, str(count)) for name, count in sorted(faults.items()))]
    asked: list[Row] = [("what people were answered", "times"), *((what, str(count)) for what, count in people.items())]
    parts = [_table(rows) for rows in (events, services, happened, asked)]
    parts.append(FLAT)
    parts.append(f"violations: {len(verdict.violations) or 'none'}")
    return "\n\n".join([*parts, *verdict.violations])


def render_gone(gone: Sequence[str], seconds: float, verdict: Verdict) -> str:
    """What is left to say when a service does not run any more."""
    first = f"NOT settled: ended after {seconds:.0f} s, because {' and '.join(gone)} no longer ran"
    return "\n\n".join([first, f"violations: {len(verdict.violations)}", *verdict.violations])


def _numbers(balance: Balance) -> tuple[int, ...]:
    return balance.sent, balance.acknowledged, balance.stored, balance.lost.total(), balance.doubled.total()


def _sums(rows: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*rows, strict=True))


def _service(service: Service, use: Use, *, is_sound: bool) -> Row:
    memory = "too short" if use.own_kb is None else f"{use.own_kb[0] / 1024:.1f} → {use.own_kb[1] / 1024:.1f} MB"
    idle = f"{use.idle_descriptors[0]} → {use.idle_descriptors[1]}"
    peak = f"{use.peak_kb / 1024:.1f} MB"
    database = f"{service.database.stat().st_size / 2**20:.1f} MB, {'sound' if is_sound else 'DAMAGED'}"
    return service.name, str(service.starts), peak, memory, str(use.descriptors), idle, database


def _table(rows: Iterable[Row]) -> str:
    rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
