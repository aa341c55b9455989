"""From a name to its group."""

from __future__ import annotations

import pytest

from gatewright.errors import ConfigurationError, NotFound
from gatewright.layers.routing import table as module
from gatewright.layers.routing.table import RoutingTable
from gatewright.types.deployment import Deployment


def deployment(group: str, model: str = "m", id_: str | None = None) -> Deployment:
    return Deployment(id=id_ or group, group=group, provider="p", model=model)


def models(table: RoutingTable, name: str) -> list[str]:
    return [state.deployment.model for state in table.find(name).states]


def test_a_name_an_alias_and_an_alias_of_an_alias_are_one_group():
    table = RoutingTable([deployment("a")], aliases={"b": "a", "c": "b"})
    assert table.find("a") is table.find("b") is table.find("c")


def test_an_alias_never_hides_a_group():
    table = RoutingTable([deployment("a"), deployment("b")], aliases={"a": "b"})
    assert table.find("a").name == "a"


def test_aliases_in_a_circle_are_a_model_that_is_not_there():
    table = RoutingTable([deployment("a")], aliases={"x": "y", "y": "x"})
    with pytest.raises(NotFound):
        table.find("x")


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(NotFound, match=r"'gpt-4p'.*'gpt-4o'") as caught:
        RoutingTable([deployment("gpt-4o")]).find("gpt-4p")
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("pattern", "model", "name", "asked"),
    [
        ("openai/*", "*", "openai/gpt-4o", "gpt-4o"),
        ("*", "*", "anything/at-all", "anything/at-all"),
        ("eu-*", "gpt-4o", "eu-fast", "gpt-4o"),
        ("*-eu", "m-*", "fast-eu", "m-fast"),
        ("ft:*:static:*", "*/static/*", "ft:a:static:b", "a/static/b"),
        ("openai/*", "*", "openai/ft:gpt-4o[x]?", "ft:gpt-4o[x]?"),
        ("openai/*", "*", "openai/*", "*"),
    ],
)
def test_a_wildcard_fills_the_model(pattern: str, model: str, name: str, asked: str):
    assert models(RoutingTable([deployment(pattern, model)]), name) == [asked]


@pytest.mark.parametrize("name", ["openai", "other/x", "xopenai/y"])
def test_a_wildcard_that_does_not_match_is_not_taken(name: str):
    with pytest.raises(NotFound):
        RoutingTable([deployment("openai/*", "*")]).find(name)


def test_beginning_and_end_of_a_pattern_do_not_share_letters():
    with pytest.raises(NotFound):
        RoutingTable([deployment("ab*ba", "*")]).find("aba")


def test_the_most_specific_pattern_wins():
    table = RoutingTable([deployment("*", "any"), deployment("openai/*", "mine"), deployment("openai/gpt-*", "gpt")])
    assert models(table, "openai/gpt-4o") == ["gpt"]
    assert models(table, "openai/o3") == ["mine"]
    assert models(table, "x") == ["any"]


def test_a_long_name_against_many_stars_ends_soon():
    table = RoutingTable([deployment("a*a*a*a*b", "m")])
    with pytest.raises(NotFound):
        table.find("a" * 50_000)


def test_groups_made_on_demand_are_kept_while_they_are_asked_for_and_then_let_go_of(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "MAX_MADE", 3)
    dropped: list[str] = []
    table = RoutingTable([deployment("p/*", "*", "wild")], on_dropped=dropped.append)
    hot = table.find("p/hot")
    for number in range(10):
        table.find(f"p/{number}")
        assert table.find("p/hot") is hot
    assert len(table.groups()) == 3
    assert dropped == [f"wild:p/{number}" for number in range(8)]


def test_a_group_whose_limit_is_in_use_outlives_any_number_of_other_names(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_MADE", 3)
    monkeypatch.setattr(module, "MAX_MADE_IN_USE", 20)
    dropped: list[str] = []
    used = {"wild:p/used"}
    table = RoutingTable([deployment("p/*", "*", "wild")], on_dropped=dropped.append, in_use=used.__contains__)
    kept = table.find("p/used")
    for number in range(10):
        table.find(f"p/{number}")
    busy = table.find("p/9")
    busy.begin(busy.states[0])
    for number in range(10, 20):
        table.find(f"p/{number}")
    assert table.find("p/used") is kept
    assert table.find("p/9") is busy
    assert "wild:p/used" not in dropped
    used.update(f"wild:p/{number}" for number in range(100))
    for number in range(20, 60):
        table.find(f"p/{number}")
    assert len(table.groups()) == 20  # whatever is asked for, there is an end


def test_two_deployments_of_one_id_are_refused():
    with pytest.raises(ConfigurationError, match="'one'"):
        RoutingTable([deployment("a", id_="one"), deployment("b", id_="one")])
