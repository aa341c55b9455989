"""When a callback is tried again, and when it is given up: pure, with its time and its chance given."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from gatewright.feedback.config import CallbackConfig
from gatewright.feedback.types import Delivery

__all__ = ["LOST", "claimed", "delivered", "failed", "given_up", "handed_back", "is_exhausted", "revived", "wait_after"]

LOST = "ProcessEnded"
"""The error of an attempt that its process did not outlive."""


def claimed(delivery: Delivery, config: CallbackConfig, now: datetime) -> Delivery:
    """Begin an attempt, which counts from now on: a callback that ends its process is not tried for ever."""
    due = now + timedelta(seconds=config.lease)
    return msgspec.structs.replace(delivery, state="pending", attempts=delivery.attempts + 1, due_at=due)


def is_exhausted(delivery: Delivery, config: CallbackConfig) -> bool:
    """Say whether all its attempts are used up, the last of which its process did not outlive."""
    return delivery.state == "pending" and delivery.attempts >= config.max_attempts


def given_up(delivery: Delivery) -> Delivery:
    """End it, for good unless someone revives it."""
    return msgspec.structs.replace(delivery, state="dead", last_error=delivery.last_error or LOST)


def delivered(delivery: Delivery) -> Delivery:
    """End it well; what went wrong before stays to be seen."""
    return msgspec.structs.replace(delivery, state="delivered")


def failed(
    delivery: Delivery, error: type[BaseException], config: CallbackConfig, now: datetime, chance: Callable[[], float]
) -> Delivery:
    """End an attempt that failed: the next one is due after a wait, or the delivery is dead."""
    told = msgspec.structs.replace(delivery, last_error=error.__name__)
    if delivery.attempts >= config.max_attempts:
        return msgspec.structs.replace(told, state="dead")
    due = now + timedelta(seconds=wait_after(delivery.attempts, config, chance()))
    return msgspec.structs.replace(told, due_at=due)


def revived(delivery: Delivery, now: datetime) -> Delivery:
    """Give a delivery that is not done all its attempts once more, from now on."""
    if delivery.state == "delivered":
        return delivery
    return msgspec.structs.replace(delivery, state="pending", attempts=0, due_at=now)


def wait_after(attempts: int, config: CallbackConfig, chance: float) -> float:
    """Give the seconds to wait after so many attempts; `chance` from 0 to 1 chooses within the jitter."""
    wait = min(config.longest_wait, config.first_wait * 2.0 ** min(attempts - 1, 60))
    return wait * (1.0 + config.jitter * chance)


def handed_back(delivery: Delivery, now: datetime) -> Delivery:
    """Undo a claim: the attempt was not made."""
    return msgspec.structs.replace(delivery, attempts=delivery.attempts - 1, due_at=now)
