"""What the cache is asked on behalf of one call."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gatewright.pipeline.call import CacheWishes, Call

__all__ = ["Asked", "Model", "Models", "Policy"]


class Model(msgspec.Struct, frozen=True):
    """What a model's name stands for: `name` is the same for all its names, `setup` for the same deployments.

    `fixed` are the parameters that its deployments set themselves, so that leaving them out is not the usual value.
    """

    name: str
    setup: str
    fixed: frozenset[str] = frozenset()
    deployments: frozenset[str] = frozenset()


Models = Callable[[str], Model]
Policy = Callable[[Call], str]
"""Gives the version of the guards that an answer to a call passes."""


class Asked(msgspec.Struct, frozen=True):
    """A call, what it wants of the cache, and the key under which its answer is kept."""

    call: Call
    wishes: CacheWishes
    model: Model
    key: str

    @property
    def tenant(self) -> str | None:
        """Whose call it is."""
        return self.call.caller.tenant_id
