"""The account is strict: whatever is broken in a database or a log after a run, it says so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from soak import answers, books
from soak.ledger import Ledger
from soak.load import Load
from soak.stack import Stack
from soak.verdict import Verdict
from soak.waiting import wait_for


def test_a_ledger_knows_what_must_be_and_what_may_be() -> None:
    ledger = Ledger("errors")
    ledger.send("twice", "twice", "unanswered", "refused", "lost", "lost")
    ledger.acknowledge("twice", "twice", "lost", "lost")
    ledger.refuse("refused")
    fine = {"twice": 2, "lost": 2}
    for stored in (fine, {**fine, "unanswered": 1}):
        assert ledger.compare(stored).problems() == []
    assert ledger.compare({**fine, "lost": 1}).problems() == ["errors: 1 lost, such as lost"]
    for name in ("unanswered", "twice"):
        assert ledger.compare({**fine, name: 3}).doubled.total() > 0
    for name in ("refused", "never sent"):
        assert ledger.compare({**fine, name: 1}).problems() == [f"errors: 1 doubled, such as {name}"]


class Run:
    """A short one without faults, over and stopped."""

    def __init__(self, folder: Path) -> None:
        verdict = Verdict()
        with Stack(Path(os.environ["MONLIGHT_BIN_DIR"]), folder, verdict) as stack:
            load = Load(stack, "1", verdict)
            stack.start()
            load.start()
            wait_for("some of everything", lambda: all(sender.number > 1 for sender in load.senders))
            load.stop()
            answers.check(stack, load, verdict)
            for service in stack:
                service.terminate()
            # The disks go with the stack.
            for service in stack:
                kept = shutil.copy(service.database, folder / f"{service.name}.db")
                service.database = Path(kept)
        assert verdict.violations == []
        self.stack, self.load = stack, load

    def check(self) -> list[str]:
        verdict = Verdict()
        for service in self.stack:
            books.check_integrity(service, verdict)
        books.check(self.stack, self.load, verdict)
        return verdict.violations


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("run"))
    assert run.check() == []
    return run


@pytest.fixture
def mended(run: Run) -> Iterator[Run]:
    """As it was, afterwards."""
    for service in run.stack:
        shutil.copy(service.database, f"{service.database}.kept")
        shutil.copy(service.log, f"{service.log}.kept")
    yield run
    for service in run.stack:
        shutil.move(f"{service.database}.kept", service.database)
        shutil.move(f"{service.log}.kept", service.log)


@pytest.mark.parametrize(
    ("service", "damage", "complaint"),
    [
        ("error-tracker", "UPDATE groups SET count = count - 1 WHERE project = 'shop'", "errors, Python client: "),
        ("error-tracker", "UPDATE groups SET count = count + 1 WHERE project = 'web'", "doubled"),
        (
            "error-tracker",
            "DELETE FROM occurrences WHERE id = (SELECT max(id) FROM occurrences)",
            "do not fit the count",
        ),
        ("error-tracker", "UPDATE groups SET project = 'nobody' WHERE id = 1", "sent by nobody"),
        ("error-tracker", "UPDATE groups SET fingerprint = x'00' WHERE id < 3", "one fingerprint"),
        ("error-tracker", "DELETE FROM groups WHERE id = 1", "foreign_key_check"),
        ("metrics-collector", "DELETE FROM points WHERE id = (SELECT max(id) FROM points)", "lost"),
        (
            "metrics-collector",
            "INSERT INTO points SELECT id + 1000, series, value, dropped FROM points WHERE value = 1 LIMIT 1",
            "doubled",
        ),
        (
            "metrics-collector",
            "UPDATE points SET value = value + 1 WHERE series = (SELECT id FROM series WHERE type = 'counter')",
            "counted",
        ),
        (
            "metrics-collector",
            "INSERT INTO minutes VALUES (60, 1, 1, 1, 1, 1, NULL, NULL, NULL)",
            "not the sum of their points",
        ),
        ("log-viewer", "DELETE FROM entries WHERE id = (SELECT max(id) FROM entries)", "lost"),
        ("log-viewer", "DELETE FROM search_0_data WHERE id > 10", "integrity_check"),
        ("log-viewer", "UPDATE hours SET count = count + 1", "by hours"),
        ("log-viewer", "UPDATE messages SET message = 'gone' WHERE id = 2", "lost"),
        ("log-viewer", "UPDATE messages SET message = message || '\n' || message WHERE id = 2", "doubled"),
        ("browser-relay", "DELETE FROM maps WHERE id = 1", "source maps: 1 lost"),
        ("browser-relay", "INSERT INTO outbox VALUES (1, 'errors', 'k', '', '', 0)", "still in the outbox"),
    ],
)
def test_damage_is_found(mended: Run, service: str, damage: str, complaint: str) -> None:
    with closing(apsw.Connection(str(mended.stack.services[service].database))) as database:
        database.execute(damage)
    assert any(complaint in violation for violation in mended.check()), mended.check()


def test_a_panic_is_found_in_a_log(mended: Run) -> None:
    relay = mended.stack.services["browser-relay"]
    with relay.log.open("a") as log:
        log.write("thread 'worker-1' panicked at src/lib.rs:1:1:\nno such thing\n")
    verdict = Verdict()
    books.check_log(relay, verdict)
    assert verdict.violations[0].startswith("browser-relay says: thread 'worker-1' panicked")
