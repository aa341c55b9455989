"""When a callback is tried again, and when it is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.feedback.config import CallbackConfig
from gatewright.feedback.deliveries import claimed, delivered, failed, handed_back, is_exhausted, revived, wait_after
from gatewright.feedback.types import Delivery

NOW = datetime(2026, 11, 26, tzinfo=UTC)
CONFIG = CallbackConfig(max_attempts=3, first_wait=2, longest_wait=5, jitter=0.5, lease=30)
FRESH = Delivery(feedback_id="fb_1", callback="a", due_at=NOW)


def test_a_failure_is_tried_again_later_and_later_then_given_up() -> None:
    delivery = FRESH
    for attempt, wait in ((1, 2.0), (2, 4.0)):
        delivery = failed(claimed(delivery, CONFIG, NOW), KeyError, CONFIG, NOW, lambda: 0.0)
        assert (delivery.state, delivery.attempts, delivery.last_error) == ("pending", attempt, "KeyError")
        assert delivery.due_at == NOW + timedelta(seconds=wait)
    delivery = failed(claimed(delivery, CONFIG, NOW), OSError, CONFIG, NOW, lambda: 0.0)
    assert (delivery.state, delivery.attempts, delivery.last_error) == ("dead", 3, "OSError")
    assert revived(delivery, NOW) == msgspec.structs.replace(FRESH, last_error="OSError")


def test_an_attempt_counts_when_it_begins_and_is_given_back_unmade() -> None:
    held = claimed(FRESH, CONFIG, NOW)
    assert (held.attempts, held.due_at) == (1, NOW + timedelta(seconds=30))
    assert handed_back(held, NOW) == FRESH
    assert not is_exhausted(held, CONFIG)
    assert is_exhausted(msgspec.structs.replace(held, attempts=3), CONFIG)


def test_what_was_delivered_stays_so() -> None:
    done = delivered(claimed(FRESH, CONFIG, NOW))
    assert done.state == "delivered"
    assert revived(done, NOW) is done


@pytest.mark.parametrize(("attempts", "chance", "wait"), [(1, 0, 2), (1, 1, 3), (2, 0, 4), (3, 0, 5), (900, 1, 7.5)])
def test_waits_double_up_to_the_longest(attempts: int, chance: float, wait: float) -> None:
    assert wait_after(attempts, CONFIG, chance) == wait


@given(st.lists(st.booleans(), max_size=10))
def test_it_ends_delivered_or_dead_after_at_most_so_many_attempts(outcomes: list[bool]) -> None:
    delivery = FRESH
    for well in outcomes:
        if delivery.state != "pending":
            break
        held = claimed(delivery, CONFIG, NOW)
        delivery = delivered(held) if well else failed(held, ValueError, CONFIG, NOW, lambda: 0.5)
    assert delivery.attempts <= 3
    if True in outcomes[:3]:
        assert delivery.state == "delivered"
    elif len(outcomes) >= 3:
        assert delivery.state == "dead"
