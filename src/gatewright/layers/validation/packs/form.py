"""The `record` part of a pack: what a record of this kind is made of, as rules like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gatewright.layers.validation.packs.conditions import All, Condition, Required, Tested
from gatewright.layers.validation.packs.fields import PREVIOUS, Field, View
from gatewright.layers.validation.packs.reader import pattern_of
from gatewright.layers.validation.packs.values import Matching, OneOf, Path
from gatewright.layers.validation.packs.words import plain
from gatewright.layers.validation.rules import Problem
from gatewright.types.written import Written

__all__ = ["Formed", "formed"]

KEYS = ("required", "id", "state")
STATE = ("field", "transitions", "by", "transitions_of")


class Formed(msgspec.Struct, frozen=True):
    """A rule that the `record` part makes: its name, what it demands, and what has to hold."""

    name: str
    text: str
    condition: Condition


class Transitions:
    """The step from the previous state, where the context gives one, is a step that may be taken."""

    def __init__(self, path: Path, steps: Mapping[str, Sequence[str]], by: Path | None, of: Steps) -> None:
        self._path = path
        self._steps = steps
        self._by = by
        self._of = of

    def problems(self, view: View, /) -> Sequence[Problem]:
        """Compare the state with the one before."""
        before, now = view.get((PREVIOUS, *self._path)), view.get(self._path)
        if before is None or now is None or plain(before) == plain(now):
            return ()
        steps = self._steps
        if self._by is not None and (kind := view.get(self._by)) is not None:
            steps = {**steps, **self._of.get(plain(kind), {})}
        allowed = steps.get(plain(before))
        named = ".".join(self._path)
        if allowed is None:
            return (Problem(f"the {named} before is no state of this record"),)
        if plain(now) in allowed:
            return ()
        said = f"may only become {', '.join(allowed)}" if allowed else "may not change any more"
        return (Problem(f"a {named} that was {plain(before)} {said}"),)


Steps = Mapping[str, Mapping[str, Sequence[str]]]


def formed(written: Written, fields: Mapping[str, Field], kind: str) -> list[Formed]:
    """Read the `record` part."""
    entries = written.mapping(KEYS)
    made: list[Formed] = []
    if "required" in entries:
        paths = [_field(one, fields) for one in entries["required"].listed()]
        made.append(Formed("required", f"A record of the kind {kind} is complete.", All([*map(Required, paths)])))
    if "id" in entries:
        id_ = entries["id"].mapping(["field", "pattern"], required=["field", "pattern"])
        path = _field(id_["field"], fields)
        test = Tested(path, Matching(pattern_of(id_["pattern"])))
        made.append(Formed("id", f"A record of the kind {kind} has a number of its own form.", _IfThere(path, test)))
    states = _field(entries["state"].mapping(STATE, required=STATE[:2])["field"], fields) if "state" in entries else ()
    made += [
        Formed(field.name, f"The {field.name} is one of the words for it.", _IfThere((field.name,), test))
        for field in fields.values()
        if field.words and field.name not in states
        for test in (Tested((field.name,), OneOf(field.values)),)
    ]
    if "state" in entries:
        made += _states(entries["state"], fields)
    return made


def _states(written: Written, fields: Mapping[str, Field]) -> list[Formed]:
    entries = written.mapping(STATE)
    path = _field(entries["field"], fields)
    steps = _steps(entries["transitions"], None)
    by = _field(entries["by"], fields) if "by" in entries else None
    of: dict[str, Mapping[str, Sequence[str]]] = {}
    if "transitions_of" in entries:
        if by is None:
            raise entries["transitions_of"].fault("by is missing: the field that says which of these hold")
        of = {plain(name): _steps(one, steps) for name, one in entries["transitions_of"].mapping().items()}
    known = Tested(path, OneOf(list(steps)))
    name = path[0]
    return [
        Formed(name, f"The {name} is one that such a record can be in.", _IfThere(path, known)),
        Formed("transition", f"The {name} changes by the steps that are allowed.", Transitions(path, steps, by, of)),
    ]


def _steps(written: Written, known: Mapping[str, Sequence[str]] | None) -> dict[str, Sequence[str]]:
    """Read which states may follow on which; each that is named has to be a state."""
    entries = {plain(name): one for name, one in written.mapping().items()}
    states = entries if known is None else known
    for name, entry in entries.items():
        if name not in states:
            raise entry.fault(f"expected one of {', '.join(states)}")
        for one in entry.listed():
            if plain(one.text()) not in states:
                raise one.fault(f"there is no state {one.text()}: expected one of {', '.join(states)}")
    return {name: [plain(one) for one in entry.texts()] for name, entry in entries.items()}


def _field(written: Written, fields: Mapping[str, Field]) -> Path:
    name = written.one_of(fields) if fields else plain(written.text())
    return (name,)


class _IfThere:
    """What is missing is another rule's."""

    def __init__(self, path: Path, condition: Condition) -> None:
        self._path = path
        self._condition = condition

    def problems(self, view: View, /) -> Sequence[Problem]:
        """Ask only where the field says something."""
        return () if view.get(self._path) is None else self._condition.problems(view)
