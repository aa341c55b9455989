"""The plain functions over a gateway."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gatewright import (
    batch_generate,
    batch_generate_async,
    create_gateway,
    generate_embeddings,
    generate_embeddings_async,
    generate_text,
    generate_text_async,
    stream_text,
)
from gatewright.errors import AuthenticationFailed, BadRequest, BlockingCallRefused, GatewayError
from gatewright.testing import ScriptedProvider

pytestmark = pytest.mark.usefixtures("threads_left")


def test_text_blocking_and_awaited(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream) as gateway:
        assert generate_text(gateway, "a") == "a"
        assert generate_text(gateway, [{"role": "user", "content": "b"}], model="m", temperature=0) == "b"
        assert asyncio.run(generate_text_async(gateway, "c")) == "c"
        assert list(stream_text(gateway, "2")) == ["0 ", "1 "]
    assert upstream.requests[1]["temperature"] == 0


async def test_stream_text_awaited(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream) as gateway:
        assert [text async for text in stream_text(gateway, "2")] == ["0 ", "1 "]


def test_embeddings_blocking_and_awaited(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream) as gateway:
        assert generate_embeddings(gateway, ["a"]) == [pytest.approx([0.6, 0.8])]
        assert asyncio.run(generate_embeddings_async(gateway, ["a", "a"])) == [pytest.approx([0.6, 0.8])] * 2
        assert generate_embeddings(gateway, []) == []


def test_a_batch_keeps_the_order_and_its_bound(gateway_of: Any, patient: Any, until: Any) -> None:
    prompts = [f"p{n}" for n in range(25)]
    with gateway_of(patient) as gateway:
        opener = threading.Thread(target=lambda: (until(lambda: patient.under_way == 4), patient.release.set()))
        opener.start()
        assert batch_generate(gateway, prompts, max_concurrent=4) == prompts
        opener.join()
    assert patient.most == 4
    assert patient.started == 25


async def test_a_batch_awaited_keeps_the_order_and_its_bound(gateway_of: Any, patient: Any, until_async: Any) -> None:
    async with gateway_of(patient) as gateway:
        work = asyncio.create_task(batch_generate_async(gateway, ["a", "b", "c"], max_concurrent=2))
        await until_async(lambda: patient.under_way == 2)
        await asyncio.sleep(0.01)
        patient.release.set()
        assert await work == ["a", "b", "c"]
    assert patient.most == 2


def test_a_batch_takes_messages_generators_and_nothing(gateway_of: Any, upstream: Any) -> None:
    def prompts() -> Iterator[Any]:
        yield "a"
        yield [{"role": "user", "content": "b"}]

    with gateway_of(upstream) as gateway:
        assert batch_generate(gateway, prompts()) == ["a", "b"]
        assert batch_generate(gateway, ()) == []
        assert asyncio.run(batch_generate_async(gateway, [])) == []


def test_one_bad_prompt_does_not_lose_the_others(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream) as gateway:
        results = batch_generate(gateway, ["a", 5, "c"], on_error="return")  # type: ignore[list-item]
        assert (results[0], results[2]) == ("a", "c")
        assert isinstance(results[1], BadRequest)
        with pytest.raises(BadRequest) as raised:
            batch_generate(gateway, ["a", 5, "c", 6])  # type: ignore[list-item]
    assert raised.value.results is not None
    assert [type(one) for one in raised.value.results] == [str, BadRequest, str, BadRequest]
    assert raised.value.__notes__ == ["prompts[1] is the first of 2 that failed; .results has all 4"]


async def test_a_provider_s_error_in_a_batch(gateway_of: Any) -> None:
    async with gateway_of(ScriptedProvider(["a", AuthenticationFailed("no"), "c"])) as gateway:
        results = await batch_generate_async(gateway, ["x", "y", "z"], max_concurrent=1, on_error="return")
    assert results[::2] == ["a", "c"]
    assert isinstance(results[1], GatewayError)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"prompts": "a text"}, "prompts"),
        ({"prompts": 5}, "prompts"),
        ({"prompts": None}, "prompts"),
        ({"prompts": {"a": 1}}, "prompts"),
        ({"prompts": ["a"], "max_concurrent": 0}, "max_concurrent"),
        ({"prompts": ["a"], "max_concurrent": True}, "max_concurrent"),
        ({"prompts": ["a"], "max_concurrent": 1.5}, "max_concurrent"),
        ({"prompts": ["a"], "on_error": "ignore"}, "on_error"),
    ],
)
def test_wrong_input_to_a_batch(gateway_of: Any, given: dict[str, Any], field: str) -> None:
    with gateway_of(ScriptedProvider([])) as gateway, pytest.raises(BadRequest, match=field) as raised:
        batch_generate(gateway, **given)
    assert raised.value.param == field


async def test_a_blocking_batch_on_the_home_loop_is_refused(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream) as gateway:
        for blocking in (
            lambda: batch_generate(gateway, ["a"]),
            lambda: generate_text(gateway, "a"),
            lambda: generate_embeddings(gateway, "a"),
        ):
            with pytest.raises(BlockingCallRefused):
                blocking()


async def test_cancelling_a_batch_cancels_its_calls(gateway_of: Any, patient: Any, until_async: Any) -> None:
    async with gateway_of(patient) as gateway:
        work = asyncio.create_task(batch_generate_async(gateway, list("abcdefghi"), max_concurrent=3))
        await until_async(lambda: patient.under_way == 3)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert (patient.started, patient.cancelled) == (3, 3)


PROGRAM = """
from gatewright import batch_generate, create_gateway
gateway = create_gateway(["simulator"], "simulator/m", simulator={"text": "ok", "latency": 0.05})
print(batch_generate(gateway, ["a"] * 4, max_concurrent=1, progress=PROGRESS))
"""


def _on_a_terminal(program: str) -> tuple[str, str]:
    """Run a program whose stderr is a terminal; give its stdout and what the terminal got."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=theirs, env=environ)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # the terminal's other side is closed
        pass
    os.close(ours)
    assert run.stdout is not None
    with run.stdout:
        said = run.stdout.read().decode()
    assert run.wait(60) == 0
    return said, shown.decode()


def test_a_bar_on_a_terminal_on_stderr() -> None:
    said, shown = _on_a_terminal(PROGRAM.replace("PROGRESS", "True"))
    assert said == "['ok', 'ok', 'ok', 'ok']\n"
    assert "prompts" in shown
    assert "/4" in shown


def test_no_bar_where_it_is_not_wanted() -> None:
    assert _on_a_terminal(PROGRAM.replace("PROGRESS", "False")) == ("['ok', 'ok', 'ok', 'ok']\n", "")


def test_no_bar_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    with create_gateway(["simulator"], "simulator/m", simulator={"text": "ok"}) as gateway:
        assert batch_generate(gateway, ["a"], progress=True) == ["ok"]
    assert capfd.readouterr() == ("", "")
