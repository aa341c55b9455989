import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import RateLimited
from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.fair_queue import FairQueue
from gatewright.layers.rate_limiter.ledger import blocked_by, try_reserve
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.outlook import wait_behind
from gatewright.layers.rate_limiter.permit import Permit


def limit(scope="global:", shared=True, **config):
    return Limit(scope, RateLimitConfig(**config), 0.0, shared=shared)


def let_go(_ticket):
    return None


def by_the_ledger(now):
    def admit(ticket):
        gates = [line.gate for line in ticket.lane.lines]
        got = try_reserve(gates, ticket.cost, now)
        return None if isinstance(got, Permit) else blocked_by(gates, ticket.cost, now)

    return admit


def all_that_go(queue, now, admit):
    gone = []
    while (ticket := queue.next(now, admit)) is not None:
        gone.append(ticket.call)
    return gone


def test_within_a_tenant_first_come_is_first_served():
    queue, gate = FairQueue(), limit()
    for number in range(5):
        queue.enqueue(number, tenant="a", gates=(gate,), cost=10, now=0.0)
    assert all_that_go(queue, 0.0, let_go) == [0, 1, 2, 3, 4]


def test_tenants_take_turns_by_weight_and_cost():
    queue, gate = FairQueue(), limit()
    for number in range(6):
        queue.enqueue(f"a{number}", tenant="a", gates=(gate,), cost=100, now=0.0, weight=2.0)
        queue.enqueue(f"b{number}", tenant="b", gates=(gate,), cost=100, now=0.0, weight=1.0)
    first = all_that_go(queue, 0.0, let_go)[:6]
    assert sorted(first) == ["a0", "a1", "a2", "a3", "b0", "b1"]


def test_a_higher_priority_goes_first_strictly():
    queue, gate = FairQueue(), limit()
    for name, priority in (("low", 0), ("high", 5), ("low too", 0), ("high too", 5)):
        queue.enqueue(name, tenant=name, gates=(gate,), cost=10, now=0.0, priority=priority)
    assert all_that_go(queue, 0.0, let_go) == ["high", "high too", "low", "low too"]


def test_a_tenant_held_up_by_its_own_limit_is_in_nobodys_way():
    queue, whole = FairQueue(), limit(requests_per_minute=6000)
    own = limit("tenant:a", shared=False, requests_per_minute=60, burst_size=1)
    for number in range(3):
        queue.enqueue(f"a{number}", tenant="a", gates=(whole, own), cost=1, now=0.0)
    queue.enqueue("b", tenant="b", gates=(whole,), cost=1, now=0.0)
    assert all_that_go(queue, 0.0, by_the_ledger(0.0)) == ["a0", "b"]
    assert queue.next_alarm == pytest.approx(1.0)
    assert all_that_go(queue, 1.0, by_the_ledger(1.0)) == ["a1"]


def test_a_tenants_call_of_a_free_model_passes_one_of_a_busy_model():
    queue, busy = FairQueue(), limit("model:m", requests_per_minute=1)
    free = limit("model:n")
    admit = by_the_ledger(0.0)
    for number in range(2):
        queue.enqueue(f"busy{number}", tenant="a", gates=(busy,), cost=1, now=0.0)
    queue.enqueue("free", tenant="a", gates=(free,), cost=1, now=0.0)
    assert all_that_go(queue, 0.0, admit) == ["busy0", "free"]


def test_a_call_may_skip_the_queue_where_nobody_waits_before_its_gates():
    queue, busy, free = FairQueue(), limit(requests_per_minute=60, burst_size=1), limit("model:m")
    assert queue.is_free((busy, free))
    for number in range(2):
        ticket = queue.enqueue(number, tenant="a", gates=(busy, free), cost=1, now=0.0)
    all_that_go(queue, 0.0, by_the_ledger(0.0))
    assert not queue.is_free((busy, free))
    assert queue.is_free((free,))
    queue.cancel(ticket)
    assert queue.is_free((busy,))


def test_a_release_wakes_as_many_as_there_is_room_for():
    queue, gate = FairQueue(), limit(max_concurrent=2)
    under_way: list[Permit] = []

    def admit(ticket):
        got = try_reserve((gate,), ticket.cost, 0.0)
        if isinstance(got, Permit):
            under_way.append(got)
            return None
        return gate, got

    for number in range(4):
        queue.enqueue(number, tenant=number, gates=(gate,), cost=1, now=0.0)
    assert all_that_go(queue, 0.0, admit) == [0, 1]
    assert queue.next_alarm is None
    under_way.pop().settle(1, 0.0)
    assert all_that_go(queue, 0.0, admit) == []
    queue.wake(gate)
    assert all_that_go(queue, 0.0, admit) == [2]


def test_a_cancelled_call_leaves_no_trace():
    queue, gate = FairQueue(), limit(requests_per_minute=60, burst_size=1)
    tickets = [queue.enqueue(n, tenant="a", gates=(gate,), cost=1, now=0.0) for n in range(3)]
    assert queue.cancel(tickets[1])
    assert not queue.cancel(tickets[1])
    assert [queue.position(ticket) for ticket in tickets] == [1, 0, 2]
    assert all_that_go(queue, 0.0, by_the_ledger(0.0)) == [0]
    assert queue.cancel(tickets[2])
    assert len(queue) == 0
    assert gate.pinned == 0
    assert queue.remembered_shares == 0


def test_behind_a_cancelled_big_call_a_small_one_goes_at_once():
    queue, gate = FairQueue(), limit(tokens_per_minute=600, burst_tokens=100)
    assert gate.tokens
    gate.tokens.take(90, 0.0)
    big = queue.enqueue("big", tenant="a", gates=(gate,), cost=100, now=0.0)
    queue.enqueue("small", tenant="a", gates=(gate,), cost=5, now=0.0)
    assert all_that_go(queue, 0.0, by_the_ledger(0.0)) == []
    queue.cancel(big)
    assert all_that_go(queue, 0.0, by_the_ledger(0.0)) == ["small"]


def test_a_full_queue_refuses_with_an_honest_retry_after():
    queue, gate = FairQueue(), limit(requests_per_minute=60, burst_size=1, max_queue_size=3)
    assert gate.requests
    gate.requests.take(1, 0.0)
    for number in range(3):
        queue.enqueue(number, tenant=number, gates=(gate,), cost=1, now=0.0)
    with pytest.raises(RateLimited, match="full") as caught:
        queue.enqueue("more", tenant="b", gates=(gate,), cost=1, now=0.0)
    assert caught.value.retry_after == pytest.approx(4.0)
    assert len(queue) == 3


def test_the_whole_queue_is_bounded_too():
    queue = FairQueue(max_size=1)
    queue.enqueue(1, tenant="a", gates=(), cost=1, now=0.0)
    with pytest.raises(RateLimited, match="full"):
        queue.enqueue(2, tenant="b", gates=(), cost=1, now=0.0)


def test_the_expected_wait_is_what_it_then_is():
    queue, gate = FairQueue(), limit(requests_per_minute=60, burst_size=1)
    tickets = [queue.enqueue(n, tenant="a", gates=(gate,), cost=1, now=0.0) for n in range(10)]
    assert all_that_go(queue, 0.0, by_the_ledger(0.0)) == [0]
    assert queue.expected_wait(tickets[9], 0.0) == pytest.approx(9.0)
    assert queue.expected_wait(tickets[0], 0.0) == 0.0


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=24), st.sampled_from([1.0, 2.0, 5.0]))
def test_what_a_call_expects_is_exact_for_a_first_one_and_never_a_turn_of_each_tenant_too_short(tenants, weight):
    queue, gate = FairQueue(), limit(requests_per_minute=60, burst_size=1)
    queue.enqueue("first", tenant="z", gates=(gate,), cost=1, now=0.0)
    all_that_go(queue, 0.0, by_the_ledger(0.0))
    tickets = [
        queue.enqueue(n, tenant=tenant, gates=(gate,), cost=1, now=0.0, weight=weight if tenant == "a" else 1.0)
        for n, tenant in enumerate(tenants)
    ]
    assert all_that_go(queue, 0.0, by_the_ledger(0.0)) == []
    expected = {ticket.call: queue.expected_wait(ticket, 0.0) for ticket in tickets}
    for second in range(1, len(tickets) + 1):
        (went,) = all_that_go(queue, float(second), by_the_ledger(float(second)))
        assert second - len(set(tenants)) * weight <= expected[went] <= len(tickets) + 1e-9
        if tenants[went] not in tenants[:went]:
            # What a heavy tenant gets meanwhile depends on who will be done by then.
            assert expected[went] == pytest.approx(second, abs=0.001 if weight == 1.0 else 1.001)


def test_who_is_first_in_line_expects_to_be_next_however_many_tenants_came_after():
    queue, gate = FairQueue(), limit(requests_per_minute=60, burst_size=1)
    queue.enqueue("first", tenant="z", gates=(gate,), cost=1, now=0.0)
    all_that_go(queue, 0.0, by_the_ledger(0.0))
    tickets = [queue.enqueue(n, tenant=f"t{n}", gates=(gate,), cost=1, now=0.0) for n in range(11)]
    all_that_go(queue, 0.0, by_the_ledger(0.0))
    assert [queue.expected_wait(ticket, 0.0) for ticket in tickets] == pytest.approx(list(range(1, 12)))


def test_at_a_tenants_own_gate_all_of_its_calls_that_came_before_are_expected_whatever_they_wait_for_beside_it():
    queue, own = FairQueue(), limit(shared=False, requests_per_minute=60, burst_size=1)
    models = [limit(), limit()]
    queue.enqueue("first", tenant="a", gates=(models[0], own), cost=1, now=0.0)
    all_that_go(queue, 0.0, by_the_ledger(0.0))
    numbers = [0] + [1] * 20 + [0]
    tickets = [queue.enqueue(n, tenant="a", gates=(models[n], own), cost=1, now=0.0) for n in numbers]
    all_that_go(queue, 0.0, by_the_ledger(0.0))
    assert [queue.expected_wait(ticket, 0.0) for ticket in tickets] == pytest.approx(list(range(1, 23)))


def test_a_tenants_turns_are_expected_for_as_many_calls_as_it_has():
    queue, gate = FairQueue(), limit(requests_per_minute=60, burst_size=1)
    queue.enqueue("first", tenant="z", gates=(gate,), cost=1, now=0.0)
    all_that_go(queue, 0.0, by_the_ledger(0.0))
    for tenant in ["flood"] * 300 + [f"t{n}" for n in range(10)]:
        queue.enqueue("other", tenant=tenant, gates=(gate,), cost=1, now=0.0)
    mine = [queue.enqueue("mine", tenant="a", gates=(gate,), cost=1, now=0.0) for _ in range(10)]
    all_that_go(queue, 0.0, by_the_ledger(0.0))
    expected = queue.expected_wait(mine[-1], 0.0)
    second = 0.0
    while mine[-1].waiting:
        second += 1.0
        all_that_go(queue, second, by_the_ledger(second))
    assert expected == pytest.approx(second, abs=1.001)
    assert second < 32.0


def test_who_is_less_urgent_expects_all_who_are_more():
    queue, gate = FairQueue(), limit(requests_per_minute=60, burst_size=1)
    for number in range(11):
        queue.enqueue(number, tenant=f"t{number % 2}", gates=(gate,), cost=1, now=0.0, priority=1)
    all_that_go(queue, 0.0, by_the_ledger(0.0))
    last = queue.enqueue("last", tenant="b", gates=(gate,), cost=1, now=0.0)
    assert queue.expected_wait(last, 0.0) == pytest.approx(11.0)
    heavy = queue.enqueue("heavy", tenant="c", gates=(gate,), cost=1, now=0.0, weight=100.0, priority=1)
    assert queue.expected_wait(heavy, 0.0) == pytest.approx(1.0)
    assert [all_that_go(queue, second, by_the_ledger(second)) for second in (1.0, 2.0)] == [["heavy"], [1]]


def test_a_newcomer_does_not_expect_to_wait_for_a_whole_flood():
    queue, gate = FairQueue(), limit(requests_per_minute=60, burst_size=1)
    for number in range(100):
        queue.enqueue(number, tenant="flood", gates=(gate,), cost=1, now=0.0)
    newcomer = queue.enqueue("b", tenant="b", gates=(gate,), cost=1, now=0.0)
    all_that_go(queue, 0.0, by_the_ledger(0.0))
    assert queue.expected_wait(newcomer, 0.0) <= 3.0
    went = all_that_go(queue, 1.0, by_the_ledger(1.0)) + all_that_go(queue, 2.0, by_the_ledger(2.0))
    assert "b" in went


def test_a_changed_limit_takes_effect_for_those_who_wait():
    queue, gate = FairQueue(), limit(requests_per_minute=1)
    for number in range(5):
        queue.enqueue(number, tenant="a", gates=(gate,), cost=1, now=0.0)
    assert all_that_go(queue, 0.0, by_the_ledger(0.0)) == [0]
    gate.change(RateLimitConfig(requests_per_minute=600, burst_size=10), 0.0)
    queue.wake(gate)
    assert all_that_go(queue, 0.2, by_the_ledger(0.2)) == [1, 2]


def test_an_error_of_the_admission_loses_nobody():
    queue, gate = FairQueue(), limit()
    queue.enqueue("a", tenant="a", gates=(gate,), cost=1, now=0.0)

    def broken(_ticket):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        queue.next(0.0, broken)
    assert all_that_go(queue, 0.0, let_go) == ["a"]


class Turnstile:
    """Lets so many calls through a gate, and none through those that are shut."""

    def __init__(self, gate, *shut):
        self.gate = gate
        self.shut = set(shut)
        self.room = 0

    def __call__(self, ticket):
        closed = next((line.gate for line in ticket.lane.lines if line.gate in self.shut), None)
        if closed is not None or not self.room:
            return closed or self.gate, math.inf
        self.room -= 1
        return None

    def let(self, queue, number):
        gone = []
        for _ in range(number):
            self.room = 1
            queue.wake(self.gate)
            gone += all_that_go(queue, 0.0, self)
        return gone


def test_a_tenant_held_up_by_its_own_limit_gets_no_credit_for_the_time():
    queue, gate, own = FairQueue(), limit(), limit("tenant:c", shared=False)
    turnstile = Turnstile(gate, own)
    for _ in range(100):
        for tenant in "ab":
            queue.enqueue(tenant, tenant=tenant, gates=(gate,), cost=10, now=0.0)
        queue.enqueue("c", tenant="c", gates=(gate, own), cost=10, now=0.0)
    assert sorted(turnstile.let(queue, 60)) == ["a"] * 30 + ["b"] * 30
    turnstile.shut.clear()
    queue.wake(own)
    assert all(10 <= turnstile.let(queue, 33).count(tenant) <= 12 for tenant in "abc")


def test_what_is_remembered_is_bounded_while_ever_new_tenants_come_and_go():
    queue, gate = FairQueue(), limit()
    turnstile = Turnstile(gate)
    for tenant in "ab":
        for _ in range(2000):
            queue.enqueue(tenant, tenant=tenant, gates=(gate,), cost=5, now=0.0)
    gone = []
    for number in range(1000):
        queue.enqueue(number, tenant=number, gates=(gate,), cost=5, now=0.0)
        gone += turnstile.let(queue, 3)
        assert queue.remembered_shares <= 12
    assert 900 <= sum(isinstance(call, int) for call in gone) <= 1000


def test_cancelled_calls_of_ever_new_tenants_are_forgotten():
    queue, gate = FairQueue(), limit()
    stays = queue.enqueue("stays", tenant="stays", gates=(gate,), cost=1, now=0.0)
    closed = {"stays"}

    def admit(ticket):
        return (gate, math.inf) if ticket.call in closed else None

    assert all_that_go(queue, 0.0, admit) == []
    for number in range(2000):
        ticket = queue.enqueue(number, tenant=number, gates=(gate,), cost=5, now=0.0)
        if number % 2:
            queue.cancel(ticket)
        elif number % 4 == 0:
            closed.discard("stays")
            queue.wake(gate)
            all_that_go(queue, 0.0, admit)
            closed.add("stays")
            if not stays.waiting:
                stays = queue.enqueue("stays", tenant="stays", gates=(gate,), cost=1, now=0.0)
                all_that_go(queue, 0.0, admit)
    assert len(queue) <= 3
    assert queue.remembered_shares <= 10


def test_ever_new_tenants_do_not_starve_one_that_had_its_turn():
    queue, gate = FairQueue(), limit()
    turnstile = Turnstile(gate)
    queue.enqueue("first", tenant="old", gates=(gate,), cost=1000, now=0.0)
    second = queue.enqueue("second", tenant="old", gates=(gate,), cost=1000, now=0.0)
    queue.enqueue("other", tenant="other", gates=(gate,), cost=1000, now=0.0)
    served = 0
    while second.waiting and served < 2000:
        for number in range(2):
            queue.enqueue("new", tenant=(served, number), gates=(gate,), cost=1000, now=0.0)
        served += len(turnstile.let(queue, 1))
    assert not second.waiting


def test_cancelled_calls_take_no_room_for_long():
    queue, gate = FairQueue(), limit()
    turnstile = Turnstile(gate)
    queue.enqueue("stays", tenant="stays", gates=(gate,), cost=1, now=0.0)
    for number in range(3000):
        ticket = queue.enqueue(number, tenant=number, gates=(gate,), cost=1, now=0.0)
        assert all_that_go(queue, 0.0, turnstile) == []
        queue.cancel(ticket)
    (line,) = ticket.lane.lines
    assert len(line.parked.due) < 100


def test_whom_a_call_held_up_at_its_tenants_own_gate_goes_when_it_leaves():
    queue, own = FairQueue(), limit("tenant:a", shared=False)
    busy, free = limit("model:busy"), limit("model:free")
    closed = {busy}

    def admit(ticket):
        return next(((line.gate, math.inf) for line in ticket.lane.lines if line.gate in closed), None)

    def open_and_close(opened, *then):
        closed.difference_update(opened)
        closed.update(then)
        for gate in opened:
            queue.wake(gate)
        return all_that_go(queue, 0.0, admit)

    first = queue.enqueue("first", tenant="a", gates=(busy, own), cost=1, now=0.0)
    assert open_and_close([]) == []
    # Its own gate is closed when the model's opens, and the other way round: so it has its own kept for it.
    assert open_and_close([busy], own) == []
    queue.enqueue("other", tenant="a", gates=(free, own), cost=1, now=0.0)
    queue.enqueue("second", tenant="a", gates=(busy, own), cost=1, now=0.0)
    assert open_and_close([own], busy) == []
    assert queue.cancel(first)
    assert all_that_go(queue, 0.0, admit) == ["other"]
    assert open_and_close([busy]) == ["second"]


def test_who_leaves_a_tenants_own_gate_would_go_behind_all_that_wait_there():
    queue, own = FairQueue(), limit("tenant:a", shared=False, requests_per_minute=60, burst_size=1)
    models = [limit("model:0"), limit("model:1")]
    queue.enqueue("first", tenant="a", gates=(models[0], own), cost=1, now=0.0)
    all_that_go(queue, 0.0, by_the_ledger(0.0))
    leaves, *_ = [queue.enqueue(n, tenant="a", gates=(models[n > 0], own), cost=1, now=0.0) for n in range(21)]
    all_that_go(queue, 0.0, by_the_ledger(0.0))
    assert wait_behind(leaves, 0.0) == pytest.approx(21.0)
