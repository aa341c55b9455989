"""The queue is fair, starves nobody, loses nobody, and breaks no limit."""

import math
from collections import defaultdict
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.fair_queue import FairQueue, Ticket
from gatewright.layers.rate_limiter.ledger import blocked_by, try_reserve
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.permit import Permit

UNLIMITED = RateLimitConfig()


def let_go(_ticket):
    return None


backlogs = st.lists(st.lists(st.integers(1, 5000), min_size=1, max_size=25), min_size=2, max_size=8)
weights = st.lists(st.sampled_from([1.0, 1.0, 2.0, 100.0]) | st.floats(0.1, 10), min_size=8, max_size=8)


def serve(backlogs, weights, data):
    """Let everything go of tenants that are all there from the start; gives (tenant, cost, who had calls left)."""
    queue = FairQueue()
    gate = Limit("global:", UNLIMITED, 0.0, shared=True)
    calls = [iter(costs) for costs in backlogs]
    turns = [tenant for tenant, costs in enumerate(backlogs) for _ in costs]
    for tenant in data.draw(st.permutations(turns)):
        cost = next(calls[tenant])
        queue.enqueue((tenant, cost), tenant=tenant, gates=(gate,), cost=cost, now=0.0, weight=weights[tenant])
    left = [len(costs) for costs in backlogs]
    while (ticket := queue.next(0.0, let_go)) is not None:
        tenant, cost = ticket.call
        before = [bool(calls) for calls in left]
        left[tenant] -= 1
        yield tenant, cost, before, all(left)
    assert left == [0] * len(backlogs)


@settings(max_examples=300)
@given(backlogs=backlogs, weights=weights, data=st.data())
def test_each_backlogged_tenants_share_is_within_one_request_of_its_weight(backlogs, weights, data):
    """The bound of Bennett and Zhang, "WF2Q", INFOCOM 1996; once some are done, of two requests."""
    weights = weights[: len(backlogs)]
    served, due = [0.0] * len(backlogs), [0.0] * len(backlogs)
    largest = max(max(costs) for costs in backlogs)
    largest_of = [max(costs) for costs in backlogs]
    for tenant, cost, backlogged, all_are in serve(backlogs, weights, data):
        whole = sum(weight for weight, there in zip(weights, backlogged, strict=True) if there)
        served[tenant] += cost
        for each, there in enumerate(backlogged):
            if there:
                due[each] += cost * weights[each] / whole
                assert abs(served[each] - due[each]) <= largest * (1 if all_are else 2) * (1 + 1e-9)
        if all_are:
            for f, g in combinations(range(len(backlogs)), 2):
                gap = abs(served[f] / weights[f] - served[g] / weights[g])
                assert gap <= (largest_of[f] / weights[f] + largest_of[g] / weights[g]) * (1 + 1e-9)


@settings(max_examples=150)
@given(backlogs=backlogs, data=st.data())
def test_what_tenants_of_one_weight_get_differs_by_at_most_one_request_of_each(backlogs, data):
    """The bound of Goyal et al., theorem 1, over every interval in which both are backlogged."""
    served = [[0] for _ in backlogs]
    backlogged_for = [0] * len(backlogs)
    for tenant, cost, backlogged, _ in serve(backlogs, [1.0] * len(backlogs), data):
        for other, sums in enumerate(served):
            sums.append(sums[-1] + (cost if other == tenant else 0))
            backlogged_for[other] += backlogged[other]
    for f, g in combinations(range(len(backlogs)), 2):
        both = min(backlogged_for[f], backlogged_for[g])
        gaps = [served[f][step] - served[g][step] for step in range(both)]
        # Over any interval: the largest difference of two gaps.
        assert max(gaps) - min(gaps) <= max(backlogs[f]) + max(backlogs[g])


def test_a_heavy_tenant_does_not_wait_for_the_first_call_of_each_light_one():
    queue = FairQueue()
    gate = Limit("global:", UNLIMITED, 0.0, shared=True)
    for tenant, weight in [(f"light {n}", 1.0) for n in range(10)] + [("heavy", 100.0)]:
        for _ in range(120):
            queue.enqueue(tenant, tenant=tenant, gates=(gate,), cost=10, now=0.0, weight=weight)
    went = [queue.next(0.0, let_go).call for _ in range(110)]
    assert [went[: n + 1].count("heavy") for n in (10, 54, 109)] == [10, 50, 100]


def test_another_weight_holds_for_those_who_wait():
    queue = FairQueue()
    gate = Limit("global:", UNLIMITED, 0.0, shared=True)
    for tenant in [f"light {n}" for n in range(10)] + ["heavy"]:
        for _ in range(120):
            queue.enqueue(tenant, tenant=tenant, gates=(gate,), cost=10, now=0.0)
    assert sum(queue.next(0.0, let_go).call == "heavy" for _ in range(11)) == 1
    queue.enqueue("heavy", tenant="heavy", gates=(gate,), cost=10, now=0.0, weight=100.0)
    went = [queue.next(0.0, let_go).call for _ in range(110)]
    assert all(abs(went[:n].count("heavy") - n * 10 / 11) <= 1 for n in range(111))


class World:
    """Tenants, models and a global limit, the real ledger, and a clock that goes from alarm to alarm."""

    def __init__(self, tenant_limits, model_limits, whole, weights=(1.0, 1.0, 1.0)) -> None:
        self.now = 0.0
        self.weights = weights
        self.whole = Limit("global:", whole, 0.0, shared=True)
        self.tenants = [Limit(f"tenant:{n}", config, 0.0) for n, config in enumerate(tenant_limits)]
        self.models = [Limit(f"model:{n}", config, 0.0, shared=True) for n, config in enumerate(model_limits)]
        self.queue = FairQueue()
        self.ends: list[tuple[float, Permit]] = []
        self.served: list[Ticket] = []

    def arrive(self, tenant, model, tokens, duration) -> Ticket:
        gates = (self.whole, self.models[model], self.tenants[tenant])
        weight = self.weights[tenant]
        return self.queue.enqueue(
            (tokens, duration), tenant=tenant, gates=gates, cost=tokens, now=self.now, weight=weight
        )

    def admit(self, ticket):
        tokens, duration = ticket.call
        gates = [line.gate for line in ticket.lane.lines]
        got = try_reserve(gates, tokens, self.now)
        if not isinstance(got, Permit):
            return blocked_by(gates, tokens, self.now)
        self.ends.append((self.now + duration, got))
        return None

    def pump(self) -> None:
        while (ticket := self.queue.next(self.now, self.admit)) is not None:
            self.served.append(ticket)

    def advance(self, until) -> bool:
        """Go on to the next alarm or end of a call, at most until `until`; False if nothing happens before."""
        times = [end for end, _ in self.ends]
        if (alarm := self.queue.next_alarm) is not None:
            times.append(alarm)
        if not times or min(times) > until:
            self.now = max(self.now, until)
            return False
        self.now = max(self.now, min(times))
        for end, reservation in [pair for pair in self.ends if pair[0] <= self.now]:
            self.ends.remove((end, reservation))
            reservation.settle(reservation.tokens, self.now)
            for limit in reservation.limits:
                self.queue.wake(limit)
        self.pump()
        return True


limit_configs = st.builds(
    RateLimitConfig,
    requests_per_minute=st.none() | st.integers(20, 600),
    tokens_per_minute=st.none() | st.integers(2000, 60_000),
    burst_size=st.integers(1, 10),
    burst_tokens=st.integers(100, 3000),
    max_concurrent=st.none() | st.integers(1, 4),
)
arrivals = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.1, 2.0]),
        st.integers(0, 2),
        st.integers(0, 1),
        st.integers(1, 2000),
        st.floats(0, 3),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(
    tenant_limits=st.lists(limit_configs, min_size=3, max_size=3),
    model_limits=st.lists(limit_configs, min_size=2, max_size=2),
    whole=limit_configs,
    weights=st.lists(st.sampled_from([0.1, 1.0, 1.0, 20.0]), min_size=3, max_size=3),
    arrivals=arrivals,
)
def test_everyone_who_does_not_leave_is_served_in_a_bounded_time_and_nothing_remains(
    tenant_limits, model_limits, whole, weights, arrivals
):
    world = World(tenant_limits, model_limits, whole, weights)
    tickets: list[Ticket] = []
    left: set[Ticket] = set()
    for gap, tenant, model, tokens, duration, leaves in arrivals:
        until = world.now + gap
        while world.advance(until):
            pass
        tickets.append(world.arrive(tenant, model, tokens, duration))
        if leaves and world.queue.cancel(tickets[len(tickets) // 2]):
            left.add(tickets[len(tickets) // 2])
        world.pump()
    # The slowest limit here lets 20 requests and 2,000 tokens a minute pass: all of them in a row bound the time.
    bound = world.now + len(arrivals) * 3 + len(arrivals) * 3 + sum(item[3] for item in arrivals) / 2000 * 60 * 3
    bound += len(arrivals) * 9
    while len(world.queue):
        assert world.advance(bound), f"{len(world.queue)} calls still wait at {world.now}"
    assert len(world.served) == len(set(world.served))
    assert set(world.served) == set(tickets) - left
    in_lanes = defaultdict(list)
    for ticket in world.served:
        in_lanes[ticket.lane.key].append(ticket.seq)
    assert all(order == sorted(order) for order in in_lanes.values())
    assert world.queue.remembered_shares == 0
    assert all(limit.pinned == 0 for limit in (world.whole, *world.tenants, *world.models))


def flood(world, *, seconds, every, makes):
    """Have `makes` arrive `every` so many seconds while time goes on."""
    end = world.now + seconds
    while world.now < end:
        for tenant, model, tokens in makes:
            world.arrive(tenant, model, tokens, 0.0)
        world.pump()
        until = world.now + every
        while world.advance(until):
            pass


@settings(max_examples=25, deadline=None)
@given(big=st.integers(200, 1500), small=st.integers(1, 100), every=st.sampled_from([0.05, 0.2]))
def test_a_big_call_is_not_starved_by_a_flood_of_small_ones(big, small, every):
    tokens = RateLimitConfig(tokens_per_minute=6000, burst_tokens=1000)
    world = World([UNLIMITED] * 3, [UNLIMITED], tokens)
    flood(world, seconds=5, every=every, makes=[(0, 0, small), (1, 0, small)] * 5)
    ticket = world.arrive(2, 0, big, 0.0)
    began = world.now
    while ticket.waiting and world.now < began + 200:
        flood(world, seconds=1, every=every, makes=[(0, 0, small), (1, 0, small)] * 5)
    # Its turn comes at once; it has to wait for its tokens to be refilled, at 100 a second, and little else.
    assert not ticket.waiting
    assert world.now - began <= min(big, 1000) / 100 + small / 100 * 4 + 3


@settings(max_examples=15, deadline=None)
@given(tokens=st.integers(50, 300), every=st.sampled_from([0.1, 0.3]))
def test_a_call_is_not_sent_to_and_fro_between_its_own_and_a_shared_limit_for_ever(tokens, every):
    own = RateLimitConfig(tokens_per_minute=6000, burst_tokens=300)
    model = RateLimitConfig(tokens_per_minute=6000, burst_tokens=300)
    world = World([own, UNLIMITED, UNLIMITED], [model, UNLIMITED], UNLIMITED)
    # Tenant 0 keeps its own limit busy at the free model, the others keep the limited model busy.
    makes = [(0, 1, tokens), (1, 0, tokens), (2, 0, tokens)]
    flood(world, seconds=10, every=every, makes=makes)
    ticket = world.arrive(0, 0, 300, 0.0)
    began = world.now
    while ticket.waiting and world.now < began + 300:
        flood(world, seconds=1, every=every, makes=makes)
    assert not ticket.waiting


def test_one_tenants_flood_does_not_hold_up_another():
    own = RateLimitConfig(requests_per_minute=60, burst_size=1)
    world = World([own, own, own], [UNLIMITED], RateLimitConfig(requests_per_minute=6000, burst_size=1))
    for _ in range(500):
        world.arrive(0, 0, 10, 0.0)
    world.pump()
    waits = []
    for _ in range(20):
        until = world.now + 1.1
        while world.advance(until):
            pass
        ticket = world.arrive(1, 0, 10, 0.0)
        began = world.now
        world.pump()
        while ticket.waiting:
            assert world.advance(math.inf)
        waits.append(world.now - began)
    assert max(waits) <= 0.05


class QueueMachine(RuleBasedStateMachine):
    """Gates that open and close as they like: who can go goes, in order, once; who left is never served."""

    @initialize()
    def start(self):
        self.queue = FairQueue()
        self.gates = [Limit(f"gate:{n}", UNLIMITED, 0.0, shared=n < 2) for n in range(5)]
        self.open = dict.fromkeys(self.gates, True)
        self.waiting: list[Ticket] = []
        self.gone: list[Ticket] = []
        self.now = 0.0

    def admit(self, ticket):
        assert ticket in self.waiting, "asked for a call that does not wait"
        for line in ticket.lane.lines:
            if not self.open[line.gate]:
                return line.gate, math.inf
        return None

    @rule(
        tenant=st.integers(0, 2),
        model=st.integers(0, 1),
        cost=st.integers(0, 100),
        priority=st.sampled_from([0, 0, 1]),
        weight=st.sampled_from([0.1, 1.0, 1.0, 20.0]),
    )
    def enqueue(self, tenant, model, cost, priority, weight):
        gates = (self.gates[model], self.gates[2 + tenant])
        ticket = self.queue.enqueue(
            None, tenant=tenant, gates=gates, cost=cost, now=self.now, priority=priority, weight=weight
        )
        self.waiting.append(ticket)
        assert self.queue.position(ticket) >= 1

    @precondition(lambda self: self.waiting)
    @rule(number=st.integers(0, 1000))
    def cancel(self, number):
        ticket = self.waiting.pop(number % len(self.waiting))
        assert self.queue.cancel(ticket)
        assert not self.queue.cancel(ticket)
        assert self.queue.position(ticket) == 0

    @rule(number=st.integers(0, 4))
    def close_or_open(self, number):
        gate = self.gates[number]
        self.open[gate] = not self.open[gate]
        if self.open[gate]:
            self.queue.wake(gate)

    @rule()
    def pump(self):
        while (ticket := self.queue.next(self.now, self.admit)) is not None:
            self.waiting.remove(ticket)
            self.gone.append(ticket)
        # Gates stay open here however many pass, so nobody may be left whose gates are all open: unless another
        # call of the same tenant was turned away twice, and has the tenant's own gate kept for it.
        for ticket in self.waiting:
            lines = ticket.lane.lines
            assert any(not self.open[line.gate] or line.holder not in (None, ticket.lane) for line in lines)

    @invariant()
    def the_counts_are_right(self):
        if not hasattr(self, "queue"):
            return
        assert len(self.queue) == len(self.waiting)
        assert not any(ticket.waiting for ticket in self.gone)
        if not self.waiting:
            assert self.queue.remembered_shares == 0
            assert all(gate.pinned == 0 for gate in self.gates)

    def teardown(self):
        if not hasattr(self, "queue"):
            return
        for gate in self.gates:
            self.open[gate] = True
            self.queue.wake(gate)
        self.pump()
        assert not self.waiting


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
