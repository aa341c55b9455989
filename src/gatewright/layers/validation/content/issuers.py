"""The formats of secrets, by those who issue them: a maintained rule set, read from its package.

The package is kingfisher-secret-scanner (MongoDB, Apache-2.0), which carries the rules of Betterleaks (MIT) and of
OSV-SCALIBR (Apache-2.0). Taken are those that tell a secret by its own form. To load the package takes seconds, for it
compiles all it has for an engine of its own; so what is taken is kept in the user's cache directory, by its version.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gatewright.errors import MissingExtra

__all__ = ["Format", "formats"]

PACKAGE = "kingfisher-secret-scanner"
EDITION = 2
"""Of what is kept: to be counted up when it is taken from the package otherwise."""

# How the rules say that a secret has ended. In prose a full stop, a bracket or a comma ends it just as well.
_ENDS = r"""(?:\\?['"\x60]|[\s;]|\\[nr]|$)"""
_END = r"(?:[^\w-]|$)"
_ENDS_OF_AZURE = r"""(?:$|[\\'"\x60\s<),])"""
# Names before the secret, whole blocks of JSON, command lines: not the form of the secret itself.
_CONTEXT = ("{0,20})", ".*", "[^{]", "(?s", "(?x", r"\x00", "curl")


class Format(msgspec.Struct, frozen=True):
    """One issuer's secrets: their form, and what a match must not be.

    `group` is the group of the pattern that is the secret, `entropy` what it must have more of (bits a character).
    """

    name: str
    pattern: str
    group: int
    entropy: float = 0.0
    unless: tuple[str, ...] = ()
    """Patterns of things that only look like it: placeholders, examples."""


def formats() -> list[Format]:
    """Give all formats; from the cache where they are there."""
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtra("Finding secrets", "guards") from None
    path = _cache_directory() / f"secret-formats-{version}-{EDITION}.json"
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(path.read_bytes(), type=list[Format])
    taken = list(_taken())
    with contextlib.suppress(OSError):  # a home that cannot be written to costs the seconds each time
        _keep(path, msgspec.json.encode(taken))
    return taken


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "gatewright"


def _keep(path: Path, content: bytes) -> None:
    """Write a file at once: another process may read it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).replace(path)


def _taken() -> Iterator[Format]:
    try:
        from kingfisher_sdk import Rules  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise MissingExtra("Finding secrets", "guards") from None
    rules: Any = Rules(confidence="medium", cache=False)
    for listed in rules.metadata():
        rule: dict[str, Any] = rules.detail(listed["id"])
        pattern = str(rule["detection_regex"])
        if rule["visible"] and rule["path"] is None and not any(sign in pattern for sign in _CONTEXT):
            yield _format(rule, pattern)


def _format(rule: dict[str, Any], pattern: str) -> Format:
    ended = pattern.replace(_ENDS, _END).replace(_ENDS_OF_AZURE, r"(?:$|[^\w~])")
    group = int(rule["betterleaks_secret_group"]) or (1 if ended != pattern else 0)
    name = re.sub(r"^(betterleaks\.|veles\.secrets/)", "", rule["id"]).replace(".", "-")
    conditions = list(_conditions(rule["betterleaks_filter"]))
    return Format(
        name,
        ended,
        group,
        max((one for one in conditions if isinstance(one, float)), default=float(rule["min_entropy"] or 0)),
        tuple(one for one in conditions if isinstance(one, str)),
    )


def _conditions(node: dict[str, Any] | None) -> Iterator[float | str]:
    """Give what a rule's own filter drops: secrets of so little entropy, secrets that match a pattern."""
    match node:
        case {"operator": "||", "left": left, "right": right}:
            yield from _conditions(left)
            yield from _conditions(right)
        case {"operator": "<=" | "<", "left": {"callee": {"value": "entropy"}}, "right": {"value": limit}}:
            yield float(limit)
        case {"callee": {"value": "matchesAny" | "containsAny" as kind}, "arguments": [subject, {"nodes": nodes}]} if (
            subject.get("property", {}).get("value") == "secret"
        ):
            yield from _patterns(kind, [str(one["value"]) for one in nodes])
        case _:
            return


def _patterns(kind: str, values: Sequence[str]) -> Iterator[str]:
    for value in values:
        yield value if kind == "matchesAny" else re.escape(value)
