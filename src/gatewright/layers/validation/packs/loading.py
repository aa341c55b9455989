"""Packs read from YAML: checked and compiled as a whole, or not at all."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.levels import Action, Severity
from gatewright.layers.validation.packs.fields import CONTEXT, PREVIOUS, Field
from gatewright.layers.validation.packs.form import formed
from gatewright.layers.validation.packs.pack import FORMAT, PackRule, Pages, RecordRule, RulePack
from gatewright.layers.validation.packs.reader import TOGETHER, WORDINGS, ConditionReader
from gatewright.layers.validation.packs.words import BLANK, plain, spellings
from gatewright.layers.validation.rules import PatternRule
from gatewright.types.written import Written, read_written

__all__ = ["SHIPPED", "load_pack", "read_pack", "shipped_pack", "shipped_text"]

KEYS = ("pack", "version", "about", "applies_to", "blank", "fields", "record", "tables", "rules")
RULE_KEYS = ("id", "text", "severity", "action", "label", "when", "then")
MOST_BYTES = 1 << 20
"""A larger file is no rule pack."""

_HERE = Path(__file__).parent
SHIPPED = tuple(sorted(path.stem for path in _HERE.glob("*.yaml")))
"""The packs that come with the package, by their names."""

_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_LABEL = re.compile(r"[A-Z][A-Z0-9_]*")


@functools.cache
def shipped_pack(name: str) -> RulePack:
    """Give one of the packs that come with the package."""
    return read_pack(shipped_text(name), f"{name}.yaml")


def shipped_text(name: str) -> str:
    """Give the YAML of one of the packs that come with the package."""
    if name not in SHIPPED:
        raise ConfigurationError(f"there is no pack {name}: there are {', '.join(SHIPPED)}")
    return (_HERE / f"{name}.yaml").read_text(encoding="utf-8")


def load_pack(name: str | Path) -> RulePack:
    """Give a shipped pack by its name, or the one in a file; an error names file, line and key."""
    if str(name) in SHIPPED:
        return shipped_pack(str(name))
    try:
        content = Path(name).read_bytes()
    except OSError as error:
        shipped = ", ".join(SHIPPED)
        raise ConfigurationError(f"{name}: cannot be read: {error.strerror} (shipped packs are {shipped})") from None
    if len(content) > MOST_BYTES:
        raise ConfigurationError(f"{name}: a rule pack has at most {MOST_BYTES} bytes")
    return read_pack(content, str(name))


def read_pack(text: str | bytes, source: str) -> RulePack:
    """Read a pack; everything in it is checked, and every pattern compiled, before it is given."""
    digest = blake2b(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text, digest_size=6)
    return _Loader(read_written(text, source), source, digest.hexdigest()).pack()


class _Loader:
    """Reads one pack, from the top of its file to the end."""

    def __init__(self, written: Written, source: str, digest: str) -> None:
        self._source = source
        self._top = written.mapping(KEYS, required=["pack", "version"])
        self._name = _named(self._top["pack"])
        self._version = f"{plain_version(self._top['version'])}+{digest}"
        self._fields = _fields(self._top["fields"]) if "fields" in self._top else {}
        tables = _tables(self._top["tables"]) if "tables" in self._top else {}
        blank = frozenset(map(plain, self._top["blank"].texts())) | {""} if "blank" in self._top else BLANK
        self._pages = Pages(self._fields, blank)
        self._conditions = ConditionReader(self._fields, tables)
        self._written = written
        self._applies_to = tuple(self._top["applies_to"].texts()) if "applies_to" in self._top else ()

    def pack(self) -> RulePack:
        if "rules" not in self._top and "record" not in self._top:
            raise self._written.fault("expected rules, or a record")
        rules = [*self._record(), *self._rules()]
        return RulePack(
            name=self._name,
            version=self._version,
            about=self._top["about"].text() if "about" in self._top else "",
            applies_to=self._applies_to,
            rules=tuple(rules),
            source=self._source,
        )

    def _record(self) -> Iterator[PackRule | RecordRule]:
        if "record" not in self._top:
            return
        yield RecordRule(
            id=f"{self._name}.{FORMAT}.record",
            text=f"The answer is a record of the kind {self._name}.",
            pages=self._pages,
            applies_to=self._applies_to,
            version=self._version,
        )
        for one in formed(self._top["record"], self._fields, self._name):
            yield self._made(f"{FORMAT}.{one.name}", one.text, None, one.condition, Severity.HIGH, Action.REPAIR, True)

    def _rules(self) -> Iterator[PackRule | PatternRule]:
        seen: dict[str, int] = {}
        for written in self._top["rules"].listed() if "rules" in self._top else ():
            entries = written.mapping(RULE_KEYS, required=["id", "text", "then"])
            id_ = _named(entries["id"])
            if id_ in seen:
                raise entries["id"].fault(f"there is a rule {id_} on line {seen[id_]}")
            seen[id_] = entries["id"].line
            yield self._rule(id_, entries)

    def _rule(self, id_: str, entries: Mapping[str, Written]) -> PackRule | PatternRule:
        text = entries["text"].text().strip()
        severity = Severity(entries["severity"].one_of(Severity)) if "severity" in entries else Severity.HIGH
        action = Action(entries["action"].one_of(Action)) if "action" in entries else None
        when = self._conditions.condition(entries["when"]) if "when" in entries else None
        then = self._conditions.condition(entries["then"])
        label = _label(entries["label"]) if "label" in entries else "REDACTED"
        if when is None and not self._applies_to and set(entries["then"].mapping()) == {"must_not_match"}:
            alternatives = "|".join(f"(?:{one})" for one in entries["then"].mapping()["must_not_match"].texts())
            return PatternRule(
                id=f"{self._name}.{id_}",
                pattern=f"(?i){alternatives}",
                severity=severity,
                action=action,
                label=label,
                text=text,
            )
        if "label" in entries:
            raise entries["label"].fault("only a rule of must_not_match alone, for any output, is redacted to one")
        about_fields = _speaks_of_fields(entries["then"].value) or (
            when is not None and _speaks_of_fields(entries["when"].value)
        )
        return self._made(id_, text, when, then, severity, action, about_fields)

    def _made(
        self, name: str, text: str, when: Any, then: Any, severity: Severity, action: Action | None, about_fields: bool
    ) -> PackRule:
        return PackRule(
            id=f"{self._name}.{name}",
            text=text,
            when=when,
            then=then,
            pages=self._pages,
            needs_record=about_fields,
            applies_to=self._applies_to,
            severity=severity,
            action=action,
            version=self._version,
        )


def plain_version(written: Written) -> str:
    """Give a version as it is written: a text or a number."""
    return str(written.scalar())


def _speaks_of_fields(condition: Any) -> bool:
    if isinstance(condition, list):
        return any(map(_speaks_of_fields, condition))  # pyright: ignore[reportUnknownArgumentType]
    return any(
        _speaks_of_fields(inner) if key in TOGETHER else key not in WORDINGS and not key.startswith(f"{CONTEXT}.")
        for key, inner in condition.items()
    )


def _named(written: Written) -> str:
    name = written.text()
    if _NAME.fullmatch(name) is None:
        raise written.fault(f"expected a name of small letters, digits, - and _, got {name!r}")
    return name


def _label(written: Written) -> str:
    if _LABEL.fullmatch(written.text()) is None:
        raise written.fault("expected a label of capitals, digits and _, such as HOSTNAME")
    return written.text()


def _fields(written: Written) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for name, entry in written.mapping().items():
        known = plain(name)
        if known in (PREVIOUS, CONTEXT, *TOGETHER, *WORDINGS) or "." in known:
            raise entry.fault("a field cannot have this name: it means something else in conditions")
        inner = entry.mapping(["also", "words"]) if entry.value is not None else {}
        also = tuple(map(plain, inner["also"].texts())) if "also" in inner else ()
        fields[known] = Field(known, also, _words(inner["words"]) if "words" in inner else {})
    return fields


def _words(written: Written) -> dict[str, str]:
    """Read the words of a field: each with the other ways to write it."""
    words: dict[str, str] = {}
    for name, entry in written.mapping().items():
        others = [one.scalar() for one in entry.listed()] if entry.value is not None else []
        for other in (plain(name), *chain.from_iterable(map(spellings, others))):
            if words.setdefault(other, plain(name)) != plain(name):
                raise entry.fault(f"{other} is a word for {words[other]} already")
    return words


def _tables(written: Written) -> dict[str, Any]:
    return {name: _table(entry) for name, entry in written.mapping().items()}


def _table(written: Written) -> Any:
    """Read a table: all of its branches have to be of the same depth."""
    if not isinstance(written.value, dict):
        return plain(written.scalar())
    entries = {plain(name): _table(entry) for name, entry in written.mapping().items()}
    if not entries or len({_depth(one) for one in entries.values()}) != 1:
        raise written.fault("expected entries that are all equally deep")
    return entries


def _depth(table: Any) -> int:
    return 1 + _depth(next(iter(table.values()))) if isinstance(table, dict) else 0  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType,reportUnknownVariableType]
