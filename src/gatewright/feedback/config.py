"""How feedback is taken, told and grouped."""

from __future__ import annotations

from pydantic import Field

from gatewright.types.configuration import Config

__all__ = ["CallbackConfig", "FeedbackConfig"]


class CallbackConfig(Config):
    """How often and when a callback that failed is tried again.

    The first wait is `first_wait` seconds, each further one twice as long up to `longest_wait`, with up to `jitter` of
    it more; after `max_attempts` the delivery is dead. `timeout` ends an asynchronous callback; a synchronous one is
    let run. What a process had in hand when it died is taken over after `lease` seconds, and what other processes
    recorded is looked for every `poll_interval` seconds.
    """

    max_attempts: int = Field(default=8, ge=1, le=1000)
    first_wait: float = Field(default=1.0, gt=0, le=3600)
    longest_wait: float = Field(default=600.0, gt=0, le=86400)
    jitter: float = Field(default=0.2, ge=0, le=1)
    timeout: float = Field(default=60.0, gt=0, le=86400)
    lease: float = Field(default=30.0, ge=0.5, le=3600)
    poll_interval: float = Field(default=5.0, gt=0, le=3600)


class FeedbackConfig(Config):
    """The sizes that are taken, in bytes of UTF-8, and how common corrections are found.

    `embedding_model` groups corrections by meaning; without one, `default_embedding_model` does, and without that, or
    with `group_by_meaning=False`, they are grouped by their words. `similarity` is the mean cosine from which two
    groups are one. At most `max_grouped` different texts, the most frequent and newest, are looked at.
    An `operation_id` that is not known is refused, unless `require_known_operation` is off. While the database does
    not answer within `store_timeout` seconds, feedback waits on the local disk, up to `spool_max_bytes` of it.
    """

    max_content_bytes: int = Field(default=65_536, ge=1)
    max_exchange_bytes: int = Field(default=1_048_576, ge=1)
    max_metadata_bytes: int = Field(default=16_384, ge=2)
    store_timeout: float = Field(default=5.0, gt=0, le=600)
    spool_max_bytes: int = Field(default=1 << 28, ge=1 << 20)
    require_known_operation: bool = True
    group_by_meaning: bool = True
    embedding_model: str | None = Field(default=None, min_length=1)
    similarity: float = Field(default=0.6, gt=0, le=1)
    max_grouped: int = Field(default=2000, ge=1, le=20_000)
    callbacks: CallbackConfig = CallbackConfig()
