from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gatewright.types.caller import ANONYMOUS, Caller
from gatewright.types.deployment import Deployment

PARTS = st.lists(st.text(alphabet="a1:|-t"), max_size=3).map(tuple)
TENANTS = st.none() | st.text(alphabet="a1:|-t", max_size=4)


@given(st.tuples(TENANTS, PARTS), st.tuples(TENANTS, PARTS))
def test_no_tenant_can_make_another_tenants_key(
    one: tuple[str | None, tuple[str, ...]], other: tuple[str | None, tuple[str, ...]]
) -> None:
    keys = [Caller(tenant_id=tenant).scoped(*parts) for tenant, parts in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


def test_nobody_is_not_the_tenant_with_the_empty_name() -> None:
    assert ANONYMOUS.scoped("a") != Caller(tenant_id="").scoped("a")


def test_a_deployment_shows_its_key_to_nobody() -> None:
    deployment = Deployment(id="d", group="g", provider="p", model="m", api_key=SecretStr("swordfish"))
    assert deployment.secret == "swordfish"
    assert "swordfish" not in repr(deployment)
    assert Deployment(id="d", group="g", provider="p", model="m").secret is None
