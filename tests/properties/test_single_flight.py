"""Single flights with random joins, leaves and failures."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.layers.deduplication.board import ANSWER, Board

from gatewright.layers.deduplication.landed import Landed

KEYS = [b"a", b"b"]
WINDOW = 5.0


class FlightMachine(RuleBasedStateMachine):
    """Everyone aboard has, at the end, every chunk once and in order, or the error after a beginning of them."""

    @initialize(max_chunks=st.integers(1, 12), max_landed=st.integers(0, 3))
    def start(self, max_chunks, max_landed):
        self.max_chunks = max_chunks
        self.board = Board(WINDOW, max_chunks, max_landed=max_landed)
        self.flights = self.board.flights
        self.upstream = {}  # a flight: all chunks it was ever fed
        self.keys = {}
        self.aboard = {}  # a member: its flight and what it has read
        self.order = {}  # a flight: its members by arrival
        self.landed = {}  # what landed: its flight
        self.calls = 0

    def flying(self):
        return [flight for flight in self.order if flight.state == "flying" and self.order[flight]]

    @rule(key=st.sampled_from(KEYS))
    def join(self, key):
        flight, member = self.board.join(key)
        if isinstance(flight, Landed):
            assert flight.key == key
            assert self.board.now < flight.until
            assert flight.chunks == self.upstream[self.landed[flight]]
            return
        new = flight not in self.upstream
        assert member.shared is not new
        if new:
            self.upstream[flight] = []
            self.keys[flight] = key
            self.order[flight] = []
        else:
            assert self.keys[flight] == key
            assert flight.state != "failed", "a failure was remembered"
            assert flight.state == "flying"
        same = [other for other in self.flying() if self.keys[other] == key and other is not flight]
        assert all(not other.is_whole for other in same), "two calls for the same request"
        self.aboard[member] = (flight, [])
        self.order[flight].append(member)

    @precondition(lambda self: self.flying())
    @rule(number=st.integers(0, 100), size=st.integers(1, 4))
    def feed(self, number, size):
        flight = self.flying()[number % len(self.flying())]
        if flight.has_room:
            seen = self.upstream[flight]
            batch = list(range(len(seen), len(seen) + size))
            seen.extend(batch)
            flight.feed(batch)
        else:
            assert any(len(self.aboard[member][1]) < len(self.upstream[flight]) for member in self.order[flight])

    @precondition(lambda self: self.aboard)
    @rule(number=st.integers(0, 100))
    def read(self, number):
        member = list(self.aboard)[number % len(self.aboard)]
        flight, read = self.aboard[member]
        read.extend(flight.read(member))
        assert read == self.upstream[flight]

    @precondition(lambda self: self.aboard)
    @rule(number=st.integers(0, 100))
    def leave(self, number):
        member = list(self.aboard)[number % len(self.aboard)]
        flight, _ = self.aboard.pop(member)
        members = self.order[flight]
        led = members[0] is member
        members.remove(member)
        flying = flight.state == "flying"
        assert flight.leave(member) is (flying and not members)
        assert not (flying and led and members and members[0].shared), "nobody pays"
        assert not flight.leave(member)

    @precondition(lambda self: self.flying())
    @rule(number=st.integers(0, 100), fails=st.booleans())
    def end(self, number, fails):
        flight = self.flying()[number % len(self.flying())]
        if fails:
            flight.ended(RuntimeError("down"))
            assert flight.error is not None
        else:
            flight.land(ANSWER)
            self.landed[flight.landed] = flight
        flight.feed([-1])
        assert -1 not in self.upstream[flight]

    @rule(seconds=st.floats(0, 6))
    def time_passes(self, seconds):
        self.board.now += seconds
        self.flights.expire()

    @invariant()
    def the_leader_is_whoever_came_first_of_those_who_stayed(self):
        for flight, members in getattr(self, "order", {}).items():
            assert flight.leader is (members[0] if members else None)

    @invariant()
    def memory_is_bounded(self):
        if hasattr(self, "flights"):
            assert all(flight.held <= self.max_chunks + 4 for flight in self.order)
            under_way = sum(bool(flight.state == "flying" and self.order[flight]) for flight in self.order)
            assert len(self.flights) <= under_way + 3

    def teardown(self):
        if not hasattr(self, "flights"):
            return
        for flight, read in self.aboard.values():
            assert read == self.upstream[flight][: len(read)]
        for member, (flight, read) in self.aboard.items():
            read.extend(flight.read(member))
            assert read == self.upstream[flight]
        self.board.now += WINDOW
        self.flights.expire()
        assert self.flights.weight == 0


TestFlightMachine = FlightMachine.TestCase
TestFlightMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
