"""Reads the databases of a stopped stack, and compares them with the ledgers.

With `apsw`, whose SQLite is as new as ours: the one that comes with Python may not know all that is in the files, nor
check the indexes of messages.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import apsw

from .containers import line_name
from .ledger import Balance, Ledger
from .load import Load
from .stack import Service, Stack
from .verdict import Verdict

# A group keeps the last so many occurrences.
OCCURRENCES_MAX = 5


def check(stack: Stack, load: Load, verdict: Verdict) -> list[Balance]:
    """Every acknowledged event there once."""
    balances = []
    with closing(_open(stack.services["error-tracker"].database)) as tracker:
        balances += _compare(_errors(tracker), load.errors())
        _check_occurrences(tracker, verdict)
    with closing(_open(stack.services["metrics-collector"].database)) as collector:
        balances += _compare(_points(collector), load.measurements())
        _check_sums(collector, load.sums(), verdict)
        _check_rollups(collector, verdict)
    with closing(_open(stack.services["log-viewer"].database)) as viewer:
        balances += _compare(_lines(viewer), load.lines())
        _check_counts(viewer, verdict)
        _check_order(viewer, verdict)
    with closing(_open(stack.services["browser-relay"].database)) as relay:
        if waiting := relay.execute("SELECT count(*) FROM outbox").get:
            verdict.violation(f"browser-relay: {waiting} events are still in the outbox")
        maps = Counter(row[0] for row in relay.execute("SELECT release FROM source_maps"))
        balances += _compare(maps, load.maps())
    for balance in balances:
        for problem in balance.problems():
            verdict.violation(problem)
    return balances


def check_integrity(service: Service, verdict: Verdict) -> bool:
    """Of a stopped service: whether its database is sound."""
    is_sound = True
    with closing(_open(service.database)) as database:
        for pragma in ("integrity_check(5)", "foreign_key_check"):
            if rows := [row for row in database.execute(f"PRAGMA {pragma}") if row != ("ok",)]:
                verdict.violation(f"{service.name}: {pragma} says {rows[:5]}")
                is_sound = False
    return is_sound


def check_log(service: Service, verdict: Verdict) -> None:
    """Of a stopped service: that nothing in it was a mistake of ours."""
    for line in service.log.read_text(errors="replace").splitlines():
        if "panicked" in line or "level=" not in line:
            verdict.violation(f"{service.name} says: {line[:300]}")


def _open(path: Path) -> apsw.Connection:
    return apsw.Connection(str(path))


def _compare(stored: Counter[str], ledgers: Iterable[Ledger]) -> list[Balance]:
    """Each name belongs to the ledger that has sent it; what none has sent, to one that has sent nothing."""
    ledgers = list(ledgers)
    parts: list[dict[str, int]] = [{} for _ in ledgers]
    strange: dict[str, int] = {}
    for name, count in stored.items():
        owner = next((number for number, ledger in enumerate(ledgers) if ledger.has(name)), None)
        (strange if owner is None else parts[owner])[name] = count
    balances = [ledger.compare(part) for ledger, part in zip(ledgers, parts, strict=True)]
    if strange:
        balances.append(Ledger("sent by nobody").compare(strange))
    return balances


def _errors(tracker: apsw.Connection) -> Counter[str]:
    stored: Counter[str] = Counter()
    for project, kind, count in tracker.execute("SELECT project, exception_type, count FROM groups"):
        stored[f"{project} {kind}"] += count
    return stored


def _check_occurrences(tracker: apsw.Connection, verdict: Verdict) -> None:
    wrong = tracker.execute(
        "SELECT g.id, g.count, count(o.id) FROM groups g LEFT JOIN occurrences o ON o.group_id = g.id"
        f" GROUP BY g.id HAVING count(o.id) <> min(g.count, {OCCURRENCES_MAX})"
    ).fetchall()
    if wrong:
        verdict.violation(f"error-tracker: occurrences do not fit the count (id, count, occurrences): {wrong[:5]}")
    twice = tracker.execute("SELECT hex(fingerprint) FROM groups GROUP BY fingerprint HAVING count(*) > 1").fetchall()
    if twice:
        verdict.violation(f"error-tracker: several groups have one fingerprint: {twice[:5]}")


def _points(collector: apsw.Connection) -> Counter[str]:
    """Measurements one by one."""
    question = "SELECT s.name, p.value FROM points p JOIN series s ON s.id = p.series WHERE s.type <> 'counter'"
    return Counter(f"{name} {value:.0f}" for name, value in collector.execute(question))


def _check_sums(collector: apsw.Connection, counted: Counter[str], verdict: Verdict) -> None:
    question = (
        "SELECT s.name || ' ' || (s.labels ->> '$.shop'), CAST(sum(p.value) AS INTEGER)"
        " FROM points p JOIN series s ON s.id = p.series WHERE s.type = 'counter' GROUP BY s.id"
    )
    stored = Counter(dict(collector.execute(question)))
    if stored != counted:
        verdict.violation(f"metrics-collector: counted {dict(counted)}, stored {dict(stored)}")


def _check_rollups(collector: apsw.Connection, verdict: Verdict) -> None:
    """A minute that was rolled up is the sum of its points."""
    question = """
        WITH raw AS (
            SELECT (id >> 21) / 60000 * 60 AS bucket, series, count(*) AS count, sum(value) AS sum FROM points
            WHERE (id >> 21) / 1000 < (SELECT CAST(value AS INTEGER) FROM _meta WHERE key = 'minutes_closed_until')
            GROUP BY 1, 2
        )
        SELECT bucket, series, raw.count, raw.sum, minutes.count, minutes.sum
        FROM raw FULL JOIN minutes USING (bucket, series)
        WHERE (raw.count IS NOT minutes.count OR raw.sum IS NOT minutes.sum)
        AND bucket NOT IN (SELECT bucket FROM pending WHERE seconds = 60)"""
    if wrong := collector.execute(question).fetchall():
        verdict.violation(f"metrics-collector: minutes are not the sum of their points: {wrong[:5]}")


def _lines(viewer: apsw.Connection) -> Counter[str]:
    question = "SELECT container, stream, message FROM log_entries"
    return Counter(
        line_name(container, stream, line)
        for container, stream, message in viewer.execute(question)
        for line in message.split("\n")
    )


def _check_counts(viewer: apsw.Connection, verdict: Verdict) -> None:
    """What totals are taken from agrees with what there is."""
    entries, counts, hours = viewer.execute(
        "SELECT (SELECT count(*) FROM entries), (SELECT sum(count) FROM counts), (SELECT sum(count) FROM hours)"
    ).get
    if not entries == counts == hours:
        verdict.violation(f"log-viewer: {entries} entries, counted as {counts}, and by hours as {hours}")


def _check_order(viewer: apsw.Connection, verdict: Verdict) -> None:
    """The lines of a stream are in the order they were written in."""
    last: dict[tuple[str, str], int] = {}
    for container, stream, message in viewer.execute("SELECT container, stream, message FROM log_entries ORDER BY id"):
        for found in re.finditer(r"#(\d+)", message):
            number = int(found[1])
            if number < last.get((container, stream), 0):
                verdict.violation(
                    f"log-viewer: {container} {stream}: line #{number} is behind #{last[container, stream]}"
                )
                return
            last[container, stream] = number
