"""The demo's requests, sent over HTTP as any client would, and what is told of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
from rich.rule import Rule
from rich.text import Text

from gatewright.cli.demo_story import Story
from gatewright.cli.output import printable
from gatewright.errors import ProviderUnavailable

if TYPE_CHECKING:
    from rich.console import Console

    from gatewright.gateway import LiteLLMGateway

__all__ = ["play"]

QUESTION = "Why is the sky blue? Answer in one sentence."
RHYME = "Write two sentences about a lighthouse."
TEXTS = ("The cat sleeps on the sofa.", "A kitten is napping on the couch.", "The stock market fell sharply today.")
ROUNDS = 5


async def play(gateway: LiteLLMGateway, url: str, screen: Console) -> None:
    """Send the demo's requests, one after the other, and tell what happened."""
    story = Story()
    end = gateway.subscribe(story.note)
    try:
        async with aiohttp.ClientSession(base_url=url) as session:
            scenes = _Scenes(session, story, screen)
            await scenes.whole()
            await scenes.streamed()
            await scenes.embeddings()
            await scenes.falls_back()
            await scenes.unsteady()
    finally:
        end()


class _Scenes:
    def __init__(self, session: aiohttp.ClientSession, story: Story, screen: Console) -> None:
        self._session = session
        self._story = story
        self._screen = screen
        self._number = 0

    async def whole(self) -> None:
        self._title("A question, answered whole")
        body = _chat("smollm2", QUESTION, max_tokens=40)
        self._asks("/v1/chat/completions", body, QUESTION)
        answer, headers, seconds = await self._post("/v1/chat/completions", body)
        self._says(answer["choices"][0]["message"]["content"])
        self._ends(answer["model"], headers, answer["usage"], seconds)

    async def streamed(self) -> None:
        self._title("A question, answered as it is written")
        body = _chat("smollm2", RHYME, max_tokens=60, stream=True, stream_options={"include_usage": True})
        self._asks("/v1/chat/completions", body, RHYME)
        usage: dict[str, int] = {}
        started, first, model = time.monotonic(), 0.0, ""
        sys.stdout.write("  ")
        async with self._session.post("/v1/chat/completions", json=body) as response:
            await _checked(response)
            async for chunk in _events(response):
                model, usage = chunk.get("model") or model, chunk.get("usage") or usage
                text = "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
                if text:
                    first = first or time.monotonic() - started
                    sys.stdout.write(printable(text).replace("\n", "\n  "))
                    sys.stdout.flush()
            headers = response.headers
        sys.stdout.write("\n")
        self._ends(model, headers, usage, time.monotonic() - started, f"first words after {first:.2f} s")

    async def embeddings(self) -> None:
        self._title("Texts, and how near they are to each other")
        body = {"model": "minilm", "input": list(TEXTS)}
        self._asks("/v1/embeddings", body, None)
        answer, headers, seconds = await self._post("/v1/embeddings", body)
        vectors = [one["embedding"] for one in answer["data"]]
        for text, vector in zip(TEXTS, vectors, strict=True):
            near = sum(a * b for a, b in zip(vectors[0], vector, strict=True))
            self._screen.print(Text.assemble("  ", (f"{near:5.2f} ", "bold"), text))
        self._ends(answer["model"], headers, answer["usage"], seconds, f"{len(vectors[0])} dimensions")

    async def falls_back(self) -> None:
        self._title("A provider that is down: tried again, then another model answers")
        body = _chat("unsteady", QUESTION, max_tokens=40)
        self._asks("/v1/chat/completions", body, QUESTION)
        answer, headers, seconds = await self._post("/v1/chat/completions", body)
        self._story.tell(self._screen)
        self._says(answer["choices"][0]["message"]["content"])
        self._ends(answer["model"], headers, answer["usage"], seconds)
        if headers["x-gatewright-provider"] != "local":
            raise ProviderUnavailable("the demo's fallback did not happen")

    async def unsteady(self) -> None:
        self._title(f"The same provider, up again but unsteady, {ROUNDS} times")
        body = _chat("unsteady", "Are you there?", max_tokens=20)
        self._asks("/v1/chat/completions", body, "Are you there?")
        for _ in range(ROUNDS):
            answer, headers, seconds = await self._post("/v1/chat/completions", body)
            self._story.tell(self._screen, failures_only=True)
            self._ends(answer["model"], headers, answer["usage"], seconds)

    async def _post(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], Mapping[str, str], float]:
        self._story.clear()
        started = time.monotonic()
        async with self._session.post(path, json=body) as response:
            await _checked(response)
            return await response.json(), response.headers, time.monotonic() - started

    def _title(self, title: str) -> None:
        self._number += 1
        self._story.clear()
        self._screen.print()
        self._screen.print(Rule(f"[bold]{self._number}. {title}[/]", align="left", style="cyan"), soft_wrap=False)

    def _asks(self, path: str, body: dict[str, Any], prompt: str | None) -> None:
        how = ", streamed" if body.get("stream") else ""
        self._screen.print(Text(f"POST {path}  model: {body['model']}{how}", style="dim"))
        if prompt is not None:
            self._screen.print(Text.assemble(("> ", "cyan"), prompt))

    def _says(self, text: str) -> None:
        self._screen.print(Text(printable("  " + text.strip().replace("\n", "\n  "))))

    def _ends(
        self, model: str, headers: Mapping[str, str], usage: Mapping[str, int], seconds: float, more: str = ""
    ) -> None:
        attempts = int(headers["x-gatewright-attempts"])
        cost = headers.get("x-gatewright-cost-usd")
        tokens = [str(usage[name]) for name in ("prompt_tokens", "completion_tokens") if name in usage]
        parts = [
            f"{headers['x-gatewright-provider']} answered as {model}",
            f"{attempts} attempt{'s' if attempts != 1 else ''}",
            f"{' + '.join(tokens)} tokens",
            f"${cost}" if cost is not None else "",
            f"{seconds:.2f} s",
            more,
        ]
        self._screen.print(Text.assemble(("✓ ", "green"), (" · ".join(part for part in parts if part), "dim")))


def _chat(model: str, prompt: str, **params: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "temperature": 0, **params}


async def _checked(response: aiohttp.ClientResponse) -> None:
    if response.status != 200:
        message = (await response.text())[:300]
        raise ProviderUnavailable(f"the demo's gateway answered {response.status}: {message}")


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """Give the JSON of each server-sent event; this server writes each in one line."""
    async for line in response.content:
        data = line.decode().strip().removeprefix("data: ")
        if data.startswith("{"):
            event = json.loads(data)
            if "error" in event:
                raise ProviderUnavailable(f"the stream failed: {event['error'].get('message')}")
            yield event
