"""Runs the stack under load and faults, and settles the account. `make soak`, or scripts/soak.sh."""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from . import answers, books, clock, report
from .faults import Faults
from .load import Load
from .people import People
from .stack import GoneError, Stack
from .verdict import Verdict
from .watch import Watch

# Part of the time in which processes are ended; in the rest they live on, so that what leaks has time to show.
PART_WITH_KILLS = 0.5


def main() -> int:
    arguments = _arguments()
    logging.getLogger("monlight").setLevel(logging.CRITICAL)
    seed = arguments.seed or str(random.SystemRandom().randrange(10**9))
    _say(f"{arguments.seconds} s, SEED={seed}")
    if reason := clock.unavailable():
        _say(f"clocks are NOT stepped: {reason}")
        assert os.environ.get("CI") != "true", reason
    verdict = Verdict()
    with (
        tempfile.TemporaryDirectory(prefix="monlight-soak-") as name,
        Stack(arguments.bin_dir, Path(name), verdict) as stack,
    ):
        begun = time.monotonic()
        try:
            text = _run(stack, arguments.seconds, seed, verdict)
        except BaseException as failure:
            gone = stack.gone()
            if not gone or isinstance(failure, KeyboardInterrupt):
                verdict.violation("the run broke off")
                raise
            if not verdict.violations:
                verdict.violation(str(failure))
            text = report.render_gone(gone, time.monotonic() - begun, verdict)
        finally:
            if verdict.violations:
                _keep(Path(name), arguments.keep)
    print(text, flush=True)
    return 1 if verdict.violations else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--seconds", type=int, required=True, help="how long there are load and faults")
    parser.add_argument("--seed", default="", help="of a run that is to be repeated")
    parser.add_argument("--bin-dir", type=Path, required=True, help="folder of the services")
    parser.add_argument("--keep", type=Path, default=Path("target/soak"), help="where a run that failed leaves files")
    return parser.parse_args()


def _run(stack: Stack, seconds: int, seed: str, verdict: Verdict) -> str:
    load, faults, people = Load(stack, seed, verdict), Faults(stack, seed, verdict), People(seed, verdict)
    stack.start()
    watch = Watch(stack)
    for part in (watch, load, people, faults):
        part.start()
    _wait(seconds * PART_WITH_KILLS, verdict)
    faults.spare_processes()
    _wait(seconds * (1 - PART_WITH_KILLS), verdict)
    faults.stop()
    people.stop()
    if gone := stack.gone():
        load.give_up()
        raise GoneError(", ".join(gone))
    load.stop()
    answers.check(stack, load, verdict)
    stack.hang_up()
    uses = watch.stop()
    for service in stack:
        service.terminate()
        books.check_log(service, verdict)
    are_sound = {service.name: books.check_integrity(service, verdict) for service in stack}
    balances = books.check(stack, load, verdict)
    for name, use in uses.items():
        for problem in use.problems():
            verdict.violation(f"{name}: {problem}")
    return report.render(stack, balances, are_sound, uses, faults.counts, people.answers, verdict)


def _wait(seconds: float, verdict: Verdict) -> None:
    """A violation ends the run early: what comes after it says less."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not verdict.violations:
        time.sleep(0.2)


def _keep(folder: Path, keep: Path) -> None:
    """The disks in memory go with this process."""
    shutil.rmtree(keep, ignore_errors=True)
    shutil.copytree(folder, keep, ignore=shutil.ignore_patterns("*.sock"), copy_function=_copy)
    _say(f"databases and logs are in {keep}")


def _copy(source: str, target: str) -> None:
    # After a run that broke off there may still be those who write and rotate.
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def _say(text: str) -> None:
    print(f"soak: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
