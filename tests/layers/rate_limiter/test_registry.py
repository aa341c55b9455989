from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.ledger import try_reserve
from gatewright.layers.rate_limiter.permit import Permit
from gatewright.layers.rate_limiter.registry import EVERY, LimitRegistry, Standing

LIMIT = RateLimitConfig(requests_per_minute=60)


def test_all_limits_that_apply_are_found_the_global_one_first():
    registry = LimitRegistry()
    for scope, name in (
        ("key", "k"),
        ("tenant", "a"),
        ("model", "m"),
        ("tenant_model", ("a", "m")),
        ("deployment", "d"),
        ("global", ""),
    ):
        registry.configure(scope, name, LIMIT, 0.0)
    found = registry.limits_of(0.0, tenant="a", model="m", deployment="d", key="k")
    assert [limit.scope.split(":")[0] for limit in found] == [
        "global",
        "tenant",
        "model",
        "tenant_model",
        "deployment",
        "key",
    ]
    assert [limit.shared for limit in found] == [True, False, True, False, True, False]
    assert registry.limits_of(0.0, tenant="a", model="m", deployment="d", key="k") == found
    assert [limit.scope for limit in registry.limits_of(0.0, tenant="b", model="n")] == ["global:"]


def test_every_tenant_can_have_a_limit_of_its_own_also_the_nameless_one():
    registry = LimitRegistry()
    registry.configure("tenant", EVERY, LIMIT, 0.0)
    registry.configure("tenant", "big", RateLimitConfig(requests_per_minute=600), 0.0)
    limits = {name: registry.limits_of(0.0, tenant=name) for name in ("a", "b", "big", None)}
    assert len({id(found[0]) for found in limits.values()}) == 4
    assert [found[0].config.requests_per_minute for found in limits.values()] == [60, 60, 600, 60]


def test_nothing_configured_is_nothing_found():
    assert LimitRegistry().limits_of(0.0, tenant="a", model="m") == ()


def test_a_change_reaches_the_limits_in_use_and_names_them():
    registry = LimitRegistry()
    registry.configure("tenant", EVERY, LIMIT, 0.0)
    (a,) = registry.limits_of(0.0, tenant="a")
    try_reserve([a], 1, 0.0)
    (b,) = registry.limits_of(0.0, tenant="b")
    assert registry.configure("tenant", "a", RateLimitConfig(requests_per_minute=6), 0.0) == [a]
    assert registry.configure("tenant", EVERY, RateLimitConfig(requests_per_minute=30), 0.0) == [b]
    assert a.requests and b.requests
    assert (a.requests.rate, b.requests.rate) == (0.1, 0.5)
    assert registry.configure("tenant", "a", None, 0.0) == [a]
    assert a.requests.rate == 0.5


def test_a_removed_limit_lets_those_who_wait_for_it_go():
    registry = LimitRegistry()
    registry.configure("tenant", "a", RateLimitConfig(requests_per_minute=1), 0.0)
    limits = registry.limits_of(0.0, tenant="a")
    try_reserve(limits, 1, 0.0)
    assert not isinstance(try_reserve(limits, 1, 0.0), Permit)
    assert registry.configure("tenant", "a", None, 0.0) == list(limits)
    assert isinstance(try_reserve(limits, 1, 0.0), Permit)
    assert registry.limits_of(0.0, tenant="a") == ()


def test_idle_tenants_are_forgotten_as_new_ones_come_and_those_in_use_are_not():
    registry = LimitRegistry()
    registry.configure("tenant", EVERY, LIMIT, 0.0)
    busy = registry.limits_of(0.0, tenant="busy")
    try_reserve(busy, 1, 0.0)
    pinned = registry.limits_of(0.0, tenant="pinned")
    pinned[0].pinned += 1
    for number in range(1000):
        registry.limits_of(1000.0 + number, tenant=f"t{number}")
    assert len(registry) < 20
    assert registry.limits_of(2000.0, tenant="busy") == busy
    assert registry.limits_of(2000.0, tenant="pinned") == pinned


def test_a_sweep_forgets_what_is_full_again():
    registry = LimitRegistry()
    registry.configure("tenant", EVERY, LIMIT, 0.0)
    for number in range(100):
        got = try_reserve(registry.limits_of(0.0, tenant=f"t{number}"), 1, 0.0)
        assert isinstance(got, Permit)
        got.settle(1, 0.0)
    assert registry.evict_idle(0.5) == 0
    assert registry.evict_idle(2.0) == 100
    assert len(registry) == 0


def test_a_tenants_limit_of_a_model_can_be_given_for_each_tenant_or_each_model():
    registry = LimitRegistry()
    for name, per_minute in (((EVERY, "m"), 1), (("a", EVERY), 2), (("a", "m"), 3), (EVERY, 4)):
        registry.configure("tenant_model", name, RateLimitConfig(requests_per_minute=per_minute), 0.0)

    def found(tenant, model):
        return registry.limits_of(0.0, tenant=tenant, model=model)[0].config.requests_per_minute

    assert [found("a", "m"), found("b", "m"), found("a", "n"), found(None, "n")] == [3, 1, 2, 4]
    registry.configure("tenant_model", ("a", "m"), None, 0.0)
    assert found("a", "m") == 1
    registry.configure("tenant_model", (EVERY, "m"), RateLimitConfig(requests_per_minute=9), 0.0)
    assert [found("a", "m"), found("b", "m"), found("a", "n")] == [9, 9, 2]


def test_a_tenants_standing_is_what_is_said_most_particularly():
    registry = LimitRegistry()
    assert registry.standing("a", "m") == Standing(1.0, 0)
    registry.configure("tenant", EVERY, RateLimitConfig(weight=2.0, priority=1), 0.0)
    registry.configure("tenant_model", ("a", "m"), RateLimitConfig(priority=5), 0.0)
    assert registry.standing("b", "m") == Standing(2.0, 1)
    assert registry.standing("a", "m") == Standing(2.0, 5)


def test_no_two_tenants_have_one_scope():
    registry = LimitRegistry()
    registry.configure("tenant", EVERY, RateLimitConfig(requests_per_minute=1), 0.0)
    registry.configure("tenant_model", (EVERY, EVERY), RateLimitConfig(requests_per_minute=1), 0.0)
    tenants = (None, "None", "a", "a:b", "('a', 'b')", "m", "a', 'm")
    scopes = [one.scope for tenant in tenants for one in registry.limits_of(0.0, tenant=tenant, model="m")]
    assert len(scopes) == len(set(scopes)) == 2 * len(tenants)
