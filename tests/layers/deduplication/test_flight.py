from __future__ import annotations

import pytest

from gatewright.types.results import Answer, Choice, Embeddings

from .board import ANSWER, Board


def test_a_late_joiner_gets_the_chunks_so_far_and_then_the_rest():
    board = Board()
    flight, leader = board.join(b"k")
    flight.feed(["a", "b"])
    assert flight.read(leader) == ["a", "b"]
    same, follower = board.join(b"k")
    assert same is flight
    assert (leader.shared, follower.shared) == (False, True)
    assert flight.read(follower) == ["a", "b"]
    flight.feed(["c"])
    flight.land(ANSWER)
    assert flight.read(follower) == flight.read(leader) == ["c"]
    assert flight.read(follower) == []
    assert flight.state == "landed"


def test_a_leader_that_goes_away_hands_over():
    board = Board()
    flight, leader = board.join(b"k")
    _, follower = board.join(b"k")
    assert not flight.leave(leader)
    assert flight.leader is follower
    assert (leader.shared, follower.shared) == (True, False)
    assert flight.state == "flying"
    assert flight.leave(follower)
    assert board.join(b"k")[0] is not flight


def test_a_failure_is_shared_by_those_aboard_and_not_remembered():
    board = Board()
    flight, _ = board.join(b"k")
    _, follower = board.join(b"k")
    flight.feed(["a"])
    error = RuntimeError("down")
    flight.ended(error)
    assert flight.read(follower) == ["a"]
    assert (flight.state, flight.error) == ("failed", error)
    again, member = board.join(b"k")
    assert again is not flight
    assert not member.shared


def test_a_finished_answer_is_given_again_within_the_window_with_its_chunks():
    board = Board(window=2.0)
    flight, leader = board.join(b"k")
    flight.feed(["a"])
    board.now = 1.0
    flight.land(ANSWER)
    flight.leave(leader)
    board.now = 2.9
    landed, late = board.join(b"k")
    assert landed is flight.landed
    assert late.shared
    assert landed.chunks == ["a"]
    assert (landed.value().cost_usd, landed.value().saved_usd) == (0.0, 0.5)
    board.now = 3.0
    assert board.join(b"k")[0] not in (flight, landed)


def test_what_a_caller_does_to_its_answer_is_not_seen_by_the_others():
    board = Board()
    flight, _ = board.join(b"k")
    answer = Answer(choices=[Choice(text="yes")], model="m", provider="p")
    flight.land(answer)
    answer.choices.clear()  # type: ignore[attr-defined]
    first = flight.landed.value()
    first.choices.clear()
    assert [choice.text for choice in flight.landed.value().choices] == ["yes"]


def test_without_a_window_nothing_is_kept():
    board = Board(window=0)
    flight, _ = board.join(b"k")
    flight.land(ANSWER)
    assert len(board.flights) == 0
    assert flight.landed.value() is not None


@pytest.mark.parametrize(
    ("answer", "chunks"),
    [
        (ANSWER, ["x"] * 16),
        (Answer(choices=[], model="m", provider="p", raw=b"x" * 2048), []),
        (Answer(choices=[Choice(text="x" * 2048)], model="m", provider="p"), []),
        (Embeddings(vectors=[[0.5] * 128], model="m", provider="p"), []),
    ],
)
def test_what_is_kept_is_bounded_by_what_it_takes(answer, chunks):
    board = Board(max_weight=11_000)
    for number in range(20):
        flight, _ = board.join(bytes([number]))
        flight.feed(chunks)
        flight.land(answer)
    assert 10_000 <= board.flights.weight <= 11_000
    assert len(board.flights) == 2


def test_what_landed_is_let_go_of_when_others_land_after_its_window():
    board = Board(window=2.0)
    for now in (0.0, 1.0, 2.5):
        board.now = now
        board.join(str(now).encode())[0].land(ANSWER)
    assert len(board.flights) == 2


def test_a_long_stream_is_not_joined_late_and_waits_for_its_slowest_reader():
    board = Board(max_chunks=4)
    flight, fast = board.join(b"k")
    _, slow = board.join(b"k")
    flight.feed("abcd")
    assert flight.read(fast) == list("abcd")
    assert not flight.has_room
    assert flight.read(slow) == list("abcd")
    assert flight.has_room
    assert not flight.is_whole
    other, _ = board.join(b"k")
    assert other is not flight
    flight.leave(slow)
    flight.feed("ef")
    assert flight.read(fast) == list("ef")
