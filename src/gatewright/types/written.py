"""YAML that knows where it was written: each value with its file, line and key, for errors that lead there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import BaseModel, ValidationError

from gatewright.errors import ConfigurationError
from gatewright.types.configuration import faults_of, mapping, nearest, written_path

__all__ = ["Written", "read_file", "read_written"]

MOST_VALUES = 100_000
"""More than anyone writes: aliases of aliases can make a small file as large as one likes."""
DEEPEST = 50
"""Levels of nesting."""

Loc = tuple[str | int, ...]
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
M = TypeVar("M", bound=BaseModel)


class Written:
    """A value of a YAML file, and where it stands; whatever is wrong with it is told by `fault`."""

    __slots__ = ("_lines", "_source", "loc", "value")

    def __init__(self, value: Any, source: str, lines: dict[Loc, int], loc: Loc = ()) -> None:
        self.value = value
        self.loc = loc
        self._source = source
        self._lines = lines

    @property
    def line(self) -> int:
        """The line, from 1, on which its key stands (or itself, in a list)."""
        return self._line_of(self.loc)

    @property
    def path(self) -> str:
        """The keys that lead to it, such as `rules[2].when`."""
        return written_path(self.loc, {})

    def fault(self, message: str) -> ConfigurationError:
        """Give an error that names file, line and key before `message`."""
        return self._told(self.line, message)

    def mapping(self, known: Iterable[str] | None = None, *, required: Iterable[str] = ()) -> dict[str, Written]:
        """Give the entries of a mapping; a key that is not `known`, or one missing of `required`, is an error."""
        given = mapping(self.value)
        if given is None:
            raise self.fault(f"expected a mapping, got {self.kind}")
        entries = {key: self._inner(key, one) for key, one in given.items()}
        if known is not None:
            names = list(known)
            for key, entry in entries.items():
                if key not in names:
                    raise entry.fault(f"there is no such key{_hint(key, names)}")
        for key in required:
            if key not in entries:
                raise self.fault(f"{key} is missing")
        return entries

    def listed(self) -> list[Written]:
        """Give the items of a list."""
        if not isinstance(given := cast("object", self.value), list):
            raise self.fault(f"expected a list, got {self.kind}")
        return [self._inner(place, one) for place, one in enumerate(cast("list[Any]", given))]

    def text(self) -> str:
        """Give a text that is not empty."""
        if not isinstance(self.value, str):
            raise self.fault(f"expected a text, got {self.kind}")
        if not self.value.strip():
            raise self.fault("expected a text, got an empty one")
        return self.value

    def texts(self) -> list[str]:
        """Give the texts of a list, which may be a single one."""
        return [self.text()] if isinstance(self.value, str) else [one.text() for one in self.listed()]

    def whole_number(self) -> int:
        """Give a whole number, zero or more."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < 0:
            raise self.fault(f"expected a whole number, zero or more, got {self.kind}")
        return self.value

    def number(self) -> float:
        """Give a number."""
        if not isinstance(self.value, int | float) or isinstance(self.value, bool):
            raise self.fault(f"expected a number, got {self.kind}")
        return self.value

    def scalar(self) -> str | int | float | bool:
        """Give a text, a number or true or false."""
        if not isinstance(self.value, str | int | float):
            raise self.fault(f"expected a text, a number or true or false, got {self.kind}")
        return self.value

    def one_of(self, known: Iterable[str]) -> str:
        """Give a text that is one of `known`."""
        names, given = list(known), self.text()
        if given not in names:
            raise self.fault(f"expected one of {', '.join(names)}, got {given!r}{_hint(given, names)}")
        return given

    def read(self, cls: type[M]) -> M:
        """Make a `cls` of a mapping; what is wrong with a part of it is told at the part's line."""
        values = {key: entry.value for key, entry in self.mapping().items()}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = faults_of(error, cls, values)
            inside = f"{self.path}." if self.loc else ""
            told = "; ".join(f"{self._source}:{self._line_of((*self.loc, *at))}: {inside}{one}" for at, one in faults)
            raise ConfigurationError(told, param=written_path((*self.loc, *faults[0][0]), {})) from None

    def placed(self, error: ConfigurationError) -> ConfigurationError:
        """Give an error whose message begins with the keys of a part of this, `a.b[0]: …`, with file and line."""
        keys, separator, _ = error.message.partition(": ")
        steps = [int(place) if place else name for name, place in _STEP.findall(keys)] if separator else []
        line = self._line_of((*self.loc, *steps))
        return ConfigurationError(f"{self._source}:{line}: {error.message}", param=error.param)

    @property
    def kind(self) -> str:
        """What it is, in words."""
        names = {"dict": "a mapping", "list": "a list", "NoneType": "nothing", "str": "a text", "bool": "true or false"}
        name = type(self.value).__name__
        return names.get(name, f"{self.value!r}" if isinstance(self.value, int | float) else f"a {name}")

    def _inner(self, part: str | int, value: Any) -> Written:
        return Written(value, self._source, self._lines, (*self.loc, part))

    def _line_of(self, loc: Sequence[str | int]) -> int:
        """Give the line of the innermost part of `loc` that was written."""
        loc = tuple(loc)
        while loc and loc not in self._lines:
            loc = loc[:-1]
        return self._lines.get(loc, 1)

    def _told(self, line: int, message: str) -> ConfigurationError:
        return _fault(self._source, line, self.loc, message)


def read_file(path: str | Path) -> Written:
    """Read a YAML file; one that cannot be read is a `ConfigurationError`, as is one that is not YAML."""
    try:
        return read_written(Path(path).read_bytes(), path)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None


def read_written(text: str | bytes, source: str | Path) -> Written:
    """Read a YAML text; `source` (a file's name) begins every error, which is a `ConfigurationError`."""
    name = str(source)
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        lines: dict[Loc, int] = {}
        value = _Builder(loader, name, lines).build(node, ()) if node is not None else None
        return Written(value, name, lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "it cannot be read"
        raise ConfigurationError(f"{name}:{mark.line + 1 if mark else 1}: it is not YAML: {problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigurationError(f"{name}:1: it has characters that YAML does not allow, or is not UTF-8") from None
    except RecursionError:
        raise ConfigurationError(f"{name}:1: it is nested too deeply") from None
    finally:
        if loader is not None:
            loader.dispose()


class _Builder:
    """Makes the values of YAML's nodes, and notes the line of each."""

    def __init__(self, loader: yaml.SafeLoader, source: str, lines: dict[Loc, int]) -> None:
        self._loader = loader
        self._source = source
        self._lines = lines

    def build(self, node: yaml.Node, loc: Loc) -> Any:
        self._lines.setdefault(loc, node.start_mark.line + 1)
        if len(self._lines) > MOST_VALUES or len(loc) > DEEPEST:
            raise self._fault(node, loc, "there is too much in it, or it is nested too deeply")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, loc, "tag:yaml.org,2002:seq")
            return [self.build(one, (*loc, place)) for place, one in enumerate(node.value)]
        return self._scalar(node, loc)

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        self._check_tag(node, loc, "tag:yaml.org,2002:map")
        self._check_twice(node, loc)
        self._loader.flatten_mapping(node)
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, loc)
            self._lines[(*loc, key)] = key_node.start_mark.line + 1
            built[key] = self.build(value_node, (*loc, key))  # of a merged key, its own value comes last
        return built

    def _check_twice(self, node: yaml.MappingNode, loc: Loc) -> None:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self._key(key_node, loc)
            if key in seen:
                raise self._fault(key_node, (*loc, key), "it is there twice")
            seen.add(key)

    def _key(self, node: yaml.Node, loc: Loc) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._fault(node, loc, "a key is a text")
        # As it is written: `1`, `yes` and `null` are keys like any other.
        return str(node.value)

    def _scalar(self, node: yaml.Node, loc: Loc) -> Any:
        try:
            return self._loader.construct_object(node, deep=True)  # pyright: ignore[reportUnknownMemberType]
        except (ValueError, TypeError, OverflowError, AttributeError):
            raise self._fault(node, loc, f"{str(node.value)!r} cannot be read: put it in quotes") from None

    def _check_tag(self, node: yaml.Node, loc: Loc, expected: str) -> None:
        if node.tag != expected:
            raise self._fault(node, loc, f"the tag {node.tag} means nothing here")

    def _fault(self, node: yaml.Node, loc: Loc, message: str) -> ConfigurationError:
        return _fault(self._source, node.start_mark.line + 1, loc, message)


def _fault(source: str, line: int, loc: Loc, message: str) -> ConfigurationError:
    path = written_path(loc, {})
    return ConfigurationError(f"{source}:{line}: {path + ': ' if path else ''}{message}", param=path or None)


def _hint(name: str, known: list[str]) -> str:
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else f": {', '.join(known)} are known"
