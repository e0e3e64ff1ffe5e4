"""The table in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from .ledger import Balance
from .stack import Stack
from .verdict import Verdict
from .watch import Use

Row: TypeAlias = tuple[str, ...]


def render(
    stack: Stack,
    balances: Sequence[Balance],
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
        ("service", "starts", "peak RSS", "RSS, first and last", "descriptors", "idle, first and last", "database")
    ]
    services += [
        _service(service.name, service.starts, service.database.stat().st_size, uses[service.name]) for service in stack
    ]
    happened: list[Row] = [("faults", "times"), *((name, str(count)) for name, count in sorted(faults.items()))]
    asked: list[Row] = [("what people were answered", "times"), *((what, str(count)) for what, count in people.items())]
    parts = [_table(rows) for rows in (events, services, happened, asked)]
    parts.append(f"violations: {len(verdict.violations) or 'none'}")
    return "\n\n".join([*parts, *verdict.violations])


def _numbers(balance: Balance) -> tuple[int, ...]:
    return balance.sent, balance.acknowledged, balance.stored, balance.lost.total(), balance.doubled.total()


def _sums(rows: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*rows, strict=True))


def _service(name: str, starts: int, database_bytes: int, use: Use) -> Row:
    memory = "-" if use.rss_kb is None else f"{use.rss_kb[0] / 1024:.1f} → {use.rss_kb[1] / 1024:.1f} MB"
    idle = f"{use.idle_descriptors[0]} → {use.idle_descriptors[1]}"
    peak, size = f"{use.peak_kb / 1024:.1f} MB", f"{database_bytes / 2**20:.1f} MB"
    return name, str(starts), peak, memory, str(use.descriptors), idle, size


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
