"""The process that finds names: one for this process, asked from any thread or loop, started when it is needed.

A model of language takes milliseconds of the processor for each text. In a thread it would hold Python's lock for as
long, and every other call would wait; in a process of its own it does not.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from typing import Any

import msgspec

from gatewright.errors import GatewayError

__all__ = ["Name", "found_names"]

Name = tuple[str, int, int]
"""An entity's kind, and from which character to which it is."""

_names = msgspec.json.Decoder(tuple[int, list[Name]])
MODULE = "gatewright.layers.validation.content.name_worker"


class NamesUnavailable(GatewayError):
    """The process that finds names has ended."""

    code = "names_unavailable"
    status = 503


class _Finder:
    """The process, and who waits for what from it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: dict[int, Future[list[Name]]] = {}
        self._count = 0
        self._owner = 0

    def ask(self, text: str, entities: tuple[str, ...], sure: float) -> Future[list[Name]]:
        """Send a text; the future has its names."""
        with self._lock:
            process = self._running()
            self._count += 1
            asked: Future[list[Name]] = Future()
            asked.set_running_or_notify_cancel()  # whoever waits may leave; the answer comes all the same
            self._waiting[self._count] = asked
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode((self._count, text, entities, sure)) + b"\n")
            process.stdin.flush()
            return asked

    def _running(self) -> subprocess.Popen[bytes]:
        # A forked child has its parent's pipes, which are not for it.
        process = self._process if self._owner == os.getpid() else None
        if process is None or process.poll() is not None:
            process = subprocess.Popen(
                [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            self._process, self._owner, self._waiting = process, os.getpid(), {}
            threading.Thread(target=self._read, args=(process, self._waiting), daemon=True).start()
        return process

    def _read(self, process: subprocess.Popen[bytes], waiting: dict[int, Future[list[Name]]]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            number, found = _names.decode(line)
            waiting.pop(number).set_result(found)
        while waiting:
            _, asked = waiting.popitem()
            asked.set_exception(NamesUnavailable("the process that finds names has ended"))

    def end(self) -> None:
        """End the process."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()


_finder = _Finder()
atexit.register(_finder.end)


async def found_names(text: str, entities: tuple[str, ...], sure: float) -> list[Name]:
    """Give the names in a text."""
    if not text.strip():
        return []
    asked: Any = await asyncio.to_thread(_finder.ask, text, entities, sure)
    return await asyncio.wrap_future(asked)
