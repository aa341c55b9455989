"""What the parent and the child that serves a model say to each other."""

from __future__ import annotations

import msgspec

__all__ = ["READY", "Launch"]

READY = b"gatewright-local-server "
"""Begins the line on the child's standard output that ends with its address."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What the parent wants served: the file `model`, under `name` in its answers; `context` is tokens for each
    of `slots` requests at once.
    """

    name: str
    model: str
    api_key: str
    parent: int
    threads: int
    context: int
    slots: int
