"""What a store fails with; whoever asked it goes on without it."""

from __future__ import annotations

from gatewright.errors import ConfigurationError, GatewayError

__all__ = ["SchemaTooNew", "StoreUnavailable"]


class StoreUnavailable(GatewayError):
    """A store is too slow, gone, or cannot do what it is asked; whoever asks a model never gets it."""

    code = "store_unavailable"
    status = 503
    retryable = True
    reason: str | None = None
    """What is the matter with it, for its operator; with nothing secret in it."""


class SchemaTooNew(ConfigurationError):
    """The store was written by a newer version of this program, whose schema this one does not know."""

    code = "schema_too_new"
