"""Two spellings of one text, and the words in which two texts differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.feedback.words import decisive, normal_form, text_key, words_of


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Reset it by E-Mail.", "reset it by e mail"),
        ("  What\tis\n\nthis?!  ", "what is this"),
        ("ＦＵＬＬ width", "full width"),  # noqa: RUF001
        ("Straße", "STRASSE"),
        ("don't", "DON’T"),  # noqa: RUF001
        ("naïve", "nai\u0308ve"),
        ("a\u200bb", "ab"),
        ("“quoted” — and…", "quoted and"),
        ("हिन्दी।", "हिन्दी"),
    ],
)
def test_spellings_of_one_text_are_equal(text: str, same: str) -> None:
    assert normal_form(text) == normal_form(same)
    assert text_key(text) == text_key(same)


@pytest.mark.parametrize(
    ("text", "other"),
    [("C++", "C"), ("20 €", "20 $"), ("yes", "no"), ("résumé", "resume"), ("???", "!!!"), ("👍", "👎")],
)
def test_other_texts_are_not(text: str, other: str) -> None:
    assert normal_form(text) != normal_form(other)
    assert text_key(text) != text_key(other)


@given(st.text())
def test_a_normal_form_is_its_own(text: str) -> None:
    once = normal_form(text)
    assert normal_form(once) == once
    assert -(2**63) <= text_key(text) < 2**63


def test_words_are_pairs_where_there_are_no_spaces() -> None:
    assert words_of("Hello, hello world") == {"hello", "world"}
    assert words_of("重置密码") == {"重置", "置密", "密码"}


def test_numbers_and_negations_decide() -> None:
    assert decisive(words_of("It is not 20, it doesn't cost 30a more")) == {"not", "20", "doesnt", "30a"}
