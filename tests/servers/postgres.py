"""A PostgreSQL server process that can be paused, killed, started again and asked."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import psycopg

from .ports import free_port

# What a crash of the machine could lose is given up for speed; what a killed server has committed stays.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
}


def programs() -> Path | None:
    """Find the folder with initdb and postgres: the newest of Debian's, or whichever is on the path."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda found: int(found.parts[-3]))
    on_path = shutil.which("postgres")
    found = debian[-1] if debian else on_path and Path(on_path)
    return Path(found).parent if found else None


class Template:
    """An empty data directory, made once and copied for each server."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self._owner = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        self._directory = self.new_directory()
        initdb = [programs / "initdb", "--pgdata", self._directory / "data", "--username", "gatewright"]
        initdb += ["--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
        self.run(initdb).wait()

    def new_directory(self) -> Path:
        """Make a directory that the server's user can enter, unlike pytest's own."""
        directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        if self._owner is not None:
            user = pwd.getpwnam(self._owner)
            os.chown(directory, user.pw_uid, user.pw_gid)
        return directory

    def copy(self) -> Path:
        directory = self.new_directory()
        self.run(["cp", "-a", self._directory / "data", directory / "data"]).wait()
        return directory

    def run(self, command: list[str | Path]) -> subprocess.Popen[bytes]:
        """Start a program as the user that PostgreSQL accepts."""
        owner = {} if self._owner is None else {"user": self._owner, "group": self._owner, "extra_groups": []}
        return subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **owner)

    def remove(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


class PostgresServer:
    """A server with an empty database `gatewright`; whoever knows its URL may do everything, with any password."""

    def __init__(self, template: Template) -> None:
        self.port = free_port()
        self.url = self.url_of("gatewright")
        self._template = template
        self._directory = template.copy()
        self.process: subprocess.Popen[bytes] | None = None

    def url_of(self, database: str) -> str:
        return f"postgresql://gatewright:secret@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        command = [self._template.programs / "postgres", "-D", self._directory / "data", "-p", str(self.port)]
        command += ["-k", self._directory]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        self.process = self._template.run(command)
        self._wait_until_it_answers()
        if not self.ask("SELECT 1 FROM pg_database WHERE datname = 'gatewright'", "postgres"):
            self.ask("CREATE DATABASE gatewright", "postgres")

    def stop(self) -> None:
        """End it in an orderly way: sessions are cut off, what was committed is kept."""
        if self.process is not None and self.process.poll() is None:
            self.go_on()
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)

    def kill(self) -> None:
        """End all its processes at once, as a machine does that runs out of memory."""
        self._send(signal.SIGSTOP)  # the first process must not answer the end of the others
        self._send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def pause(self) -> None:
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send(signal.SIGCONT)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def ask(self, sql: str, database: str = "gatewright") -> list[tuple[object, ...]]:
        """Run one statement by itself and give its rows, if it has any."""
        with psycopg.connect(self.url_of(database), autocommit=True, connect_timeout=2) as connection:
            answer = connection.execute(sql.encode())
            return answer.fetchall() if answer.description else []

    def new_database(self, name: str) -> str:
        """Make one more empty database and give its URL."""
        self.ask(f'CREATE DATABASE "{name}"', "postgres")
        return self.url_of(name)

    def _send(self, number: signal.Signals) -> None:
        """Signal the first process and each session's, which is the leader of a group of its own."""
        assert self.process is not None
        first = psutil.Process(self.process.pid)
        for process in [first, *first.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _wait_until_it_answers(self) -> None:
        until = time.monotonic() + 20.0
        while True:
            try:
                self.ask("SELECT 1", "postgres")
                return
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
