"""How operations are recorded, and for how long they are kept."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from gatewright.types.configuration import Config

__all__ = ["RecordsConfig"]


class RecordsConfig(Config):
    """The journal on this machine's disk, the writer that drains it into the store, and the store's retention.

    A record is in the journal before its caller has the answer, and in the store `interval` seconds later: the longer
    it waits, the more are written at once, which is less work for each.
    `journal_max_bytes` is what the journal may hold while the store is down; after that new calls are refused, or the
    oldest records dropped and counted. `journal_fsync` makes each record outlive a power cut too, at
    milliseconds a call. The `keep_…` are days, None for ever.
    """

    interval: float = Field(default=1.0, gt=0, le=60)
    batch_size: int = Field(default=10_000, ge=1, le=100_000)
    journal_segment_bytes: int = Field(default=1 << 20, ge=4096, le=1 << 30)
    journal_max_bytes: int = Field(default=1 << 30, ge=1 << 14)
    journal_fsync: bool = False
    when_full: Literal["refuse", "drop_oldest"] = "refuse"
    keep_operations: int | None = Field(default=90, ge=1)
    keep_content: int | None = Field(default=7, ge=1)
    keep_minutes: int | None = Field(default=7, ge=1)
    keep_hours: int | None = Field(default=400, ge=1)

    @model_validator(mode="after")
    def _room_for_several(self) -> Self:
        if self.journal_max_bytes < 4 * self.journal_segment_bytes:
            raise ValueError("journal_max_bytes of at least four times journal_segment_bytes")
        return self
