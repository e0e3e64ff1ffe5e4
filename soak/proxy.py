"""The network between clients and services: passes everything on, drops connections, loses answers."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading

_READ_BYTES = 64 * 1024
# `l_onoff`, `l_linger`: what is closed so ends with a reset at once.
_RESET = struct.pack("ii", 1, 0)


class Network:
    """The thread that all proxies share."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="network", daemon=True).start()

    def proxy(self, port: int, target: int) -> Proxy:
        """Listens on a port of the loopback and leads to another."""
        proxy = Proxy(self._loop, target)
        asyncio.run_coroutine_threadsafe(proxy.listen(port), self._loop).result()
        return proxy


class _EndError(Exception):
    """The service has closed the connection."""


class Proxy:
    """The way to one service."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int) -> None:
        self._loop = loop
        self._target = target
        # Requests arrive, their answers do not.
        self.loses_answers = False
        self._ends: set[asyncio.StreamWriter] = set()

    async def listen(self, port: int) -> None:
        await asyncio.start_server(self._connect, "127.0.0.1", port)

    def drop_all(self) -> None:
        """Every connection there is ends in a reset."""
        self._loop.call_soon_threadsafe(lambda: _reset(self._ends))

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        self._ends |= ends
        try:
            answers, requests = await asyncio.open_connection("127.0.0.1", self._target)
            ends.add(requests)
            self._ends |= ends
            await asyncio.gather(self._pass(reader, requests), self._pass_answers(answers, writer))
        except _EndError:
            for end in ends:
                end.close()
        except OSError:
            # One end is gone, so the other goes as well.
            _reset(ends)
        finally:
            self._ends -= ends

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_READ_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _pass_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_READ_BYTES):
            if self.loses_answers:
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        raise _EndError


def _reset(ends: set[asyncio.StreamWriter]) -> None:
    for end in list(ends):
        if not end.is_closing():
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.transport.abort()
