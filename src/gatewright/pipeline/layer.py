"""The one idea: a call goes in, a reply comes out, and everything between is a layer."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply

__all__ = ["Handler", "Layer", "stack"]


class Handler(Protocol):
    """Whatever answers a call."""

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        """Answer, or raise a `GatewayError`."""
        ...


class Layer(Protocol):
    """Whatever stands between a call and its answer."""

    def __call__(self, call: Call, proceed: Handler, /) -> Coroutine[Any, Any, Reply[Any, Any]]:
        """Answer `call`, usually by way of `proceed`; what has nothing to do with it gives `proceed(call)` itself."""
        ...


def stack(layers: Sequence[Layer], handler: Handler) -> Handler:
    """Put `layers`, outermost first, around `handler`."""
    for layer in reversed(layers):
        handler = _layered(layer, handler)
    return handler


def _layered(layer: Layer, inner: Handler) -> Handler:
    # A plain function that gives the layer's own coroutine: one coroutine a layer, not two.
    def handle(call: Call, /) -> Any:
        return layer(call, inner)

    return handle
