"""Whatever a client sends, it is told what is wrong with it, and the server does not fail."""

import asyncio
import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.api.app import create_app
from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import chunks_of
from gatewright.types.requests import EmbedRequest
from gatewright.types.results import Answer, Choice, Embeddings

FIELDS = ["model", "messages", "prompt", "input", "stream", "stream_options", "timeout", "max_retries", "num_retries"]
FIELDS += ["fallbacks", "drop_params", "continue_streams", "session", "tags", "user", "encoding_format", "self", "n"]
FIELDS += ["response_format", "tools", "tenant_id", "key_id", "texts", "api_base", "dimensions", "x"]

scalars = st.none() | st.booleans() | st.integers(-10, 10) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars | st.text(max_size=5) | st.just("m"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "type"]), inner),
    max_leaves=6,
)
messages = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "tool"]), "content": values}), max_size=2)
bodies = values | st.dictionaries(st.sampled_from(FIELDS), values | messages, max_size=6)
good = st.fixed_dictionaries({"model": st.just("m"), "messages": messages, "prompt": values, "input": values})


class Yes:
    """A provider that answers anything."""

    async def __call__(self, call: Call, /) -> Reply:
        if isinstance(call.request, EmbedRequest):
            vectors = [[1.0]] * len(call.request.inputs)
            return Reply.whole(Embeddings(vectors=vectors, model="m", provider="yes"))
        return Reply.whole(Answer(choices=[Choice(text="yes")], model="m", provider="yes"), chunks_of)

    async def aclose(self) -> None:
        pass


async def post(app: Any, path: str, body: bytes) -> tuple[int, bytes]:
    sent: list[dict[str, Any]] = []
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return parts.pop() if parts else await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "root_path": "", "headers": [], "query_string": b""}
    await app({**scope, "server": ("127.0.0.1", 80)}, receive, send)
    return sent[0]["status"], b"".join(message["body"] for message in sent[1:])


async def answer(path: str, body: bytes) -> tuple[int, bytes]:
    entries = [{"model_name": "m", "litellm_params": {"model": "yes/m"}}]
    async with LiteLLMGateway(GatewayConfig(model_list=entries), providers={"yes": lambda _: Yes()}) as gateway:
        return await post(create_app(gateway), path, body)


@given(st.sampled_from(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]), bodies | good)
def test_any_json(path: str, body: Any) -> None:
    status, said = asyncio.run(answer(path, json.dumps(body).encode()))
    assert status in (200, 400, 404), said
    if status != 200:
        assert msgspec.json.decode(said)["error"]["message"]


@given(st.binary(max_size=30))
def test_any_bytes(body: bytes) -> None:
    status, said = asyncio.run(answer("/v1/chat/completions", body))
    assert status == 400
    assert b'"error"' in said
