"""llama.cpp's real server beside this process: shared, guarded by a key, and gone with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from gatewright.errors import ConfigurationError, GatewayClosed, ProviderTimeout
from gatewright.providers.local.leases import ServerLeases
from gatewright.providers.local.process import Endpoint, LlamaServer, ServerSettings
from gatewright.providers.local.weights import find_gguf

STARTED = 60.0


def settings(model: Path | None = None, *, startup_timeout: float = STARTED) -> ServerSettings:
    return ServerSettings(
        name="small", model=model or find_gguf(), threads=1, context=512, slots=1, startup_timeout=startup_timeout
    )


@pytest.fixture
def held() -> Iterator[ServerLeases]:
    leases = ServerLeases()
    yield leases
    leases.close()


def gone(pid: int | None) -> bool:
    assert pid is not None
    try:
        # A zombie has ended; that its new parent does not ask how is none of our business.
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


async def ask(endpoint: Endpoint, key: str | None, path: str = "/chat/completions") -> tuple[int, dict[str, Any]]:
    body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        aiohttp.ClientSession() as session,
        session.post(endpoint.base_url + path, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def test_it_answers_a_chat_request_with_usage(held: ServerLeases) -> None:
    endpoint = held.acquire(settings()).ready.result(STARTED)
    status, body = await ask(endpoint, endpoint.api_key)
    assert status == 200
    assert body["model"] == "small"
    assert body["choices"][0]["message"]["content"]
    assert body["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize("key", ["not-the-key", None])
@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings", "/completions"])
async def test_another_key_or_none_is_refused(held: ServerLeases, key: str | None, path: str) -> None:
    endpoint = held.acquire(settings()).ready.result(STARTED)
    status, _ = await ask(endpoint, key, path)
    assert status == 401


def test_it_listens_on_this_machine_only_and_its_key_is_in_no_list_of_processes(held: ServerLeases) -> None:
    server = held.acquire(settings())
    endpoint = server.ready.result(STARTED)
    process = psutil.Process(server.pid)
    listening = [c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]
    assert not any(endpoint.api_key in part for part in process.cmdline())
    assert endpoint.api_key not in repr(endpoint)


def test_a_second_holder_gets_the_same_server_and_the_last_one_ends_it(held: ServerLeases) -> None:
    first, second = held.acquire(settings()), held.acquire(settings())
    first.ready.result(STARTED)
    assert first is second
    held.release(first)
    assert second.alive
    held.release(second)
    assert gone(second.pid)


def test_after_close_the_same_settings_start_a_new_server(held: ServerLeases) -> None:
    first = held.acquire(settings())
    first.ready.result(STARTED)
    held.close()
    second = held.acquire(settings())
    assert second.ready.result(STARTED) != first.ready.result()
    assert gone(first.pid) and second.alive


def test_a_server_that_died_is_replaced_and_its_old_lease_ends_nothing(held: ServerLeases) -> None:
    first = held.acquire(settings())
    first.ready.result(STARTED)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    assert eventually(lambda: not first.alive)
    second = held.acquire(settings())
    second.ready.result(STARTED)
    held.release(first)
    assert second is not first and second.alive


def test_a_crowd_from_many_threads_starts_one_server(held: ServerLeases) -> None:
    everyone = threading.Barrier(8)

    def acquire(_: int) -> LlamaServer:
        everyone.wait()
        return held.acquire(settings())

    with ThreadPoolExecutor(8) as pool:
        servers = set(pool.map(acquire, range(8)))
    assert len(servers) == 1


async def test_one_caller_who_stops_waiting_does_not_stop_the_start(held: ServerLeases) -> None:
    server = held.acquire(settings())
    impatient = asyncio.ensure_future(asyncio.wrap_future(server.ready))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await asyncio.wrap_future(server.ready)


def test_closing_during_the_start_says_so(held: ServerLeases) -> None:
    server = held.acquire(settings())
    held.release(server)
    with pytest.raises(GatewayClosed):
        server.ready.result(STARTED)
    assert server.pid is None or gone(server.pid)


def test_a_file_that_is_no_model_gives_what_the_server_said(held: ServerLeases, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"no model at all")
    server = held.acquire(settings(tmp_path / "broken.gguf"))
    with pytest.raises(ConfigurationError, match=r"broken\.gguf did not start") as caught:
        server.ready.result(STARTED)
    assert "invalid magic" in caught.value.message
    assert not server.alive and gone(server.pid)


def test_a_start_that_takes_too_long_is_ended(held: ServerLeases) -> None:
    server = held.acquire(settings(startup_timeout=0.001))
    with pytest.raises(ProviderTimeout, match="startup_timeout"):
        server.ready.result(STARTED)
    assert eventually(lambda: not server.alive)
    assert eventually(lambda: gone(server.pid))


PARENT = """
import os, sys, time
from gatewright.providers.local.leases import leases
from gatewright.providers.local.process import ServerSettings
from gatewright.providers.local.weights import find_gguf

server = leases.acquire(
    ServerSettings(name="small", model=find_gguf(), threads=1, context=512, slots=1, startup_timeout=60)
)
server.ready.result(60)
"""


def parent(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PARENT + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def test_it_dies_with_a_parent_that_is_killed() -> None:
    with parent("print(server.pid, flush=True); time.sleep(100)") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert psutil.pid_exists(pid)
        process.kill()
    assert eventually(lambda: gone(pid))


def test_it_dies_with_a_killed_parent_though_another_process_holds_its_pipe() -> None:
    code = """
import subprocess
pipe = server._process.stdin.fileno()
holder = subprocess.Popen(["sleep", "100"], pass_fds=[pipe], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(server.pid, holder.pid, flush=True)
time.sleep(100)
"""
    with parent(code) as process:
        assert process.stdout is not None
        pid, holder = map(int, process.stdout.readline().split())
        process.kill()
    try:
        assert eventually(lambda: gone(pid))
        assert psutil.pid_exists(holder)
    finally:
        os.kill(holder, signal.SIGKILL)


def test_a_parent_that_never_closes_it_exits_cleanly_and_takes_it_along() -> None:
    with parent("print(server.pid)") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert eventually(lambda: gone(int(out)))


def test_a_forks_child_leaves_the_parents_server_alone_and_starts_its_own() -> None:
    code = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on, for forking with threads: what is tested here
child = os.fork()
if child == 0:
    assert not server.alive
    leases.release(server)
    own = leases.acquire(server.settings)
    own.ready.result(60)
    print(own.pid, flush=True)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert server.alive and server._process.poll() is None
print(server.pid)
"""
    with parent(code) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    own, parents = map(int, out.split())
    assert own != parents
    assert eventually(lambda: gone(own) and gone(parents))
