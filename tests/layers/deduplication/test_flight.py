from gatewright.layers.deduplication.flights import Flights


def test_a_late_joiner_gets_the_chunks_so_far_and_then_the_rest():
    flights = Flights()
    flight, leader = flights.join(b"k", 0.0)
    flight.feed(["a", "b"])
    assert flight.read(leader) == ["a", "b"]
    same, follower = flights.join(b"k", 0.0)
    assert same is flight
    assert (leader.shared, follower.shared) == (False, True)
    assert flight.read(follower) == ["a", "b"]
    flight.feed(["c"])
    flights.land(b"k", flight, 0.0)
    assert flight.read(follower) == flight.read(leader) == ["c"]
    assert flight.read(follower) == []
    assert flight.state == "landed"


def test_a_leader_that_goes_away_hands_over():
    flights = Flights()
    flight, leader = flights.join(b"k", 0.0)
    _, follower = flights.join(b"k", 0.0)
    assert flights.leave(b"k", flight, leader) == "new_leader"
    assert flight.leader is follower
    assert flight.state == "flying"
    assert flights.leave(b"k", flight, follower) == "nobody_left"
    assert flights.join(b"k", 0.0)[0] is not flight


def test_a_failure_is_shared_by_those_aboard_and_not_remembered():
    flights = Flights()
    flight, _ = flights.join(b"k", 0.0)
    _, follower = flights.join(b"k", 0.0)
    flight.feed(["a"])
    error = RuntimeError("down")
    flights.fail(b"k", flight, error)
    assert flight.read(follower) == ["a"]
    assert (flight.state, flight.error) == ("failed", error)
    again, member = flights.join(b"k", 0.0)
    assert again is not flight
    assert not member.shared


def test_a_finished_answer_is_given_again_within_the_window():
    flights = Flights(window=2.0)
    flight, leader = flights.join(b"k", 0.0)
    flight.feed(["a"])
    flights.land(b"k", flight, 1.0)
    flights.leave(b"k", flight, leader)
    same, late = flights.join(b"k", 2.9)
    assert same is flight
    assert late.shared
    assert flight.read(late) == ["a"]
    assert flights.join(b"k", 3.0)[0] is not flight


def test_without_a_window_nothing_is_kept():
    flights = Flights(window=0)
    flight, _ = flights.join(b"k", 0.0)
    flights.land(b"k", flight, 0.0)
    assert len(flights) == 0


def test_what_is_kept_is_bounded_by_chunks():
    flights = Flights(max_landed_chunks=10)
    for number in range(20):
        key = bytes([number])
        flight, _ = flights.join(key, 0.0)
        flight.feed(["x"] * 4)
        flights.land(key, flight, 0.0)
    assert flights.landed_chunks == 8
    assert len(flights) == 2


def test_a_long_stream_is_not_joined_late_and_waits_for_its_slowest_reader():
    flights = Flights(max_chunks=4)
    flight, fast = flights.join(b"k", 0.0)
    _, slow = flights.join(b"k", 0.0)
    flight.feed("abcd")
    assert flight.read(fast) == list("abcd")
    assert not flight.has_room
    assert flight.read(slow) == list("abcd")
    assert flight.has_room
    assert not flight.is_whole
    other, _ = flights.join(b"k", 0.0)
    assert other is not flight
    flights.leave(b"k", flight, slow)
    flight.feed("ef")
    assert flight.read(fast) == list("ef")
