"""Plain functions over a gateway, for the common cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast, overload

from gatewright.errors import BadRequest, GatewayError
from gatewright.gateway.batch import Batch
from gatewright.gateway.gateway import LiteLLMGateway
from gatewright.gateway.streams import GenerateStream
from gatewright.types.requests import Message

__all__ = [
    "batch_generate",
    "batch_generate_async",
    "generate_embeddings",
    "generate_embeddings_async",
    "generate_text",
    "generate_text_async",
    "stream_text",
]

Vectors = list[list[float]]
Prompt = str | Sequence[Message]


def generate_text(gateway: LiteLLMGateway, prompt: str, model: str | None = None, **params: Any) -> str:
    """Give the answer's text."""
    return gateway.generate(prompt, model=model, **params).text


async def generate_text_async(gateway: LiteLLMGateway, prompt: str, model: str | None = None, **params: Any) -> str:
    """Give the answer's text."""
    return (await gateway.generate_async(prompt, model=model, **params)).text


def stream_text(gateway: LiteLLMGateway, prompt: str, model: str | None = None, **params: Any) -> GenerateStream:
    """Give the answer's text as it comes, for `for` or `async for`."""
    return gateway.generate_stream(prompt, model=model, **params)


def generate_embeddings(
    gateway: LiteLLMGateway, texts: str | Sequence[str], model: str | None = None, **params: Any
) -> Vectors:
    """Give one vector of length 1 for each text."""
    return [list(vector) for vector in gateway.embed(texts, model=model, **params).embeddings]


async def generate_embeddings_async(
    gateway: LiteLLMGateway, texts: str | Sequence[str], model: str | None = None, **params: Any
) -> Vectors:
    """Give one vector of length 1 for each text."""
    return [list(vector) for vector in (await gateway.embed_async(texts, model=model, **params)).embeddings]


@overload
def batch_generate(
    gateway: LiteLLMGateway,
    prompts: Iterable[Prompt],
    model: str | None = None,
    *,
    max_concurrent: int | None = None,
    on_error: Literal["raise"] = "raise",
    progress: bool = True,
    **params: Any,
) -> list[str]: ...
@overload
def batch_generate(
    gateway: LiteLLMGateway,
    prompts: Iterable[Prompt],
    model: str | None = None,
    *,
    max_concurrent: int | None = None,
    on_error: Literal["return"],
    progress: bool = True,
    **params: Any,
) -> list[str | GatewayError]: ...
def batch_generate(
    gateway: LiteLLMGateway,
    prompts: Iterable[Prompt],
    model: str | None = None,
    *,
    max_concurrent: int | None = None,
    on_error: Literal["raise", "return"] = "raise",
    progress: bool = True,
    **params: Any,
) -> Any:
    """Give the texts that answer `prompts`, in their order.

    `prompts` are texts or lists of messages, in a list or any other iterable, which is read to its end first.
    Identical ones are asked once. At most `max_concurrent` calls are under way: by default as many as the limits on
    calls at once let through, or 8 where there are none. Where a limit has no room, a prompt waits for it as long as
    its `timeout` allows, however short the queue's own is.
    `on_error="return"` puts an error in its prompt's place; `"raise"` raises the first one once all others have been
    answered, with what was answered as its `results`. `progress` shows a bar where stderr is a terminal.
    """
    listed = _listed(prompts)
    return gateway.run_blocking(
        lambda: batch_generate_async(
            gateway, listed, model, max_concurrent=max_concurrent, on_error=on_error, progress=progress, **params
        )
    )


async def batch_generate_async(
    gateway: LiteLLMGateway,
    prompts: Iterable[Prompt],
    model: str | None = None,
    *,
    max_concurrent: int | None = None,
    on_error: Literal["raise", "return"] = "raise",
    progress: bool = True,
    **params: Any,
) -> Any:
    """Do what `batch_generate` does, awaited."""
    _check(max_concurrent, on_error)
    return await Batch(gateway, _listed(prompts), model, params).answered(max_concurrent, on_error, progress=progress)


def _listed(prompts: Any) -> list[Any]:
    if isinstance(prompts, str | bytes | Mapping) or not isinstance(prompts, Iterable):
        kind = type(cast(object, prompts)).__name__
        raise BadRequest(f"prompts: expected a list of texts, got {kind}", param="prompts")
    return list(cast("Iterable[Any]", prompts))


def _check(max_concurrent: Any, on_error: str) -> None:
    if max_concurrent is None:
        pass
    elif isinstance(max_concurrent, bool) or not isinstance(max_concurrent, int) or max_concurrent < 1:
        raise BadRequest(f"max_concurrent: expected 1 or more, got {max_concurrent!r}", param="max_concurrent")
    if on_error not in ("raise", "return"):
        raise BadRequest(f'on_error: expected "raise" or "return", got {on_error!r}', param="on_error")
