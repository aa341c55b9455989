"""What a rule says: conditions on fields and on the text, put together by all, any and not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from gatewright.layers.validation.formats.wording import WordingFormat
from gatewright.layers.validation.packs.fields import View
from gatewright.layers.validation.packs.values import Path, ValueTest
from gatewright.layers.validation.rules import Problem

__all__ = ["Absent", "All", "Any", "Condition", "Each", "Not", "Required", "Tested", "Wording"]


class Condition(Protocol):
    """Something that holds for a record and its text, or does not."""

    def problems(self, view: View, /) -> Sequence[Problem]:
        """Give why it does not hold; nothing where it does."""
        ...


class Required:
    """The field says something."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def problems(self, view: View, /) -> Sequence[Problem]:
        """Look for it."""
        return () if view.get(self._path) is not None else (Problem(f"{'.'.join(self._path)} is missing"),)


class Absent:
    """The field says nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def problems(self, view: View, /) -> Sequence[Problem]:
        """Look for it."""
        return () if view.get(self._path) is None else (Problem(f"{'.'.join(self._path)} is there"),)


class Tested:
    """The field's value stands a test; it does not where there is none."""

    def __init__(self, path: Path, test: ValueTest) -> None:
        self._path = path
        self._test = test

    def problems(self, view: View, /) -> Sequence[Problem]:
        """Put the value to the test."""
        value = view.get(self._path)
        fault = "is missing" if value is None else self._test.fault(value, view)
        return () if fault is None else (Problem(f"{'.'.join(self._path)} {fault}"),)


class Each:
    """A condition holds for every item of a list, or (`some`) for one of them at least."""

    def __init__(self, path: Path, condition: Condition, *, some: bool) -> None:
        self._path = path
        self._condition = condition
        self._some = some

    def problems(self, view: View, /) -> Sequence[Problem]:
        """Ask for each item; what is no list is a list of one."""
        value = view.get(self._path)
        named = ".".join(self._path)
        if value is None:
            return (Problem(f"{named} is missing"),)
        items = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
        found = [self._condition.problems(view.inner(item)) for item in items]  # pyright: ignore[reportUnknownVariableType]
        if self._some:
            return () if not all(found) else (Problem(f"in none of {named} it is so: {_said(found[0])}"),)
        return [Problem(f"{named}[{place}]: {one.message}") for place, each in enumerate(found) for one in each]


class All:
    """Every one of them holds."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = conditions

    def problems(self, view: View, /) -> Sequence[Problem]:
        """Ask all of them."""
        return [problem for condition in self._conditions for problem in condition.problems(view)]


class Any:
    """One of them at least holds."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = conditions

    def problems(self, view: View, /) -> Sequence[Problem]:
        """Ask until one holds."""
        told: list[str] = []
        for condition in self._conditions:
            problems = condition.problems(view)
            if not problems:
                return ()
            told.append(_said(problems))
        return (Problem(" and ".join(told)),)


class Not:
    """It does not hold; `said` is what it would say."""

    def __init__(self, condition: Condition, said: str) -> None:
        self._condition = condition
        self._said = said

    def problems(self, view: View, /) -> Sequence[Problem]:
        """Ask for the contrary."""
        return () if self._condition.problems(view) else (Problem(f"this holds and must not: {self._said}"),)


class Wording:
    """Words and patterns that stand in the text, or must not."""

    def __init__(self, wording: WordingFormat) -> None:
        self.wording = wording

    def problems(self, view: View, /) -> Sequence[Problem]:
        """Look for them."""
        return self.wording.judge(view.text)


def _said(problems: Iterable[Problem]) -> str:
    return ", ".join(problem.message for problem in problems)
