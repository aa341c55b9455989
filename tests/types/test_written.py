"""YAML with the places where it was written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.types.configuration import Config
from gatewright.types.written import Written, read_file, read_written

TEXT = """\
name: desk
rules:
  - id: one
    most: 3
  - id: two
    when:
      state: {one_of: [closed,
                       resolved]}
"""


class Limits(Config):
    most: int = 1
    words: tuple[str, ...] = ()


def read(text: str) -> Written:
    return read_written(text, "rules.yaml")


def test_values_know_their_line_and_key() -> None:
    rules = read(TEXT).mapping()["rules"].listed()
    assert [rule.line for rule in rules] == [3, 5]
    state = rules[1].mapping()["when"].mapping()["state"]
    assert (state.path, state.line) == ("rules[1].when.state", 7)
    words = state.mapping()["one_of"].listed()
    assert [(word.text(), word.line) for word in words] == [("closed", 7), ("resolved", 8)]


def test_an_unknown_key_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError) as raised:
        read("rules:\n  - idd: one\n").mapping(["rules"])["rules"].listed()[0].mapping(["id", "text"])
    assert str(raised.value) == "rules.yaml:2: rules[0].idd: there is no such key; did you mean id?"
    assert raised.value.param == "rules[0].idd"


def test_a_missing_key_is_told_at_its_mapping() -> None:
    with pytest.raises(ConfigurationError, match=r"^rules\.yaml:2: rules\[0\]: id is missing$"):
        read("rules:\n  - text: one\n").mapping()["rules"].listed()[0].mapping(required=["id"])


@pytest.mark.parametrize(
    ("text", "ask", "told"),
    [
        ("a: [1]", lambda a: a.mapping(), "a: expected a mapping, got a list"),
        ("a: 1", lambda a: a.listed(), "a: expected a list, got 1"),
        ("a: ' '", lambda a: a.text(), "a: expected a text, got an empty one"),
        ("a: true", lambda a: a.whole_number(), "a: expected a whole number, zero or more, got true or false"),
        ("a: -1", lambda a: a.whole_number(), "a: expected a whole number, zero or more, got -1"),
        ("a: x", lambda a: a.number(), "a: expected a number, got a text"),
        ("a: 2020-01-01", lambda a: a.scalar(), "a: expected a text, a number or true or false, got a date"),
        ("a: null", lambda a: a.scalar(), "a: expected a text, a number or true or false, got nothing"),
        ("a: hi", lambda a: a.one_of(["high", "low"]), "a: expected one of high, low, got 'hi'; did you mean high?"),
        ("a: [x, 2]", lambda a: a.texts(), "a[1]: expected a text, got 2"),
        ("a: {most: x}", lambda a: a.read(Limits), "a.most: expected a valid integer"),
        ("a: {mots: 1}", lambda a: a.read(Limits), "a.mots: there is no such setting; did you mean most?"),
    ],
)
def test_what_is_wrong_is_told(text: str, ask: object, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ask(read(text).mapping()["a"])  # type: ignore[operator]
    assert str(raised.value).startswith(f"rules.yaml:1: {told}")


def test_a_fault_inside_a_setting_is_told_at_its_own_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^rules\.yaml:5: a\.words\[1\]: expected a valid string"):
        read("a:\n  most: 3\n  words:\n    - x\n    - 3\n").mapping()["a"].read(Limits)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "rules.yaml:1: it is not YAML: "),
        ("a: 1\na: 2\n", "rules.yaml:2: a: it is there twice"),
        ("a: !!python/object:os.system x", "rules.yaml:1: it is not YAML: could not determine a constructor"),
        ("a: !!set {x}", "rules.yaml:1: a: the tag tag:yaml.org,2002:set means nothing here"),
        ("x: 1\na: 2020-99-99", "rules.yaml:2: a: '2020-99-99' cannot be read: put it in quotes"),
        ("? [a, b]\n: 1", "rules.yaml:1: a key is a text"),
        ("a: \x00", "rules.yaml:1: it has characters that YAML does not allow"),
        ("a: 1\n--- \nb: 1", "rules.yaml:2: it is not YAML: "),
        ("a: &a [*a]", "rules.yaml:1: "),
        ("[" * 5000, "rules.yaml:1: it is nested too deeply"),
        ("[" * 100 + "]" * 100, "rules.yaml:1: "),
    ],
)
def test_a_text_that_is_no_plain_yaml_is_refused_at_its_line(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(text)
    assert str(raised.value).startswith(told)


def test_aliases_of_aliases_do_not_grow_without_end() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(ConfigurationError, match="there is too much in it"):
        read("\n".join(levels))


def test_anchors_and_merged_keys_are_understood() -> None:
    merged = read("base: &base {one: 1, two: 2}\nown:\n  <<: *base\n  two: 3\n").mapping()["own"]
    assert merged.value == {"one": 1, "two": 3}
    assert merged.mapping()["two"].line == 4


def test_each_fault_is_told_at_its_line() -> None:
    with pytest.raises(ConfigurationError) as raised:
        read("a:\n  most: x\n  words: 3\n").mapping()["a"].read(Limits)
    first, second = str(raised.value).split("; ")
    assert first.startswith("rules.yaml:2: a.most: ")
    assert second.startswith("rules.yaml:3: a.words: ")


def test_an_error_by_its_keys_is_placed() -> None:
    written = read("a:\n  - b: 1\n  - b: 2\n")
    placed = written.placed(ConfigurationError("a[1].b.c: is wrong", param="b"))
    assert (str(placed), placed.param) == ("rules.yaml:3: a[1].b.c: is wrong", "b")
    assert str(written.placed(ConfigurationError("is wrong"))) == "rules.yaml:1: is wrong"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_file(tmp_path / "nowhere.yaml")


def test_an_empty_file_is_nothing() -> None:
    assert read("# only a remark\n").value is None


ANYTHING = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="ab:[]{}-&*!|>'\"#%@?, \n\t0123456789<~=.", max_size=60),
    st.binary(max_size=40),
)


@given(ANYTHING)
def test_any_text_is_read_or_refused_with_file_and_line(text: str | bytes) -> None:
    try:
        read_written(text, "rules.yaml")
    except ConfigurationError as error:
        where = str(error).split(":")
        assert where[0] == "rules.yaml"
        assert int(where[1]) >= 1
