"""The provider of local models: text by llama.cpp's server over the OpenAI wire, embeddings by onnxruntime."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import msgspec
from pydantic import SecretStr

from gatewright.errors import BadRequest, GatewayClosed, MissingExtra, NotFound
from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply
from gatewright.providers.base import Provider
from gatewright.providers.local.embedder import Embedder
from gatewright.providers.local.leases import leases
from gatewright.providers.local.process import Endpoint, LlamaServer, ServerSettings
from gatewright.providers.local.settings import LocalSettings, read_settings
from gatewright.providers.local.weights import find_embedding_model, find_gguf
from gatewright.types.deployment import Deployment
from gatewright.types.requests import EmbedRequest
from gatewright.types.results import Embeddings
from gatewright.types.usage import Usage

__all__ = ["MODELS", "ChatFactory", "LocalProvider"]

MODELS = {"smollm2-135m": "chat", "minilm-l6-v2": "embedding"}
"""The models that packages on the registry carry, and what each is for."""

ChatFactory = Callable[[Deployment], Provider]
"""Makes a provider that speaks the OpenAI wire to the deployment's `base_url`, with its `api_key`."""


class LocalProvider:
    """One deployment of a local model; what it needs is started or loaded at its first call."""

    def __init__(self, deployment: Deployment, chat_factory: ChatFactory) -> None:
        self._deployment = deployment
        self._settings = read_settings(deployment)
        self._name = deployment.model.removeprefix("local/")
        self._text = _Text(deployment, self._settings, chat_factory)
        self._embedder: Embedder | None = None

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        """Answer one attempt."""
        if isinstance(call.request, EmbedRequest):
            self._expect("embedding", "embeddings")
            return Reply.whole(await self._embed(call.request))
        self._expect("chat", "text")
        chat = await self._text.provider()
        return await chat(call)

    async def aclose(self) -> None:
        """Give the server back, which ends it if nobody else uses it, and let go of the embedding model."""
        embedder, self._embedder = self._embedder, None
        if embedder is not None:
            embedder.close()
        await self._text.aclose()

    def _expect(self, kind: str, what: str) -> None:
        if self._settings.model_path is not None:
            return
        known = MODELS.get(self._name)
        if known is None:
            names = ", ".join(f"local/{name}" for name in MODELS)
            raise NotFound(
                f"there is no local model {self._name!r}; known are {names}, and any other by settings.model_path",
                provider="local",
                model=self._name,
                param="model",
            )
        if known != kind:
            raise BadRequest(f"local/{self._name} makes no {what}", provider="local", model=self._name, param="model")

    async def _embed(self, request: EmbedRequest) -> Embeddings:
        texts = self._texts(request)
        if self._embedder is None:
            files = find_embedding_model(self._settings.model_path)
            self._embedder = Embedder(files, threads=self._settings.threads)
        await self._check_dimensions(self._embedder, request.params.get("dimensions"))
        vectors, tokens = await self._embedder.embed(texts)
        return Embeddings(
            vectors=vectors,
            model=self._deployment.model,
            provider=self._deployment.provider,
            deployment_id=self._deployment.id,
            usage=Usage(prompt_tokens=tokens, total_tokens=tokens),
        )

    def _texts(self, request: EmbedRequest) -> list[str]:
        texts = [text for text in request.inputs if isinstance(text, str)]
        if len(texts) != len(request.inputs):
            raise BadRequest(
                "a local embedding model takes texts, not arrays of tokens: its tokens are not OpenAI's",
                provider="local",
                model=self._name,
                param="input",
            )
        return texts

    async def _check_dimensions(self, embedder: Embedder, wanted: Any) -> None:
        if wanted is not None and wanted != (given := await embedder.dimensions()):
            raise BadRequest(
                f"dimensions is {wanted!r}; local/{self._name} gives {given} and no others",
                provider="local",
                model=self._name,
                param="dimensions",
            )


class _Text:
    """A lease of the server, and the provider that speaks to it; both are renewed when the server has gone."""

    def __init__(self, deployment: Deployment, settings: LocalSettings, chat_factory: ChatFactory) -> None:
        self._deployment = deployment
        self._settings = settings
        self._chat_factory = chat_factory
        self._server: LlamaServer | None = None
        self._chat: Provider | None = None
        self._pid = os.getpid()

    async def provider(self) -> Provider:
        """Give the provider of a running server."""
        server = self._server
        if server is not None and server.alive and self._chat is not None:
            return self._chat
        if server is None or not server.alive:
            await self._drop_chat()
            # Nothing awaited from here to the assignment: two first calls take one lease.
            server = self._server if self._server is not None and self._server.alive else self._lease()
        endpoint = await asyncio.wrap_future(server.ready)
        if self._server is None:
            raise GatewayClosed("the local model was closed while it started", provider="local")
        if self._server is not server:  # it has died since, and another call has started the next
            return await self.provider()
        if self._chat is None:
            self._chat = self._chat_factory(self._at(endpoint))
        return self._chat

    async def aclose(self) -> None:
        """Close the provider and give the server back."""
        await self._drop_chat()
        server, self._server = self._server, None
        if server is not None:
            await asyncio.to_thread(leases.release, server)

    def _lease(self) -> LlamaServer:
        if find_spec("xllamacpp") is None:
            raise MissingExtra("a local language model", "local")
        model = find_gguf(self._settings.model_path)
        settings = ServerSettings(
            name=model.stem if self._settings.model_path else "smollm2-135m",
            model=model,
            threads=self._settings.threads,
            context=self._settings.context,
            slots=self._settings.slots,
            startup_timeout=self._settings.startup_timeout,
        )
        self._server = leases.acquire(settings)
        return self._server

    async def _drop_chat(self) -> None:
        chat, self._chat = self._chat, None
        forked = self._pid != os.getpid()
        self._pid = os.getpid()
        if chat is not None and not forked:  # after a fork its connections are the parent's
            await chat.aclose()

    def _at(self, endpoint: Endpoint) -> Deployment:
        return msgspec.structs.replace(
            self._deployment, base_url=endpoint.base_url, api_key=SecretStr(endpoint.api_key)
        )
