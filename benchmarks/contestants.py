"""Who is measured: one object for each way to ask the provider, all with the same payload and the same reading.

`python -m benchmarks.contestants URL NAME...` hosts them in a process of its own: each line on its input is a round to
run (`{"who", "kind", "count", "at_once", "collector"}`), each line of its output what that cost, in µs a call
(`{"cpu", "wall"}`).
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.processes import allow_many_files
from benchmarks.upstream import MODEL

__all__ = ["CONTESTANTS", "KEY", "PROMPT"]

PROMPT = "Explain in two sentences what a gateway to language models does, and why a program would want to have one."
KEY = "sk-none-is-needed-here"
PARAMS: dict[str, Any] = {"temperature": 0.7, "max_tokens": 100}
_numbers = itertools.count()
_BODY: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], **PARAMS}


def _prompt() -> str:
    """Give a prompt that was not asked for before: identical calls would be merged, and not reach the provider."""
    return f"{next(_numbers)} {PROMPT}"


class Bare:
    """The HTTP client alone, as a careful user would have it: the gateway's session settings, the fastest JSON."""

    def __init__(self, url: str) -> None:
        import msgspec

        self._url = url + "/chat/completions"
        self._session: Any = None
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
        self._encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder().decode

    def _post(self, body: dict[str, Any]) -> Any:
        session = self._session or self._open()
        return session.post(self._url, data=self._encode(body), headers=self._headers)

    def _open(self) -> Any:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=45.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10.0),
        )
        return self._session

    async def call(self) -> str:
        async with self._post(_BODY) as response:
            body = self._decode(await response.read())
        return body["choices"][0]["message"]["content"]

    async def stream(self) -> str:
        decode, rest, texts = self._decode, b"", list[str]()
        async with self._post({**_BODY, "stream": True, "stream_options": {"include_usage": True}}) as response:
            async for data in response.content.iter_any():
                *events, rest = (rest + data).split(b"\n\n")
                for event in events:
                    if event != b"data: [DONE]" and (choices := decode(event[6:])["choices"]):
                        texts.append(choices[0]["delta"].get("content") or "")
        return "".join(texts)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


class BareJson(Bare):
    """The same with the standard library's JSON, for information."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._encode: Callable[[Any], bytes] = lambda value: json.dumps(value).encode()
        self._decode = json.loads


class Gateway:
    """The gateway's direct lane, with all defaults on."""

    def __init__(self, url: str) -> None:
        import gatewright

        self.model = f"openai/{MODEL}"
        self.gateway = gatewright.create_gateway(
            providers=["openai"], api_keys={"openai": KEY}, base_urls={"openai": url}
        )

    async def call(self) -> str:
        return (await self.gateway.generate_async(_prompt(), model=self.model, **PARAMS)).text

    async def stream(self) -> str:
        return "".join([text async for text in self.gateway.generate_stream(_prompt(), model=self.model, **PARAMS)])

    async def aclose(self) -> None:
        await self.gateway.aclose()


class GatewaySync(Gateway):
    """The same, blocking."""

    def call_blocking(self) -> str:
        return self.gateway.generate(_prompt(), model=self.model, **PARAMS).text


class GatewayLitellm(Gateway):
    """The gateway's litellm lane."""

    def __init__(self, url: str) -> None:
        import gatewright

        self.model = "by-litellm"
        where = {"model": f"openai/{MODEL}", "api_base": url, "api_key": KEY}
        entry = {"model_name": self.model, "lane": "litellm", "litellm_params": where}
        self.gateway = gatewright.LiteLLMGateway(gatewright.GatewayConfig(model_list=[entry]))  # type: ignore[list-item]


class Litellm:
    """litellm itself."""

    def __init__(self, url: str) -> None:
        import litellm

        self._ask: Any = litellm.acompletion
        self._where = {"model": f"openai/{MODEL}", "api_base": url, "api_key": KEY}
        litellm.suppress_debug_info = True

    def _messages(self) -> list[dict[str, str]]:
        return [{"role": "user", "content": PROMPT}]

    async def call(self) -> str:
        response = await self._ask(**self._where, messages=self._messages(), **PARAMS)
        return response.choices[0].message.content

    async def stream(self) -> str:
        parts = await self._ask(
            **self._where, messages=self._messages(), stream=True, stream_options={"include_usage": True}, **PARAMS
        )
        return "".join([part.choices[0].delta.content or "" async for part in parts if part.choices])

    async def aclose(self) -> None:
        """It closes its connections itself."""


CONTESTANTS: dict[str, Callable[[str], Any]] = {
    "bare": Bare,
    "bare-json": BareJson,
    "gateway": Gateway,
    "gateway-sync": GatewaySync,
    "gateway-litellm": GatewayLitellm,
    "litellm": Litellm,
}


async def _round(step: Callable[[], Awaitable[str]], count: int, at_once: int) -> dict[str, float]:
    left = itertools.repeat(None, count)

    async def work() -> None:
        for _ in left:
            await step()

    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    spent = _spent(cpu, wall, count)
    await asyncio.sleep(0.02)  # what was left for later (litellm's log) is nobody's in the next round
    return spent


def _blocking_round(step: Callable[[], str], count: int) -> dict[str, float]:
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        step()
    return _spent(cpu, wall, count)


def _spent(cpu: float, wall: float, count: int) -> dict[str, float]:
    return {"cpu": (time.process_time() - cpu) / count * 1e6, "wall": (time.perf_counter() - wall) / count * 1e6}


def _host(url: str, names: list[str]) -> None:
    allow_many_files()
    contestants = {name: CONTESTANTS[name](url) for name in names}
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            job: dict[str, Any] = json.loads(line)
            contestant = contestants[job["who"]]
            (gc.enable if job["collector"] else gc.disable)()
            if job["kind"] == "blocking":
                spent = _blocking_round(contestant.call_blocking, job["count"])
            else:
                spent = runner.run(_round(getattr(contestant, job["kind"]), job["count"], job["at_once"]))
            print(json.dumps(spent), flush=True)
        for contestant in contestants.values():
            runner.run(contestant.aclose())


if __name__ == "__main__":
    _host(sys.argv[1], sys.argv[2:])
