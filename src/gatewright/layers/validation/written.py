"""YAML that is read so that whatever is wrong in it can be named by file, line and key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from gatewright.errors import ConfigurationError
from gatewright.types.configuration import Config, faults_of, mapping

__all__ = ["Written"]

C = TypeVar("C", bound=Config)
Path_ = tuple[int | str, ...]
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


class Written:
    """What a YAML text says, and on which line it says each thing."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self._lines: dict[Path_, int] = {}
        self.data: Any = None
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            self.data = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
            raise ConfigurationError(f"{source}:{line}: is not YAML: {error.problem or error.context}") from None
        except yaml.YAMLError:
            raise ConfigurationError(f"{source}: is not YAML: it has characters that YAML does not allow") from None
        if node is not None:
            self._note(node, ())

    @classmethod
    def read(cls, path: str | Path) -> Written:
        """Read a file."""
        try:
            return cls(Path(path).read_text(encoding="utf-8"), str(path))
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path}: is not UTF-8") from None

    def _note(self, node: yaml.Node, path: Path_) -> None:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    inner = (*path, key.value)
                    if inner in self._lines:
                        raise ConfigurationError(
                            f"{self.source}:{key.start_mark.line + 1}: {key.value}: it is here twice"
                        )
                    self._lines[inner] = key.start_mark.line + 1
                    self._note(value, inner)
        elif isinstance(node, yaml.SequenceNode):
            for place, value in enumerate(node.value):
                self._note(value, (*path, place))

    def line(self, path: Sequence[int | str]) -> int:
        """Give the line of what stands at `path`, or of the nearest thing around it."""
        steps = tuple(step if isinstance(step, int) else str(step) for step in path)
        while steps and steps not in self._lines:
            steps = steps[:-1]
        return self._lines.get(steps, 1)

    def line_of(self, written: str) -> int:
        """Give the line of a path in words, such as `guardrails[0].use[1].length.max`."""
        return self.line([int(place) if place else name for name, place in _STEP.findall(written)])

    def error(self, message: str, path: Sequence[int | str] = ()) -> ConfigurationError:
        """Make an error about what stands at `path`, with file and line before `message`."""
        return ConfigurationError(f"{self.source}:{self.line(path)}: {message}")

    def make(self, cls: type[C]) -> C:
        """Make a configuration of it; each fault is named by file, line and key."""
        values = mapping(self.data)
        if values is None:
            found = "nothing" if self.data is None else f"a {type(self.data).__name__}"
            raise self.error(f"expected a mapping of settings, got {found}")
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise ConfigurationError(
                "; ".join(f"{self.source}:{self.line(loc)}: {told}" for loc, told in faults_of(error, cls, values))
            ) from None
