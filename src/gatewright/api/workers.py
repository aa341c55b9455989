"""Several processes that serve one socket, watched by the one that started them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from types import FrameType
from typing import Any

from gatewright.errors import ConfigurationError

__all__ = ["run_workers"]

log = logging.getLogger("gatewright.server")

RESTART_SECONDS = 1.0
"""A worker that ends by itself is replaced, but not faster than this."""
STOP_SECONDS = 30.0
"""How long workers may take to end before they are killed."""


def run_workers(number: int, work: Callable[[], None]) -> None:
    """Run `work` in `number` forked processes until a signal ends it; one that dies is replaced."""
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ConfigurationError("workers: this system has no fork: serve with 1", param="workers")
    _Workers(number, work).run()


class _Workers:
    def __init__(self, number: int, work: Callable[[], None]) -> None:
        self._number = number
        self._work = work
        self._processes: list[Any] = []
        self._stopping = False

    def run(self) -> None:
        before = {sig: signal.signal(sig, self._stop) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._processes = [self._start() for _ in range(self._number)]
            while not self._stopping:
                wait([process.sentinel for process in self._processes], timeout=0.5)
                self._replace()
        finally:
            self._end()
            for sig, handler in before.items():
                signal.signal(sig, handler)

    def _start(self) -> Any:
        process = multiprocessing.get_context("fork").Process(target=_work, args=(self._work, os.getpid()))
        process.start()
        return process

    def _replace(self) -> None:
        for place, process in enumerate(self._processes):
            if process.is_alive() or self._stopping:
                continue
            log.error("worker %s ended with %s and is replaced", process.pid, process.exitcode)
            time.sleep(RESTART_SECONDS)
            self._processes[place] = self._start()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _end(self) -> None:
        for process in self._processes:
            process.terminate()
        until = time.monotonic() + STOP_SECONDS
        for process in self._processes:
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


def _work(work: Callable[[], None], parent: int) -> None:
    # Until the server has its own handlers a signal ends the worker, as it would any process.
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, signal.SIG_DFL)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    work()


def _follow(parent: int) -> None:
    """End this process when the one that started it is gone: nobody else would."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)
