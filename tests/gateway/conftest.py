"""A provider whose calls wait until the test lets them go, a real upstream in a thread of its own, and gateways."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import AnswerFold, chunks_of
from gatewright.types.requests import EmbedRequest
from gatewright.types.results import Answer, Choice, Chunk, Embeddings


class Patient:
    """A provider whose calls wait for `release`; it counts what it sees, on whichever loop that is."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.started = 0
        self.ended = 0
        self.cancelled = 0
        self.under_way = 0
        self.most = 0
        self.loops: set[int] = set()
        self.chunks = 3
        self.first_chunk_waits = False
        self.given = 0
        """Chunks given by streams."""

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        self.started += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.loops.add(id(asyncio.get_running_loop()))
        try:
            if call.stream:
                return await Reply.begin(self._stream(), AnswerFold(provider="own", model="m"))
            while not self.release.is_set():
                await asyncio.sleep(0.002)
            if isinstance(call.request, EmbedRequest):
                vectors = [[float(len(text)), 1.0] for text in call.request.inputs]
                return Reply[Any, Any].whole(Embeddings(vectors=vectors, model="m", provider="own"))
            text = call.generation.messages[-1]["content"]
            return Reply.whole(Answer(choices=[Choice(text=text)], model="m", provider="own"), chunks_of)
        except asyncio.CancelledError:
            self.cancelled += not call.stream
            raise
        finally:
            self.under_way -= 1
            self.ended += 1

    async def _stream(self) -> AsyncGenerator[list[Chunk], None]:
        """Give the first chunk at once, the others when released."""
        ended = False
        try:
            for place in range(self.chunks):
                while (place or self.first_chunk_waits) and not self.release.is_set():
                    await asyncio.sleep(0.002)
                self.given += 1
                yield [Chunk(text=f"{place} ")]
                await asyncio.sleep(0)
            yield [Chunk(finish_reason="stop")]
            ended = True
        finally:
            self.cancelled += not ended

    async def aclose(self) -> None: ...


class Upstream:
    """Speaks the OpenAI format over real sockets, in a thread of its own.

    The last message says what it does: `hang` never answers, `endless` streams for ever, a number streams so many
    chunks, anything else is echoed. `connections` are open now; `cut` counts requests whose client went away.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.connections = 0
        self.accepted = 0
        self.cut = 0
        self.batches: list[int] = []
        self.encoding: str | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()

    def __enter__(self) -> Upstream:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def _run(self) -> None:
        async def start() -> asyncio.Server:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self._port = server.sockets[0].getsockname()[1]
            return server

        server = self._loop.run_until_complete(start())
        # Not before: who stops it while it starts stops that only.
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks))
        self._loop.run_until_complete(asyncio.sleep(0.001))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.accepted += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                self.requests.append(body)
                try:
                    await self._answer(body, reader, writer)
                except ConnectionError:
                    self.cut += 1
                    raise
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.connections -= 1
            writer.transport.abort()

    async def _answer(self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if "input" in body:
            await self._embed(body, writer)
            return
        said = body["messages"][-1]["content"]
        if said == "hang":
            await self._gone(reader)
        elif body.get("stream"):
            await self._events(said, reader, writer)
        else:
            await _json(writer, _whole(said))

    async def _gone(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        raise ConnectionError

    async def _events(self, said: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        count = {"endless": 10**9}.get(said) or int(said)
        gone = asyncio.ensure_future(self._gone(reader))
        try:
            for place in range(count):
                await _event(writer, {"choices": [{"index": 0, "delta": {"content": f"{place} "}}]})
                await asyncio.sleep(0.001 if said == "endless" else 0)
                if gone.done():
                    gone.result()
            usage = {"prompt_tokens": 3, "completion_tokens": count, "total_tokens": 3 + count}
            await _event(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})
            writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        finally:
            gone.cancel()
            await asyncio.wait([gone])

    async def _embed(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        import base64
        import struct

        inputs = body["input"]
        self.batches.append(len(inputs))
        data: list[Any] = []
        for index, text in enumerate(inputs):
            vector: Any = [3.0 * len(text), 4.0]
            if body.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack("<2f", *vector)).decode()
            data.append({"index": index, "embedding": vector})
        self.encoding = body.get("encoding_format")
        usage = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
        await _json(writer, {"model": "e", "data": data, "usage": usage})


def _whole(said: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "model": "m-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


async def _json(writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


async def _event(writer: asyncio.StreamWriter, event: dict[str, Any]) -> None:
    data = b"data: " + json.dumps(event).encode() + b"\n\n"
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
    await writer.drain()


def _until(met: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


async def _until_async(met: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.002)


@pytest.fixture
def until() -> Callable[..., None]:
    return _until


@pytest.fixture
def until_async() -> Callable[..., Any]:
    return _until_async


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as served:
        yield served


@pytest.fixture
def patient() -> Patient:
    return Patient()


@pytest.fixture
def gateway_of() -> Callable[..., LiteLLMGateway]:
    """Make a gateway whose only model is `m`, answered by the given provider or upstream."""

    def make(answers: Any, **settings: Any) -> LiteLLMGateway:
        own = not isinstance(answers, Upstream)
        params: dict[str, Any] = {"model": "own/m"}
        if not own:
            params = {"model": "openai/m", "api_base": answers.url, "api_key": "sk-test-0123456789abcdef"}
        params |= settings.pop("params", {})
        config = GatewayConfig(
            model_list=[{"model_name": "m", "litellm_params": params}],  # type: ignore[list-item]
            **{"default_model": "m", "max_retries": 0, "close_timeout": 0.2, **settings},
        )
        return LiteLLMGateway(config, providers={"own": lambda _: answers} if own else None)

    return make


@pytest.fixture
def threads_left() -> Iterator[None]:
    """Fail where the test leaves one of the gateway's threads behind."""
    before = set(threading.enumerate())
    yield
    gc.collect()

    def mine() -> bool:
        return not [one for one in set(threading.enumerate()) - before if one.name == "gatewright-home"]

    _until(mine)
