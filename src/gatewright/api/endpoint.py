"""An endpoint: who may ask, what answers, and how its errors are told."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from gatewright.api.auth import Authentication
from gatewright.api.errors import InternalError
from gatewright.api.exchange import ClientGone, Exchange
from gatewright.errors import GatewayError

__all__ = ["Endpoint"]

log = logging.getLogger("gatewright.server")

Answering = Callable[[Exchange], Awaitable[None]]


class Endpoint:
    """An ASGI application for one route; without `authentication` anyone may ask."""

    def __init__(self, answer: Answering, authentication: Authentication | None = None) -> None:
        self._answer = answer
        self._authentication = authentication

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or tell why not."""
        exchange = Exchange(scope, receive, send)
        try:
            if self._authentication is not None:
                self._authentication.check(exchange)
            await self._answer(exchange)
        except GatewayError as error:
            await exchange.fail(error)
        except ClientGone:
            pass
        except Exception:
            log.exception("answering %s %s failed", scope["method"], scope["path"])
            await exchange.fail(InternalError("the server failed; its log says why"))
