"""The parent's handle on llama.cpp's server: start it without waiting, wait for it from any loop, end it."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import selectors
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path

import msgspec

from gatewright.errors import (
    ConfigurationError,
    GatewayClosed,
    GatewayError,
    ProviderTimeout,
    ProviderUnavailable,
)
from gatewright.providers.local.launch import READY, Launch
from gatewright.redaction import redact

__all__ = ["Endpoint", "LlamaServer", "ServerSettings"]

log = logging.getLogger("gatewright.providers.local")

LAST_LINES = 12


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What makes one server another than the next: its file and how it runs; `startup_timeout` is seconds."""

    name: str
    model: Path
    threads: int
    context: int
    slots: int
    startup_timeout: float


class Endpoint(msgspec.Struct, frozen=True):
    """Where a server listens, with `/v1`, and the key that it asks for."""

    base_url: str
    api_key: str

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r}, '***')"


class LlamaServer:
    """One child process; `ready` gives its endpoint or the error that kept it from starting.

    A thread of its own starts the child, reads what it prints, and sees it end.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.ready: Future[Endpoint] = Future()
        # Running from the start: no caller who stops waiting can cancel it for the others.
        self.ready.set_running_or_notify_cancel()
        self.alive = True
        self._closing = False
        self._key = secrets.token_hex(24)
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._started = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name="gatewright-local-server", daemon=True)
        self._keeper.start()

    @property
    def pid(self) -> int | None:
        """The child's process id, once there is one."""
        return self._process.pid if self._process is not None else None

    def close(self, timeout: float = 5.0) -> None:
        """End the child and wait for that, at most `timeout` seconds; blocks, and may be called twice."""
        self._closing = True
        self._started.wait(timeout)
        if (process := self._process) is None:
            return
        process.kill()  # it has nothing to save
        self._keeper.join(timeout)

    def forget(self) -> None:
        """In a fork's child: leave the parent's server alone, and let go of its pipes."""
        self.alive = False
        if (process := self._process) is not None:
            process.returncode = 0  # not this process's child: nothing to wait for, or to warn of
            _close_pipes(process)

    def _keep(self) -> None:
        try:
            self._process = process = self._spawn()
        except OSError as error:
            self.alive = False
            self.ready.set_exception(ConfigurationError(f"{sys.executable!r} could not be started: {error}"))
            return
        finally:
            self._started.set()
        try:
            self._tell(process)
            self._follow(process)
        finally:
            self.alive = False
            process.kill()
            process.wait()
            _close_pipes(process)
            if not self.ready.done():
                self.ready.set_exception(self._failure(process.returncode))

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            # -P: a module of the current folder is not to stand in for one of ours.
            [sys.executable, "-P", "-m", "gatewright.providers.local.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is for the parent, which decides when this ends
        )

    def _tell(self, process: subprocess.Popen[bytes]) -> None:
        launch = Launch(
            name=self.settings.name,
            model=str(self.settings.model),
            api_key=self._key,
            parent=os.getpid(),
            threads=self.settings.threads,
            context=self.settings.context,
            slots=self.settings.slots,
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead already: what it printed says why
            process.stdin.write(msgspec.json.encode(launch) + b"\n")

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        """Read what the child prints until it ends, or until it took too long to start."""
        assert process.stdout is not None and process.stderr is not None
        give_up = time.monotonic() + self.settings.startup_timeout
        rests = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
        with selectors.DefaultSelector() as selector:
            for descriptor in rests:
                selector.register(descriptor, selectors.EVENT_READ)
            while selector.get_map():
                waiting = None if self.ready.done() else give_up - time.monotonic()
                if waiting is not None and waiting <= 0:
                    self.ready.set_exception(self._too_slow())
                    return
                for key, _ in selector.select(waiting):
                    data = os.read(key.fd, 65536)
                    if not data:
                        selector.unregister(key.fd)
                    *lines, rests[key.fd] = (rests[key.fd] + data).split(b"\n")
                    for line in lines:
                        self._heard(line)

    def _heard(self, line: bytes) -> None:
        if line.startswith(READY) and not self.ready.done():
            self.ready.set_result(Endpoint(line.removeprefix(READY).decode() + "/v1", self._key))
            return
        text = redact(line.decode(errors="replace"), self._key)
        self._lines.append(text)
        log.debug("llama.cpp: %s", text)

    def _too_slow(self) -> GatewayError:
        seconds = self.settings.startup_timeout
        return ProviderTimeout(
            f"the local model {self.settings.model.name} was not ready after {seconds:g} s (settings.startup_timeout)"
            + self._said(),
            provider="local",
        )

    def _failure(self, code: int) -> GatewayError:
        if self._closing:
            return GatewayClosed("the local model was closed while it started", provider="local")
        # A signal's number is negative: it was killed, which says nothing against the configuration.
        kind = ConfigurationError if code >= 0 else ProviderUnavailable
        message = f"the local model {self.settings.model.name} did not start (exit code {code})"
        return kind(message + self._said(), provider="local")

    def _said(self) -> str:
        return "; it said:\n" + "\n".join(self._lines) if self._lines else ""


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
