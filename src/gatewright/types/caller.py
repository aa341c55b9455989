"""For whom a call is made."""

from __future__ import annotations

import msgspec

__all__ = ["ANONYMOUS", "Caller"]


class Caller(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who is behind a call; whatever is stored for a tenant is stored under `scoped(...)`.

    `agent_id` names the agent that asks, so that reports can tell its operations from others.
    """

    tenant_id: str | None = None
    user: str | None = None
    session: str | None = None
    key_id: str | None = None
    agent_id: str | None = None
    tags: tuple[str, ...] = ()

    def scoped(self, *parts: str) -> str:
        """Give a storage key that no other tenant's parts can make: each part is prefixed by its length."""
        tenant = "-" if self.tenant_id is None else f"t{self.tenant_id}"
        return "|".join([f"{len(part)}:{part}" for part in (tenant, *parts)])


ANONYMOUS = Caller()
