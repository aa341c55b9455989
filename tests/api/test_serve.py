"""Serving: addresses, processes and their end."""

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.api.app import create_app
from gatewright.api.listening import listen, url_of
from gatewright.api.serve import Server, running, serve
from gatewright.errors import ConfigurationError, GatewayClosed

SERVER = """
    import os
    from gatewright import GatewayConfig, LiteLLMGateway
    from gatewright.api.serve import serve
    entry = {{"model_name": "slow", "litellm_params": {{"model": "simulator/slow", "latency": 60}}}}
    pid = {{"model_name": "pid", "litellm_params": {{"model": "simulator/pid", "text": "x"}}}}
    gateway = LiteLLMGateway(GatewayConfig(model_list=[entry, pid], close_timeout=0.2))
    serve(gateway, port=0, announce=lambda url: print(url, flush=True), workers={workers})
    print("ended", flush=True)
"""


@contextmanager
def process(workers: int = 1) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", textwrap.dedent(SERVER.format(workers=workers))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            url = child.stdout.readline().strip()
            wait_for(url)
            yield child, url
        finally:
            child.kill()


def wait_for(url: str) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"{url}/health/readiness", timeout=5) as answer:
                assert json.load(answer) == {"status": "ready"}
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server did not come up")


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(sig: signal.Signals) -> None:
    with process() as (child, _):
        child.send_signal(sig)
        output, errors = child.communicate(timeout=20)
        assert (child.returncode, output, errors) == (0, "ended\n", "")


def test_a_call_under_way_is_told_and_does_not_hold_it_up() -> None:
    with process() as (child, url):
        host, port = url.removeprefix("http://").split(":")
        body = json.dumps({"model": "slow", "messages": [{"role": "user", "content": "x"}]}).encode()
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            time.sleep(0.3)
            child.terminate()
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        output, errors = child.communicate(timeout=20)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"gateway_closed"' in answer
    assert (child.returncode, output, errors) == (0, "ended\n", "")


def children_of(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in listed.stdout.split()]


def test_several_workers_serve_one_address() -> None:
    with process(workers=2) as (child, url):
        first = children_of(child.pid)
        assert len(first) == 2
        os.kill(first[0], signal.SIGKILL)
        for _ in range(100):
            now = children_of(child.pid)
            if len(now) == 2 and first[0] not in now:
                break
            time.sleep(0.1)
        assert len(now) == 2
        wait_for(url)
        child.terminate()
        output, errors = child.communicate(timeout=20)
    assert (child.returncode, output) == (0, "ended\n")
    assert "replaced" in errors
    assert children_of(child.pid) == []


def test_workers_end_with_their_parent() -> None:
    with process(workers=2) as (child, _):
        workers = children_of(child.pid)
        child.kill()
        child.communicate(timeout=20)
        for _ in range(100):
            if not any(alive(worker) for worker in workers):
                break
            time.sleep(0.1)
        assert not any(alive(worker) for worker in workers)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gateway(**settings: object) -> LiteLLMGateway:
    return LiteLLMGateway(GatewayConfig(providers=["simulator"], **settings))


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_nothing_is_served_to_others_without_a_key(host: str) -> None:
    with pytest.raises(ConfigurationError, match="master_key"):
        serve(gateway(), host, 0)


@pytest.mark.parametrize(
    ("settings", "param"), [({"host": "no host"}, "host"), ({"port": 70_000}, "port"), ({"workers": 0}, "workers")]
)
def test_what_cannot_be_served_is_named(settings: dict, param: str) -> None:
    arguments = {"port": 0, "allow_open": True, **settings}
    with pytest.raises(ConfigurationError) as caught:
        serve(gateway(), announce=lambda _: pytest.fail("nothing is served"), **arguments)
    assert caught.value.param == param


def test_a_port_that_is_taken() -> None:
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(ConfigurationError) as caught:
            serve(gateway(), port=taken.getsockname()[1])
    assert caught.value.param == "port"


def test_a_body_of_nothing_makes_no_server() -> None:
    with pytest.raises(ConfigurationError, match="max_body_bytes"):
        create_app(gateway(), max_body_bytes=0)


def test_addresses_as_one_would_reach_them() -> None:
    with listen("0.0.0.0", 0) as everywhere:
        assert url_of(everywhere) == f"http://127.0.0.1:{everywhere.getsockname()[1]}"
    with listen("localhost", 0) as here:
        assert url_of(here).startswith("http://")


async def test_running_closes_the_gateway_and_frees_nothing_for_good() -> None:
    frozen = gc.get_freeze_count()
    made = gateway()
    async with running(made) as url:
        assert await asyncio.to_thread(wait_for, url) is None
    with pytest.raises(GatewayClosed):
        await made.generate_async("x", "simulator/small")
    assert gc.get_freeze_count() == frozen


async def test_running_leaves_the_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with running(gateway()):
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_a_closed_gateway_is_not_served() -> None:
    made = gateway()
    await made.aclose()
    with pytest.raises(GatewayClosed):
        async with running(made):
            pytest.fail("it is closed")


async def test_a_server_that_cannot_start_says_so_and_does_not_end_the_process() -> None:
    made = gateway()
    with listen("127.0.0.1", 0) as listening:
        server = Server(made, freeze=False)
        await made.aclose()
        with pytest.raises(ConfigurationError, match="did not start"):
            await server.serve([listening])


async def test_a_gateway_whose_home_is_elsewhere_is_served_too() -> None:
    made = gateway()
    await asyncio.to_thread(made.generate, "x", "simulator/small")
    body = {"model": "simulator/small", "messages": [{"role": "user", "content": "x"}]}
    async with running(made) as url, aiohttp.ClientSession(url) as http:
        async with http.post("/v1/chat/completions", json=body) as answer:
            assert (await answer.json())["choices"][0]["message"]["content"].startswith("You said: x")
        async with http.post("/v1/chat/completions", json={**body, "stream": True}) as answer:
            assert answer.headers["x-gatewright-model-id"] == ""
            assert (await answer.text()).endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(("missing", "module"), [("starlette", "app"), ("uvicorn", "serve")])
def test_without_the_extra_it_is_said_what_to_install(missing: str, module: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import gatewright.api.{module}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert 'pip install "gatewright[server]"' in ended.stderr.splitlines()[-1]
