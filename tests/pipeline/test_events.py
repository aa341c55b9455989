from __future__ import annotations

import pytest

from gatewright.pipeline.events import CallStarted, Event, Events


def test_every_subscriber_hears_in_order_until_it_ends() -> None:
    events, heard = Events(), list[tuple[str, Event]]()
    end = events.subscribe(lambda event: heard.append(("first", event)))
    events.subscribe(lambda event: heard.append(("second", event)))
    event = CallStarted(call_id="1", call=None)
    events.emit(event)
    end()
    end()
    events.emit(event)
    assert heard == [("first", event), ("second", event), ("second", event)]


def test_it_knows_whether_anyone_subscribes() -> None:
    events, heard = Events(), list[Event]()
    assert not events.heard
    end = events.subscribe(heard.append)
    assert events.heard
    end()
    assert not events.heard


def test_a_failing_subscriber_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: Event) -> None:
        raise ValueError("no")

    events, heard = Events(), list[Event]()
    events.subscribe(fails)
    events.subscribe(heard.append)
    events.emit(CallStarted(call_id="1", call=None))
    assert len(heard) == 1
    assert "a subscriber failed on CallStarted" in caplog.text


def test_a_subscriber_may_subscribe_and_end_during_an_event() -> None:
    events, heard = Events(), list[str]()

    def once(_: Event) -> None:
        heard.append("once")
        end()
        events.subscribe(lambda _: heard.append("later"))

    end = events.subscribe(once)
    for _ in range(2):
        events.emit(CallStarted(call_id="1", call=None))
    assert heard == ["once", "later"]
