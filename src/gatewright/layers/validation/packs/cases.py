"""Cases that a pack is tried on: what it finds in each, beside what it should."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.levels import ValidationLevel
from gatewright.layers.validation.packs.pack import RulePack
from gatewright.layers.validation.rules import Context
from gatewright.types.configuration import nearest

__all__ = ["Case", "Counts", "Mismatch", "Trial", "read_cases", "tried"]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A text, what is known about it, the rules that should find something in it, and whether it may pass.

    `valid` is None where the case says nothing of that.
    """

    name: str
    text: str
    context: dict[str, Any] = {}
    expect: frozenset[str] = frozenset()
    valid: bool | None = None


class Counts(msgspec.Struct, kw_only=True):
    """How often a rule found something where it should (`tp`), should not (`fp`), and not where it should (`fn`)."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    @property
    def precision(self) -> float | None:
        """Of what was found, the part that should have been; None where nothing was."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        """Of what should have been found, the part that was; None where nothing should."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of the two; None where nothing was found and nothing should have been."""
        wrong = self.fp + self.fn
        return 2 * self.tp / (2 * self.tp + wrong) if self.tp + wrong else None


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A case that did not come out as it should."""

    case: str
    missed: list[str]
    unexpected: list[str]
    verdict: str = ""
    """What the verdict was, where it should have been the other."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """How a pack did on cases: the counts of each rule, in the pack's order, and each case that came out wrong."""

    cases: int
    counts: dict[str, Counts]
    mismatches: list[Mismatch]

    @property
    def total(self) -> Counts:
        """The counts of all rules together."""
        sums = {name: sum(getattr(one, name) for one in self.counts.values()) for name in ("tp", "fp", "fn", "tn")}
        return Counts(**sums)


def read_cases(path: Path, pack: RulePack) -> list[Case]:
    """Read cases from JSON lines; a `ConfigurationError` names file, line and key."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8") from None
    cases = [
        _case(f"{path}:{number}", number, line, pack) for number, line in enumerate(lines, start=1) if line.strip()
    ]
    if not cases:
        raise ConfigurationError(f"{path}: there are no cases in it")
    return cases


async def tried(pack: RulePack, cases: Sequence[Case], level: ValidationLevel) -> Trial:
    """Try a pack on cases, as a guardrail at `level` would judge them."""
    guardrail = Guardrail(pack.name, pack.rules, level=level)
    counts = {rule.id: Counts() for rule in pack.rules}
    mismatches: list[Mismatch] = []
    for case in cases:
        result = await guardrail.validate_async(case.text, Context(values=case.context))
        found = {finding.rule for finding in result.findings}
        _count(counts, found, case.expect)
        if (wrong := _mismatch(pack, case, found, result.is_valid)) is not None:
            mismatches.append(wrong)
    return Trial(cases=len(cases), counts=counts, mismatches=mismatches)


def _count(counts: dict[str, Counts], found: set[str], expect: frozenset[str]) -> None:
    for rule, count in counts.items():
        kind = ("tp" if rule in expect else "fp") if rule in found else ("fn" if rule in expect else "tn")
        setattr(count, kind, getattr(count, kind) + 1)


def _mismatch(pack: RulePack, case: Case, found: set[str], valid: bool) -> Mismatch | None:
    differs = case.valid is not None and case.valid is not valid
    if not differs and found == set(case.expect):
        return None
    return Mismatch(
        case=case.name,
        missed=_in_order(pack, case.expect - found),
        unexpected=_in_order(pack, found - case.expect),
        verdict=f"{'valid' if valid else 'not valid'}, and should be the other" if differs else "",
    )


def _in_order(pack: RulePack, rules: Iterable[str]) -> list[str]:
    wanted = set(rules)
    return [rule.id for rule in pack.rules if rule.id in wanted]


class _Given(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A case as it is written."""

    expect: list[str]
    text: str | None = None
    record: dict[str, Any] | None = None
    context: dict[str, Any] = {}
    valid: bool | None = None
    name: str = ""


def _case(where: str, number: int, line: str, pack: RulePack) -> Case:
    try:
        given = msgspec.json.decode(line, type=_Given)
    except (msgspec.DecodeError, RecursionError) as error:
        told = str(error) or "it is nested too deeply"
        raise ConfigurationError(f"{where}: is no case: {told}") from None
    if (given.text is None) == (given.record is None):
        raise ConfigurationError(f"{where}: is no case: expected text or record, one of the two")
    return Case(
        name=given.name or f"line {number}",
        text=given.text if given.text is not None else msgspec.json.encode(given.record).decode(),
        context=given.context,
        expect=frozenset(_rule(where, one, pack) for one in given.expect),
        valid=given.valid,
    )


def _rule(where: str, name: str, pack: RulePack) -> str:
    """Give the id of a rule that is named with or without the pack's name."""
    ids = [rule.id for rule in pack.rules]
    for id_ in (name, f"{pack.name}.{name}"):
        if id_ in ids:
            return id_
    near = nearest(name, ids) or nearest(f"{pack.name}.{name}", ids)
    raise ConfigurationError(
        f"{where}: expect: the pack has no rule {name}" + (f"; did you mean {near}?" if near else "")
    )
