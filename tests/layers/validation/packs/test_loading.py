"""Packs read from YAML: what is wrong is told by file, line and key when a pack is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.levels import ValidationLevel
from gatewright.layers.validation.packs.loading import SHIPPED, load_pack, read_pack, shipped_text

HEAD = "pack: desk\nversion: 1\n"
RULE = HEAD + "rules:\n  - id: one\n    text: It is so.\n"


def read(text: str) -> None:
    read_pack(text, "desk.yaml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1: expected a mapping, got nothing"),
        ("just words", "1: expected a mapping, got a text"),
        ("pack: desk", "1: version is missing"),
        (HEAD, "1: expected rules, or a record"),
        (HEAD + "ruels: []", "3: ruels: there is no such key; did you mean rules?"),
        ("pack: My Desk\nversion: 1\nrules: []", "1: pack: expected a name of small letters, digits, - and _"),
        (HEAD + "rules: {}", "3: rules: expected a list, got a mapping"),
        (RULE, "4: rules[0]: then is missing"),
        (RULE + "    then: {}", "6: rules[0].then: expected a condition, got an empty one"),
        (RULE + "    then: state", "6: rules[0].then: expected a mapping, got a text"),
        (RULE + "    then: {state: 3}", "6: rules[0].then.state: expected required, absent or tests of the field"),
        (RULE + "    then: {state: {}}", "6: rules[0].then.state: expected tests of the field state, got none"),
        (
            RULE + "    then:\n      state:\n        eqals: x",
            "8: rules[0].then.state.eqals: there is no such key; did you",
        ),
        (RULE + "    then: {state: {required: no}}", "6: rules[0].then.state.required: expected true, got true or"),
        (RULE + "    then: {state: {one_of: closed}}", "6: rules[0].then.state.one_of: expected a list, got a text"),
        (RULE + "    then: {state: {one_of: []}}", "6: rules[0].then.state.one_of: expected values, got an empty list"),
        (RULE + "    then: {state: {equals: [x]}}", "6: rules[0].then.state.equals: expected a text, a number or true"),
        (RULE + "    then: {state: {matches: '('}}", "6: rules[0].then.state.matches: pattern '(': missing )"),
        (RULE + "    then: {state: {matches: 3}}", "6: rules[0].then.state.matches: expected a text, got 3"),
        (RULE + "    then: {text: {min_words: x}}", "6: rules[0].then.text.min_words: expected a whole number"),
        (RULE + "    then: {n: {at_least: x}}", "6: rules[0].then.n.at_least: expected a number, got a text"),
        (RULE + "    then: {all: []}", "6: rules[0].then.all: expected conditions, got an empty list"),
        (RULE + "    then: {any: {a: required}}", "6: rules[0].then.any: expected a list, got a mapping"),
        (RULE + "    then: {not: [x]}", "6: rules[0].then.not: expected a mapping, got a list"),
        (RULE + "    then: {previous: required}", "6: rules[0].then.previous: expected the name of a field"),
        (RULE + "    then: {must_match: ['(?=a)']}", "6: rules[0].then.must_match[0]: pattern '(?=a)': look-ahead"),
        (RULE + "    then: {must_contain: [1]}", "6: rules[0].then.must_contain[0]: expected a text, got 1"),
        (
            RULE + "    then: {a: {lookup: {table: t, by: [b]}}}",
            "6: rules[0].then.a.lookup.table: the pack has no tables",
        ),
        (RULE + "    then: {a: required}\n    severity: bad", "7: rules[0].severity: expected one of low, medium,"),
        (
            RULE + "    then: {a: required}\n    action: drop",
            "7: rules[0].action: expected one of block, redact, warn,",
        ),
        (RULE + "    then: {a: required}\n    label: X", "7: rules[0].label: only a rule of must_not_match alone"),
        (RULE + "    then: {must_not_match: x}\n    label: x y", "7: rules[0].label: expected a label of capitals"),
        (
            RULE + "    then: {a: required}\n  - id: one\n    text: T.\n    then: {a: required}",
            "7: rules[1].id: there is a rule one on line 4",
        ),
        (
            HEAD + "fields: {state: {}}\nrules:\n  - {id: a, text: T., then: {satte: required}}",
            "5: rules[0].then.satte: the pack has no field satte; did you mean state?",
        ),
        (
            HEAD + "fields: {state: {words: {open: []}}}\nrules:\n  - {id: a, text: T., then: {state: {equals: opn}}}",
            "5: rules[0].then.state.equals: state is never opn: expected one of open",
        ),
        (HEAD + "fields: {not: {}}\nrules: []", "3: fields.not: a field cannot have this name"),
        (HEAD + "fields: {a: {words: {x: [1], y: [1]}}}\nrules: []", "3: fields.a.words.y: 1 is a word for x already"),
        (HEAD + "fields: {a: {wrods: {}}}\nrules: []", "3: fields.a.wrods: there is no such key; did you mean words?"),
        (HEAD + "tables: {t: {a: b, c: {d: e}}}\nrules: []", "3: tables.t: expected entries that are all equally deep"),
        (HEAD + "record: {state: {field: s}}", "3: record.state: transitions is missing"),
        (
            HEAD + "record: {state: {field: s, transitions: {open: [clsoed], closed: []}}}",
            "3: record.state.transitions.open[0]: there is no state clsoed: expected one of open, closed",
        ),
        (HEAD + "record: {id: {field: n, pattern: '['}}", "3: record.id.pattern: pattern '[': missing ]"),
        (HEAD + "record: {needed: [a]}", "3: record.needed: there is no such key"),
    ],
)
def test_what_is_wrong_is_told_by_file_line_and_key(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(text)
    assert str(raised.value).startswith(f"desk.yaml:{told}")


def test_a_pack_comes_from_a_file_or_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "incident.yaml"
    path.write_text(shipped_text("incident"))
    assert load_pack(path).version == load_pack("incident").version
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load_pack(tmp_path / "nowhere.yaml")
    path.write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigurationError, match="at most"):
        load_pack(path)
    path.write_bytes(b"pack: \xff")
    with pytest.raises(ConfigurationError, match=r"incident\.yaml:1: "):
        load_pack(path)


def test_what_the_file_says_makes_the_version() -> None:
    one, other = (read_pack(RULE + f"    then: {{a: {test}}}", "x") for test in ("required", "absent"))
    assert one.version.startswith("1+")
    assert one.version != other.version
    versions = {Guardrail("x", pack.rules).version for pack in (one, other)}
    assert len(versions) == 2


def test_the_earlier_rules_stay_where_a_pack_is_wrong(tmp_path: Path) -> None:
    guardrail = Guardrail("desk", read_pack(RULE + "    then: {a: required}", "x").rules)
    before = guardrail.version
    path = tmp_path / "desk.yaml"
    path.write_text(RULE + "    then: {a: {mtaches: x}}")
    with pytest.raises(ConfigurationError):
        guardrail.add_rule(*load_pack(path).rules)
    assert guardrail.version == before


SPOILS = ["", "  x: 1", "- 3", "{a: b", "]", "then: {a: {b: c}}", "\tx", "? z", "!!int x", "<<: 3"]


@pytest.mark.parametrize("name", SHIPPED)
@given(data=st.data())
def test_a_shipped_pack_with_a_part_of_it_spoilt_is_read_or_refused(name: str, data: st.DataObject) -> None:
    """Whatever is put in the place of a line's end, or of a whole line."""
    lines = shipped_text(name).splitlines()
    place = data.draw(st.integers(0, len(lines) - 1))
    spoilt = data.draw(st.sampled_from(SPOILS))
    kept = data.draw(st.integers(0, len(lines[place])))
    lines[place] = lines[place][:kept] + spoilt
    _read_or_refused("\n".join(lines))


WORDS = st.sampled_from(
    ["pack", "version", "rules", "then", "when", "all", "any", "not", "fields", "words", "tables", "record", "state"]
) | st.text("ab", max_size=3)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | WORDS | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(TREES, TREES, TREES)
def test_any_yaml_is_a_pack_or_refused_with_file_and_line(rules: object, record: object, fields: object) -> None:
    pack = {"pack": "desk", "version": 1, "fields": fields, "record": record, "rules": rules}
    _read_or_refused(yaml.safe_dump(pack, sort_keys=False))


@given(TREES, TREES)
def test_any_condition_is_one_or_refused(when: object, then: object) -> None:
    rule = {"id": "a", "text": "T.", "when": when, "then": then}
    _read_or_refused(yaml.safe_dump({"pack": "desk", "version": 1, "rules": [rule]}, sort_keys=False))


def _read_or_refused(text: str) -> None:
    try:
        pack = read_pack(text, "desk.yaml")
    except ConfigurationError as error:
        source, line, _ = str(error).split(":", 2)
        assert source == "desk.yaml"
        assert int(line) >= 1
    else:
        guardrail = Guardrail("desk", pack.rules, level=ValidationLevel.STRICT)
        guardrail.validate('{"state": "open", "a": [1, {"b": "x"}]}', {"previous_state": "closed"})
