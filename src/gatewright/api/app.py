"""The ASGI application: routes over one gateway."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from gatewright.errors import ConfigurationError, GatewayError, MissingExtra

try:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
except ImportError as error:
    raise MissingExtra("the server", "server") from error

from gatewright.api.auth import Authentication
from gatewright.api.endpoint import Answering, Endpoint
from gatewright.api.errors import InternalError, MethodNotAllowed, RouteNotFound, error_headers, error_json
from gatewright.api.routes.chat import ChatCompletions
from gatewright.api.routes.completions import Completions
from gatewright.api.routes.embeddings import Embeddings
from gatewright.api.routes.feedback import FeedbackRoutes
from gatewright.api.routes.health import Health
from gatewright.api.routes.llmops import LLMOps
from gatewright.api.routes.models import Models
from gatewright.errors import BadRequest
from gatewright.gateway.gateway import LiteLLMGateway
from gatewright.pipeline.call import new_id

__all__ = ["MAX_BODY_BYTES", "create_app"]

MAX_BODY_BYTES = 32 * 1024 * 1024


def create_app(gateway: LiteLLMGateway, *, max_body_bytes: int = MAX_BODY_BYTES, allow_open: bool = False) -> Starlette:
    """Make the server of `gateway`: OpenAI's routes, with and without `/v1`, and the health's.

    Its lifespan makes the server's loop the gateway's home and closes the gateway at the end. Callers show the
    configuration's `master_key`; without one only this machine may call, unless `allow_open`.
    """
    if max_body_bytes < 1:
        raise ConfigurationError(f"max_body_bytes: expected at least 1, got {max_body_bytes}", param="max_body_bytes")
    authentication = Authentication.of(gateway.config, allow_open=allow_open)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        async with gateway:
            yield

    return Starlette(
        routes=[*_api(gateway, max_body_bytes, authentication), *_health(gateway, authentication)],
        exception_handlers={HTTPException: _http_error, Exception: _failed},
        lifespan=lifespan,
    )


def _api(gateway: LiteLLMGateway, max_body_bytes: int, authentication: Authentication) -> Iterator[Route]:
    models, llmops = Models(gateway), LLMOps(gateway)
    answering: list[tuple[str, str, Answering]] = [
        ("POST", "/chat/completions", ChatCompletions(gateway, max_body_bytes)),
        ("POST", "/embeddings", Embeddings(gateway, max_body_bytes)),
        ("POST", "/completions", Completions(gateway, max_body_bytes)),
        ("GET", "/llmops/metrics", llmops.metrics),
        ("GET", "/llmops/costs", llmops.costs),
        ("GET", "/llmops/series", llmops.series),
        ("GET", "/models", models.list),
        ("GET", "/models/{model:path}", models.retrieve),
    ]
    answering += _feedback(FeedbackRoutes(gateway, max_body_bytes))
    # Starlette tries routes in their order: those of every day come first.
    for prefix in ("/v1", ""):
        for method, path, answer in answering:
            yield Route(prefix + path, Endpoint(answer, authentication), methods=[method])


def _feedback(routes: FeedbackRoutes) -> list[tuple[str, str, Answering]]:
    return [
        ("POST", "/feedback", routes.record),
        ("GET", "/feedback", routes.list),
        ("GET", "/feedback/insights", routes.insights),
        ("GET", "/feedback/stats", routes.stats),
        ("GET", "/feedback/{id}", routes.retrieve),
        ("DELETE", "/feedback/{id}", routes.delete),
        ("POST", "/feedback/{id}/process", routes.process),
        ("POST", "/feedback/{id}/apply", routes.apply),
        ("POST", "/feedback/{id}/ignore", routes.ignore),
    ]


def _health(gateway: LiteLLMGateway, authentication: Authentication) -> Iterator[Route]:
    health = Health(gateway)
    yield Route("/health", Endpoint(health.report, authentication), methods=["GET"])
    yield Route("/health/limits", Endpoint(health.limits, authentication), methods=["GET"])
    yield Route("/health/liveliness", Endpoint(health.alive), methods=["GET"])
    yield Route("/health/liveness", Endpoint(health.alive), methods=["GET"])
    yield Route("/health/readiness", Endpoint(health.ready), methods=["GET"])
    yield Route("/", Endpoint(health.index), methods=["GET"])


async def _http_error(request: Request, error: Exception) -> Response:
    """Tell what Starlette itself refuses in OpenAI's form."""
    assert isinstance(error, HTTPException)
    asked = f"{request.method} {request.url.path}"
    if error.status_code == 404:
        return _response(RouteNotFound(f"there is no {asked}"))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return _response(MethodNotAllowed(f"there is no {asked}; it takes {allowed}"), {"Allow": allowed})
    return _response(BadRequest(str(error.detail)))


async def _failed(_request: Request, _error: Exception) -> Response:
    return _response(InternalError("the server failed; its log says why"))


def _response(error: GatewayError, more: dict[str, Any] | None = None) -> Response:
    headers = {name.decode(): value.decode() for name, value in error_headers(error, new_id())}
    return Response(error_json(error), error.status, {**headers, **(more or {})}, "application/json")
