"""A disk for each service, which can be full for a while."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# More than any run fills; what is not used costs nothing.
_SIZE = "75%"
# The service writes while its disk shrinks.
_ATTEMPTS_MAX = 20


class Disk:
    """A file system in memory. A full one has shrunk to what is in it, so that filling it costs no memory either."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_full = False
        folder.mkdir()
        _mount(f"size={_SIZE},mode=0700", folder)

    def fill(self) -> None:
        """Leaves no room."""
        for attempt in range(_ATTEMPTS_MAX):
            state = os.statvfs(self.folder)
            used = (state.f_blocks - state.f_bfree) * state.f_frsize
            self.is_full = True
            try:
                _mount(f"remount,size={used}", self.folder)
                return
            except subprocess.CalledProcessError:
                self.is_full = False
                if attempt == _ATTEMPTS_MAX - 1:
                    raise

    def empty(self) -> None:
        """Makes room again."""
        _mount(f"remount,size={_SIZE}", self.folder)
        self.is_full = False

    def remove(self) -> None:
        """With everything on it."""
        subprocess.run(["umount", "--lazy", self.folder], check=True)


def _mount(options: str, folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)
