"""Plain functions over a gateway, for the common cases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, cast, overload

from gatewright.errors import BadRequest, GatewayError
from gatewright.gateway.gateway import LiteLLMGateway
from gatewright.gateway.progress import progress_bar
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
    max_concurrent: int = 8,
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
    max_concurrent: int = 8,
    on_error: Literal["return"],
    progress: bool = True,
    **params: Any,
) -> list[str | GatewayError]: ...
def batch_generate(
    gateway: LiteLLMGateway,
    prompts: Iterable[Prompt],
    model: str | None = None,
    *,
    max_concurrent: int = 8,
    on_error: Literal["raise", "return"] = "raise",
    progress: bool = True,
    **params: Any,
) -> Any:
    """Give the texts that answer `prompts`, in their order, with at most `max_concurrent` calls under way.

    `prompts` are texts or lists of messages, in a list or any other iterable, which is read to its end first.
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
    max_concurrent: int = 8,
    on_error: Literal["raise", "return"] = "raise",
    progress: bool = True,
    **params: Any,
) -> Any:
    """Do what `batch_generate` does, awaited."""
    _check(max_concurrent, on_error)
    listed = _listed(prompts)
    results: list[str | GatewayError] = [""] * len(listed)
    left = iter(enumerate(listed))

    async def work(advance: Callable[[], None]) -> None:
        for place, prompt in left:
            try:
                results[place] = (await gateway.generate_async(prompt, model=model, **params)).text
            except GatewayError as error:
                results[place] = error
            advance()

    with progress_bar(len(listed), shown=progress) as advance:
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(max_concurrent, len(listed))):
                workers.create_task(work(advance))
    failed = [place for place, result in enumerate(results) if isinstance(result, GatewayError)]
    if failed and on_error == "raise":
        raise _first_failure(results, failed)
    return results


def _first_failure(results: list[str | GatewayError], failed: list[int]) -> GatewayError:
    error = results[failed[0]]
    assert isinstance(error, GatewayError)
    error.results = results
    error.add_note(f"prompts[{failed[0]}] is the first of {len(failed)} that failed; .results has all {len(results)}")
    return error


def _listed(prompts: Any) -> list[Any]:
    if isinstance(prompts, str | bytes | Mapping) or not isinstance(prompts, Iterable):
        kind = type(cast(object, prompts)).__name__
        raise BadRequest(f"prompts: expected a list of texts, got {kind}", param="prompts")
    return list(cast("Iterable[Any]", prompts))


def _check(max_concurrent: Any, on_error: str) -> None:
    if isinstance(max_concurrent, bool) or not isinstance(max_concurrent, int) or max_concurrent < 1:
        raise BadRequest(f"max_concurrent: expected 1 or more, got {max_concurrent!r}", param="max_concurrent")
    if on_error not in ("raise", "return"):
        raise BadRequest(f'on_error: expected "raise" or "return", got {on_error!r}', param="on_error")
