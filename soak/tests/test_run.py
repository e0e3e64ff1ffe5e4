"""A run that cannot go on ends at once, and says in a sentence why."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from soak.stack import PORTS
from soak.waiting import wait_for

NAME = "browser-relay"
# Such a run would last so long; its end is a matter of seconds.
SECONDS = 600
END_SECONDS_MAX = 120


def _start(bin_dir: Path, folder: Path) -> subprocess.Popen[str]:
    """With a network and processes of its own, as always."""
    keep = folder / "kept"
    run = ["python", "-m", "soak", "--seconds", str(SECONDS), "--bin-dir", str(bin_dir), "--keep", str(keep)]
    own = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen(
        ["scripts/soak.sh", *run], env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _check(run: subprocess.Popen[str], why: str, folder: Path) -> None:
    said, complaints = run.communicate(timeout=END_SECONDS_MAX)
    assert run.returncode == 1
    assert re.search(f"^soak: VIOLATION: {NAME} {why}", complaints, re.MULTILINE), complaints
    assert "Traceback" not in complaints
    assert said.startswith("NOT settled: ended after ")
    assert f"because {NAME} no longer ran" in said
    assert (folder / "kept" / f"{NAME}.log").exists()


def test_one_that_does_not_start(tmp_path: Path) -> None:
    real = Path(os.environ["MONLIGHT_BIN_DIR"])
    for name in PORTS:
        (tmp_path / name).symlink_to(real / name)
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
    (tmp_path / NAME).chmod(0o755)
    with _start(tmp_path, tmp_path) as run:
        _check(run, "did not start, it ended with 3; it said no such thing", tmp_path)


def test_one_that_crashes(tmp_path: Path) -> None:
    with _start(Path(os.environ["MONLIGHT_BIN_DIR"]), tmp_path) as run:
        wait_for("the load to begin", lambda: any(log.stat().st_size for log in tmp_path.glob("*/containers/*/*.log")))
        wait_for(f"{NAME} to crash", _crash)
        # It may have been about to start again.
        _check(run, f"(ended by itself with|did not start, it ended with) -{signal.SIGABRT:d}; it said ", tmp_path)


def _crash() -> bool:
    """False when there is none just now."""
    return subprocess.run(["pkill", "-ABRT", "-x", NAME], check=False).returncode == 0
