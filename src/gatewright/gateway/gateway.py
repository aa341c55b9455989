"""The gateway: one object for every model, from any thread, any loop, blocking or not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Self, TypeVar

from pydantic import BaseModel

from gatewright.clock import MONOTONIC
from gatewright.configuration.config import GatewayConfig
from gatewright.gateway.assembly import Assembly
from gatewright.gateway.controls import FlowControls
from gatewright.gateway.feedback import FeedbackMethods, GatewayFeedback
from gatewright.gateway.guard_controls import GuardControls
from gatewright.gateway.home import HomeLoop
from gatewright.gateway.reporting import Reporting, ReportMethods
from gatewright.gateway.requests import CallMaker
from gatewright.gateway.responses import embed_response, generate_response
from gatewright.gateway.streams import GenerateStream
from gatewright.gateway.under_way import Reader, UnderWay
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import CallSettled, CallStarted, Event, Events
from gatewright.pipeline.reply import Outcome, Reply
from gatewright.providers.lanes import ProviderFactory
from gatewright.types.deployment import Deployment
from gatewright.types.requests import Message
from gatewright.types.responses import EmbedResponse, GenerateResponse
from gatewright.types.results import Answer, Chunk

__all__ = ["LiteLLMGateway"]

T = TypeVar("T")


class LiteLLMGateway(FlowControls, GuardControls, FeedbackMethods, ReportMethods):
    """Generates, embeds and streams with the models of its configuration; without one, of the environment.

    Safe to use from many threads and many event loops at once. Close it, or use it in `with` or `async with`, to
    end its connections at a time of your choice; the end of the process does it otherwise.
    `providers` are providers of your own: a factory for each provider name that the configuration then uses.
    """

    def __init__(
        self, config: GatewayConfig | None = None, *, providers: Mapping[str, ProviderFactory] | None = None
    ) -> None:
        self.config = config if config is not None else GatewayConfig.from_env()
        self._clock = MONOTONIC
        self._events = Events()
        self._assembly = Assembly(self.config, clock=self._clock, events=self._events, providers=providers)
        self._calls = CallMaker(self.config, self._clock)
        self._under_way = UnderWay(self._assembly)
        self._home = HomeLoop(self._under_way)
        self._feedback = GatewayFeedback(self)
        self._feedback.start()
        self._reporting = Reporting(self._assembly)

    async def generate_async(
        self,
        prompt: str | Sequence[Message] | None = None,
        model: str | None = None,
        messages: Sequence[Message] | None = None,
        tenant_id: str | None = None,
        **params: Any,
    ) -> GenerateResponse:
        """Give the model's answer to `prompt` (a text) or `messages` (the OpenAI form, with media and tools).

        `params` go to the model by their OpenAI names (`temperature`, `tools`, `n` …) or the provider's own. For the
        gateway itself are `timeout` (seconds for the whole call), `max_retries`, `fallbacks`, `drop_params`,
        `session`, `agent_id` and `tags`. A Pydantic class as `response_format` gives `response.parsed`.
        """
        call, parse_as = self._calls.generation(prompt, model, messages, tenant_id, params)
        if self._home.loop is not None and asyncio.get_running_loop() is self._home.loop:
            return await self._generate(call, parse_as)
        return await self._home.run(lambda: self._generate(call, parse_as))

    def generate(
        self,
        prompt: str | Sequence[Message] | None = None,
        model: str | None = None,
        messages: Sequence[Message] | None = None,
        tenant_id: str | None = None,
        **params: Any,
    ) -> GenerateResponse:
        """Do what `generate_async` does, and wait for it; refused on the gateway's own event loop."""
        call, parse_as = self._calls.generation(prompt, model, messages, tenant_id, params)
        return self._home.run_blocking(lambda: self._generate(call, parse_as))

    def generate_stream(
        self,
        prompt: str | Sequence[Message] | None = None,
        model: str | None = None,
        messages: Sequence[Message] | None = None,
        tenant_id: str | None = None,
        **params: Any,
    ) -> GenerateStream:
        """Give the answer as it comes, for `for` or `async for`; the parameters are those of `generate_async`."""
        call, parse_as = self._calls.generation(prompt, model, messages, tenant_id, params, stream=True)
        return self._stream(call, parse_as)

    generate_stream_async = generate_stream

    def complete_stream(
        self, prompt: Any, model: str | None = None, tenant_id: str | None = None, **params: Any
    ) -> GenerateStream:
        """Stream a completion of the legacy kind: the prompt is not a chat but text to be continued, or tokens."""
        return self._stream(self._calls.completion(prompt, model, tenant_id, params, stream=True), None)

    async def complete_async(
        self, prompt: Any, model: str | None = None, tenant_id: str | None = None, **params: Any
    ) -> GenerateResponse:
        """Give a completion of the legacy kind: the prompt is not a chat but text to be continued, or tokens."""
        call = self._calls.completion(prompt, model, tenant_id, params)
        return await self._home.run(lambda: self._generate(call, None))

    async def embed_async(
        self, texts: str | Sequence[str], model: str | None = None, tenant_id: str | None = None, **params: Any
    ) -> EmbedResponse:
        """Give a vector of length 1 for each text, in their order; any number of texts, split as the provider needs."""
        call = self._calls.embedding(texts, model, tenant_id, params)
        return await self._home.run(lambda: self._embed(call))

    def embed(
        self, texts: str | Sequence[str], model: str | None = None, tenant_id: str | None = None, **params: Any
    ) -> EmbedResponse:
        """Do what `embed_async` does, and wait for it; refused on the gateway's own event loop."""
        call = self._calls.embedding(texts, model, tenant_id, params)
        return self._home.run_blocking(lambda: self._embed(call))

    def run_blocking(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run what `work()` awaits on the gateway's home loop, and wait for it; refused on that loop itself."""
        return self._home.run_blocking(work)

    def models(self) -> list[str]:
        """Give the model names that can be asked for; wildcards as they stand."""
        return self._assembly.table.names()

    def deployments(self, model: str) -> list[Deployment]:
        """Give the deployments that answer for `model`; `NotFound` names the nearest model that there is."""
        return [state.deployment for state in self._assembly.table.find(model).states]

    @property
    def closed(self) -> bool:
        """Whether it takes no calls any more."""
        return self._home.closed

    @property
    def at_home(self) -> bool:
        """Whether it has an event loop that runs."""
        loop = self._home.loop
        return loop is not None and loop.is_running()

    def subscribe(self, subscriber: Callable[[Event], None]) -> Callable[[], None]:
        """Have `subscriber(event)` called for whatever happens, on the home loop; call what is returned to end it."""
        return self._events.subscribe(subscriber)

    async def _generate(self, call: Call, parse_as: type[BaseModel] | None) -> GenerateResponse:
        reply, answer = await self._answer(call)
        return generate_response(call, parse_as, reply, answer, self._clock.now())

    async def _embed(self, call: Call) -> EmbedResponse:
        if not call.embedding.inputs:
            return EmbedResponse(embeddings=[], model=call.request.model, provider="", request_id=call.id, attempts=0)
        reply, vectors = await self._answer(call)
        return embed_response(call, reply, vectors, self._clock.now())

    async def _answer(self, call: Call) -> tuple[Reply[Any, Any], Any]:
        """Have a call answered, whole."""
        reply = await self._begin(call)
        if not reply.is_whole:
            self._tell_when_settled(call, reply)
            return reply, await self._read(call, reply)
        try:
            return reply, await reply.value()
        finally:
            if self._events.hears_ends and reply.outcome is not None:
                self._settled(call, reply.outcome)

    async def _read(self, call: Call, reply: Reply[Any, Any]) -> Any:
        under_way = self._under_way
        task = under_way.enter()
        try:
            async with reply:
                return await reply.value()
        except BaseException as error:
            why = under_way.why_left(task, error, call.id)
            if why is error:
                raise
            raise why from None
        finally:
            under_way.leave(task)

    async def _begin(self, call: Call) -> Reply[Any, Any]:
        """Have a call answered up to the beginning of its reply, and tell of it."""
        self._home.check_here(call.id)
        if self._events.hears_starts:
            self._events.emit(CallStarted(call_id=call.id, call=call))
        under_way = self._under_way
        task = under_way.enter()
        try:
            return await self._assembly.handle(call)
        except BaseException as error:
            why = under_way.why_left(task, error, call.id)
            if self._events.hears_ends:
                failed = isinstance(why, Exception)
                self._settled(call, Outcome("failed", None, why) if failed else Outcome("abandoned", None))
            if why is error:
                raise
            raise why from None
        finally:
            under_way.leave(task)

    def _tell_when_settled(self, call: Call, reply: Reply[Any, Any]) -> None:
        if self._events.hears_ends:
            reply.when_settled(lambda outcome: self._settled(call, outcome))

    def _settled(self, call: Call, outcome: Outcome[Any]) -> None:
        seconds = self._clock.now() - call.started_at
        self._events.emit(CallSettled(call_id=call.id, call=call, outcome=outcome, seconds=seconds))

    def _stream(self, call: Call, parse_as: type[BaseModel] | None) -> GenerateStream:
        read_from = call

        async def open_(reader: Reader) -> Reply[Chunk, Answer]:
            # The deadline starts with the first read, not when the stream was made.
            nonlocal read_from
            now = self._clock.now()
            deadline = None if call.deadline is None else now + call.deadline - call.started_at
            read_from = call.replace(started_at=now, deadline=deadline)
            reply = await self._begin(read_from)
            self._tell_when_settled(read_from, reply)
            self._under_way.stream(reply, reader)
            return reply

        def respond(reply: Reply[Chunk, Answer]) -> GenerateResponse:
            assert reply.outcome is not None
            return generate_response(read_from, parse_as, reply, reply.outcome.value, self._clock.now())

        return GenerateStream(self._home, open_, respond, call.id)

    async def aclose(self) -> None:
        """Let calls under way end within `close_timeout` seconds, cut off the others, close all connections."""
        closer = asyncio.current_task()
        await asyncio.to_thread(self._feedback.close)
        await self._home.aclose(lambda: self._under_way.finish(self.config.close_timeout, closer))
        await self._assembly.recording.aclose()
        self._reporting.close()

    def close(self) -> None:
        """Do the same and wait for it; refused on the gateway's own event loop."""
        closer = threading.get_ident()
        if not self.closed:
            self._home.refuse_here()
            self._feedback.close()
        self._home.close(lambda: self._under_way.finish(self.config.close_timeout, closer))
        self._assembly.recording.close()
        self._reporting.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        if await self._home.arrive(settle=True):
            self._assembly.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<LiteLLMGateway of {len(self.models())} models, {len(self.config.providers)} providers>"
