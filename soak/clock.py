"""Steps the wall clock of a running process, and of no other.

A static binary has no library that another could stand in for, and time namespaces know no wall clock. But a program
asks the time of a few functions that the kernel maps into it, the vDSO, and where a debugger may set a breakpoint its
parent may write. Ours take their place: they ask the kernel and add a number that lies beside them.
"""

from __future__ import annotations

import os
import platform
import re
import signal
import struct
from pathlib import Path

from .waiting import wait_for

# x86-64, as `as` makes it of: the system call; if it failed or is of another clock, return; add `[rip + seconds]`.
_CODE = bytes.fromhex(
    # clock_gettime(edi: clock, rsi: timespec): number 228; clocks 0 (realtime) and 5 (realtime, coarse).
    "b8e4000000 0f05 85c0 7513 85ff 7405 83ff05 750a 488b0d3d000000 48010e c3"
    # gettimeofday(rdi: timeval): number 96.
    "b860000000 0f05 85c0 750f 4885ff 740a 488b0d22000000 48010f c3"
    # time(rdi: time_t): number 201.
    "b8c9000000 0f05 48030510000000 4885ff 7403 488907 c3"
    # Seven times nothing, so that the number is aligned: then it changes at once.
    "90909090909090"
)
_ENTRIES = {"__vdso_clock_gettime": 0x00, "__vdso_gettimeofday": 0x1F, "__vdso_time": 0x3A}
_ALIGNMENT = 8
# `jmp` to an address relative to the next instruction.
_JUMP = 0xE9
_JUMP_BYTES = 5
# Of a section in ELF's table of them: names of what others may call.
_DYNAMIC_SYMBOLS = 11


def unavailable() -> str | None:
    """Why clocks cannot be stepped on this machine."""
    machine = platform.machine()
    return None if machine == "x86_64" else f"the code for it is there for x86_64, this is {machine}"


class Clock:
    """The wall clock of a process, as long as that lives."""

    def __init__(self, pid: int) -> None:
        """Takes it over, best before the process has done anything. OSError when it has ended."""
        self._pid = pid
        self._memory = Path(f"/proc/{pid}/mem")
        self._threads = Path(f"/proc/{pid}/task")
        self._start = self._seconds = 0
        wait_for(f"a good moment of process {pid}", self._take_over)

    def set(self, seconds: int) -> None:
        """So many seconds ahead of the machine's clock from now on; behind it when negative."""
        self._write(self._seconds, struct.pack("<q", seconds))

    def _take_over(self) -> bool:
        """False when a thread is within an instruction that would be replaced."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            threads = list(self._threads.iterdir())
            wait_for("all threads to stop", lambda: all(_is_stopped(thread) for thread in threads))
            image = self._find()
            functions = _functions(image)
            replaced = {self._start + functions[name] + byte for name in _ENTRIES for byte in range(1, _JUMP_BYTES)}
            if not replaced.isdisjoint(_instruction(thread) for thread in threads):
                return False
            # Behind everything that is in use: the rest of its last page.
            code = (len(image.rstrip(b"\0")) + _ALIGNMENT) // _ALIGNMENT * _ALIGNMENT
            self._seconds = code + len(_CODE)
            assert self._seconds + _ALIGNMENT <= len(image), "there is no room in the vDSO"
            self._write(code, _CODE)
            for name, entry in _ENTRIES.items():
                distance = code + entry - functions[name] - _JUMP_BYTES
                self._write(functions[name], struct.pack("<Bi", _JUMP, distance))
            return True
        finally:
            os.kill(self._pid, signal.SIGCONT)

    def _find(self) -> bytes:
        maps = Path(f"/proc/{self._pid}/maps").read_text()
        found = re.search(r"^(\w+)-(\w+) .*\[vdso\]$", maps, re.MULTILINE)
        assert found, "it has no vDSO"
        self._start, end = int(found[1], 16), int(found[2], 16)
        with self._memory.open("rb", buffering=0) as memory:
            return os.pread(memory.fileno(), end - self._start, self._start)

    def _write(self, offset: int, data: bytes) -> None:
        with self._memory.open("r+b", buffering=0) as memory:
            os.pwrite(memory.fileno(), data, self._start + offset)


def _is_stopped(thread: Path) -> bool:
    state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
    if state in "ZX":
        raise ProcessLookupError(f"{thread} has ended")
    return state == "T"


def _instruction(thread: Path) -> int:
    """Where it is."""
    return int((thread / "syscall").read_text().split()[-1], 16)


def _functions(image: bytes) -> dict[str, int]:
    """What the vDSO offers, and where in it."""
    (sections,) = struct.unpack_from("<Q", image, 0x28)
    size, count = struct.unpack_from("<HH", image, 0x3A)
    # Of each: type, offset, length, and the section that has its names.
    table = [struct.unpack_from("<4xI16xQQI", image, sections + size * number) for number in range(count)]
    _, symbols, length, link = next(row for row in table if row[0] == _DYNAMIC_SYMBOLS)
    names = table[link][1]
    functions = {}
    for at in range(symbols, symbols + length, 24):
        name, value = struct.unpack_from("<I4xQ", image, at)
        functions[image[names + name :].partition(b"\0")[0].decode()] = value
    return functions
