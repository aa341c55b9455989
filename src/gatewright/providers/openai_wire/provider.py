"""The direct lane's provider: one deployment that speaks the OpenAI wire format."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypeVar

import msgspec

from gatewright.errors import ConnectionFailed, GatewayError, InvalidProviderResponse, RateLimited
from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply
from gatewright.providers.catalogue import WireSpec, wire_spec
from gatewright.providers.http.base import HttpClient, HttpResponse, Timeouts
from gatewright.providers.openai_wire.answers import choices_of, chunks_of_event, vectors_of
from gatewright.providers.openai_wire.counts import usage_of
from gatewright.providers.openai_wire.errors import error_of
from gatewright.providers.openai_wire.payload import Payloads
from gatewright.providers.openai_wire.shapes import EmbeddingsBody, EventBody, WholeBody
from gatewright.providers.openai_wire.signals import limits_of
from gatewright.providers.openai_wire.sse import EventStream
from gatewright.redaction import redact
from gatewright.types.deployment import Deployment
from gatewright.types.estimates import estimated_usage
from gatewright.types.folding import AnswerFold, chunks_of
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Answer, Chunk, Embeddings
from gatewright.types.usage import cost_of

__all__ = ["OpenAIWire"]

_PATHS = {"chat": "/chat/completions", "text": "/completions"}
_DONE = b"[DONE]"
_whole = msgspec.json.Decoder(WholeBody)
_event = msgspec.json.Decoder(EventBody)
_embeddings = msgspec.json.Decoder(EmbeddingsBody)
T = TypeVar("T")


class OpenAIWire:
    """Answers calls at one deployment, over a client that many deployments share."""

    def __init__(
        self,
        deployment: Deployment,
        http: HttpClient,
        *,
        drop_unsupported: bool = False,
        timeouts: Timeouts = Timeouts(),
        spec: WireSpec | None = None,
    ) -> None:
        self._deployment = deployment
        self._http = http
        self._spec = spec or wire_spec(deployment.provider) or WireSpec(name=deployment.provider, key_needed=False)
        self._timeouts = (
            timeouts if deployment.timeout is None else msgspec.structs.replace(timeouts, total=deployment.timeout)
        )
        self._payloads = Payloads(deployment, self._spec, drop_unsupported=drop_unsupported)
        self._urls = {style: self._payloads.url(path) for style, path in _PATHS.items()}
        # Only a limit of our own can be corrected by what the provider says is left.
        self._limited = deployment.rpm is not None or deployment.tpm is not None
        self._embed_url = self._payloads.url("/embeddings")

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        """Answer one attempt."""
        began = time.monotonic()
        request = call.request
        if type(request) is EmbedRequest:
            return await self._embed(call, request, began)
        headers, body = self._payloads.generation(request, stream=call.stream, drop=call.options.drop_params)
        response = await self._http.post(self._urls[request.style], headers, body, self._timeouts)
        if call.stream and response.status == 200 and not _is_json(response):
            reply = await self._begin(response, request, began)
        else:
            data = await response.read()
            if not 200 <= response.status < 300:
                raise self._error(response.status, response.headers, data)
            reply = Reply.whole(self._answer(data, request, began), chunks_of)
        if self._limited:
            reply.limits = limits_of(response.headers)
        return reply

    async def aclose(self) -> None:
        """Nothing to let go of: the client is the gateway's."""

    def _error(self, status: int, headers: Mapping[str, str], data: bytes) -> GatewayError:
        error = error_of(status, headers, data, *self._payloads.secrets)
        if self._limited and isinstance(error, RateLimited):
            error.limits = limits_of(headers)
        return error

    def _decode(self, decoder: msgspec.json.Decoder[T], data: bytes) -> T:
        try:
            return decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            said = str(error)
        # Not from the error itself: that of the decoding to text has all the bytes.
        raise self._invalid(said, data)

    def _invalid(self, said: str, data: bytes) -> InvalidProviderResponse:
        # Redacted before it is cut: a key that is cut in two would not be known again.
        began = redact(data[:4096].decode("utf-8", "replace"), *self._payloads.secrets)[:80]
        return InvalidProviderResponse(
            f"the provider's answer is not what its protocol promises ({said}); it begins {began!r}"
        )

    def _answer(self, data: bytes, request: GenerateRequest, began: float) -> Answer:
        body = self._decode(_whole, data)
        if body.error is not None and not body.choices:
            raise self._error(200, {}, data)
        choices = choices_of(body)
        if body.usage is not None:
            usage = usage_of(body.usage, body.service_tier)
        else:
            usage = estimated_usage(request, choices[0].text)
        deployment = self._deployment
        return Answer(
            choices=choices,
            model=body.model or deployment.model,
            provider=deployment.provider,
            deployment_id=deployment.id,
            usage=usage,
            cost_usd=cost_of(usage, deployment.price, began),
            id=body.id,
            created=int(body.created) if body.created is not None else None,
            system_fingerprint=body.system_fingerprint,
            raw=data,
        )

    async def _begin(self, response: HttpResponse, request: GenerateRequest, began: float) -> Reply[Chunk, Answer]:
        kind = response.headers.get("content-type", "text/event-stream")
        if kind.startswith("text/html"):
            response.close()
            raise InvalidProviderResponse(f"the provider answered a stream with {kind}, not with events")
        deployment = self._deployment
        fold = AnswerFold(
            model=deployment.model,
            provider=deployment.provider,
            deployment_id=deployment.id,
            price=deployment.price,
            began=began,
        )
        return await Reply.begin(self._batches(response, request, fold), fold)

    async def _batches(
        self, response: HttpResponse, request: GenerateRequest, fold: AnswerFold
    ) -> AsyncGenerator[list[Chunk], None]:
        """Give the chunks of each network read; raise where an event is an error or the stream is cut short."""
        progress = _Progress()
        events = EventStream()
        try:
            ended = False
            while not (ended or progress.done):
                payloads, ended = await _next_events(response, events, progress)
                batch, error = self._read_events(payloads, progress)
                if batch:
                    progress.note(batch)
                    yield batch
                if error is not None:
                    raise error
            progress.check()
            if not progress.counted:
                yield [Chunk(usage=estimated_usage(request, fold.text))]
            await response.finish()
        finally:
            response.close()

    def _read_events(self, payloads: list[bytes], progress: _Progress) -> tuple[list[Chunk], GatewayError | None]:
        """Read events until one of them is the end or an error; what came before an error is given with it."""
        batch: list[Chunk] = []
        for payload in payloads:
            if payload == _DONE:
                progress.done = True
                break
            try:
                body = self._decode(_event, payload)
            except InvalidProviderResponse as error:
                return batch, error
            if body.error:
                return batch, self._error(200, {}, payload)
            batch += chunks_of_event(body, payload)
        return batch, None

    async def _embed(self, call: Call, request: EmbedRequest, began: float) -> Reply[Any, Embeddings]:
        headers, data = self._payloads.embedding(request, drop=call.options.drop_params)
        response = await self._http.post(self._embed_url, headers, data, self._timeouts)
        data = await response.read()
        if not 200 <= response.status < 300:
            raise self._error(response.status, response.headers, data)
        body = self._decode(_embeddings, data)
        if body.error is not None:
            raise self._error(200, {}, data)
        usage = usage_of(body.usage) if body.usage is not None else estimated_usage(request)
        deployment = self._deployment
        vectors = Embeddings(
            vectors=vectors_of(body, len(request.inputs), self._spec.vectors),
            model=body.model or deployment.model,
            provider=deployment.provider,
            deployment_id=deployment.id,
            usage=usage,
            cost_usd=cost_of(usage, deployment.price, began),
        )
        reply = Reply[Any, Embeddings].whole(vectors)
        if self._limited:
            reply.limits = limits_of(response.headers)
        return reply


class _Progress:
    """How far a stream has come: whether it said it is done, which choices have ended, whether it was counted."""

    __slots__ = ("_finished", "_seen", "counted", "done")

    def __init__(self) -> None:
        self.done = self.counted = False
        self._seen: set[int] = set()
        self._finished: set[int] = set()

    def note(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            if chunk.usage is not None:
                self.counted = True
                if not chunk.text and chunk.finish_reason is None:
                    continue  # the usage alone belongs to no choice
            self._seen.add(chunk.index)
            if chunk.finish_reason is not None:
                self._finished.add(chunk.index)

    @property
    def finished(self) -> bool:
        """Whether every choice that began has ended."""
        return bool(self._finished) and self._seen == self._finished

    def check(self) -> None:
        """Raise `InvalidProviderResponse` where a stream that is over said nothing, or not all."""
        if not (self.done or self.finished):
            raise InvalidProviderResponse("the provider's stream ended in the middle")
        if not self._seen:
            raise InvalidProviderResponse("the provider's stream has no choices")


async def _next_events(response: HttpResponse, events: EventStream, progress: _Progress) -> tuple[list[bytes], bool]:
    """Give the events of the next network read, and whether it was the last."""
    try:
        data = await response.read_some()
    except (ConnectionFailed, InvalidProviderResponse):
        # What broke after the last word had nothing more to say.
        if not progress.finished:
            raise
        data = b""
    if not data:
        return events.end(), True
    try:
        return events.feed(data), False
    except ValueError as error:
        raise InvalidProviderResponse(str(error)) from error


def _is_json(response: HttpResponse) -> bool:
    return response.headers.get("content-type", "").startswith("application/json")
