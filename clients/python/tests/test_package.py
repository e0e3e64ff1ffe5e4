"""What would be published."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from hatchling.build import build_wheel

import monlight

ROOT = Path(__file__).parents[1]


def test_the_wheel_works_alone(tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        wheel = tmp_path / build_wheel(str(tmp_path))
    finally:
        os.chdir(before)
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
        names = archive.namelist()
    assert "monlight/py.typed" in names
    assert not [name for name in names if not name.startswith("monlight")]
    metadata = (unpacked / f"monlight-{monlight.__version__}.dist-info/METADATA").read_text()
    assert "Requires-Dist: httpx>=0.25.0\n" in metadata
    assert "# monlight for Python" in metadata

    # What the client itself needs must not come from a framework, and its types must be there.
    script = tmp_path / "uses.py"
    script.write_text(
        "import sys, monlight, monlight.integrations.asgi, monlight.integrations.wsgi, monlight.integrations.logging\n"
        "print(monlight.__file__)\n"
        "assert not {'fastapi', 'starlette', 'flask', 'django'} & set(sys.modules), sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(unpacked / "monlight/__init__.py")


def test_the_changelog_knows_the_version() -> None:
    assert f"\n## {monlight.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()
