"""The one idea: a call goes in, a reply comes out, and everything between is a layer."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from types import FunctionType
from typing import Any, Protocol

from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply
from gatewright.types.requests import Request

__all__ = ["Handler", "Layer", "stack"]


class Handler(Protocol):
    """Whatever answers a call."""

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        """Answer, or raise a `GatewayError`."""
        ...


class Layer(Protocol):
    """Whatever stands between a call and its answer.

    One that has to do with one kind of request only says so by its class attribute `concerns`.
    """

    def __call__(self, call: Call, proceed: Handler, /) -> Coroutine[Any, Any, Reply[Any, Any]]:
        """Answer `call`, usually by way of `proceed`; what has nothing to do with it gives `proceed(call)` itself."""
        ...


def stack(layers: Sequence[Layer], handler: Handler, kind: type[Request] | None = None) -> Handler:
    """Put `layers`, outermost first, around `handler`; for one `kind` of request those that have to do with it."""
    for layer in reversed(layers):
        if kind is None or issubclass(kind, getattr(layer, "concerns", kind)):
            handler = _layered(layer, handler)
    return handler


def _layered(layer: Layer, inner: Handler) -> Handler:
    # A plain function that gives the layer's own coroutine: one coroutine a layer, not two. It calls the method itself:
    # through the instance the interpreter would start anew, on the stack of C.
    answer = layer if isinstance(layer, FunctionType) else layer.__call__

    def handle(call: Call, /) -> Any:
        return answer(call, inner)

    return handle
