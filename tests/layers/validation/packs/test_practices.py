"""The shipped packs find each fault that they are for, and nothing in records that are right."""

from __future__ import annotations

import random

import msgspec
import pytest
from tests.layers.validation.packs import tickets

from gatewright.layers.validation.levels import ValidationLevel
from gatewright.layers.validation.packs.cases import Case, tried
from gatewright.layers.validation.packs.loading import SHIPPED, shipped_pack

KINDS = sorted(tickets.MAKERS)


def case(ticket: tickets.Ticket, rng: random.Random) -> Case:
    items = list(ticket.record.items())
    rng.shuffle(items)
    text = msgspec.json.encode(dict(items)).decode()
    expect = frozenset(f"{ticket.kind}.{rule}" for rule in ticket.expect)
    return Case(name=f"{ticket.kind}: {ticket.expect}: {text}", text=text, context=ticket.context, expect=expect)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_confusion_table_is_perfect(kind: str) -> None:
    rng = random.Random(5)
    made = [*tickets.right(kind, 300, seed=1), *tickets.wrong(kind, 25, seed=2)]
    trial = await tried(shipped_pack(kind), [case(one, rng) for one in made], ValidationLevel.STRICT)
    assert trial.mismatches[:3] == []
    assert trial.total.precision == trial.total.recall == 1.0
    assert trial.total.tp >= 25 * len(tickets.FAULTS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_has_its_fault(kind: str) -> None:
    rules = {rule.id.removeprefix(f"{kind}.") for rule in shipped_pack(kind).rules}
    assert rules - set(tickets.FAULTS[kind]) == {"format.record"}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_finding_cites_its_rule(name: str) -> None:
    for rule in shipped_pack(name).rules:
        assert rule.id.startswith(f"{name}.")
        assert rule.text.endswith(".")
        assert rule.text[0].isupper()
