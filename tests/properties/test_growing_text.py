"""However a text is cut, a stream lets out and finds what the whole text would."""

from __future__ import annotations

import re

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.findings import Finding
from gatewright.layers.validation.growing import GrowingText
from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.panel import Panel
from gatewright.layers.validation.redaction import Placeholders
from gatewright.layers.validation.rules import PatternRule

LETTERS = 'ab@-. 1"{é\\\n'


def pattern() -> st.SearchStrategy[str]:
    """Patterns of all the parts that expressions are made of."""
    plain = ["a", "b", "@", r"\.", "-", " ", "1", '"', "é", r"\w", r"\d", r"\s", ".", "[ab]", "[^a]", "[a-z1]"]
    places = [r"\b", r"\B", "^", "$", "(?m:^)", "(?m:$)", r"\z"]
    rare = ["[[:alpha:]]", r"\Qa.\E", "(?i)A", "(?s:.)", r"\x61", r"\pL", "abab", "(?:ab ab)?"]
    atom = st.sampled_from([*plain, *places, *rare])

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        times = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "{0,2}", "*?", "+?"])
        return st.one_of(
            st.lists(inner, min_size=1, max_size=4).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda options: f"(?:{'|'.join(options)})"),
            st.tuples(inner, times).map(lambda both: f"(?:{both[0]}){both[1]}"),
            inner.map(lambda one: f"({one})"),
        )

    return st.recursive(atom, larger, max_leaves=8)


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


def streamed(panel: Panel, parts: list[str]) -> tuple[str, list[Finding]]:
    growing = GrowingText(panel, "here", Placeholders())
    released = [growing.feed(part) for part in parts]
    released.append(growing.finish())
    assert sum(one.length for one in released) == len("".join(parts))
    return "".join(one.text for one in released), [finding for one in released for finding in one.findings]


def panel_of(*patterns: str) -> Panel:
    rules = [PatternRule(id=f"p.{number}", pattern=one, label=f"P{number}") for number, one in enumerate(patterns)]
    try:
        return Panel([Guardrail("test", rules)])
    except ConfigurationError:
        assume(False)
        raise


@settings(max_examples=400, deadline=None)
@given(
    st.lists(pattern(), min_size=1, max_size=3),
    st.text(LETTERS, max_size=40),
    st.lists(st.integers(0, 1000), max_size=12),
)
def test_a_stream_gives_what_the_whole_gives(patterns: list[str], text: str, cuts: list[int]) -> None:
    panel = panel_of(*patterns)
    assert streamed(panel, pieces(text, cuts)) == panel.scan(text, "here", Placeholders())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=5),
    st.text("abc d", max_size=60),
    st.lists(st.integers(0, 1000), max_size=20),
)
def test_no_forbidden_text_is_ever_let_out(words: list[str], text: str, cuts: list[int]) -> None:
    panel = panel_of(*(re.escape(word) for word in words))
    growing = GrowingText(panel, "", Placeholders())
    out = ""
    for part in pieces(text, cuts):
        out += growing.feed(part).text
        plain = re.sub(r"<P\d_\d+>", "\n", out)
        assert not any(word in plain for word in words)
    out += growing.finish().text
    assert not any(word in re.sub(r"<P\d_\d+>", "\n", out) for word in words)
