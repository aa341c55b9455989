"""Tables, code, language, length and wording."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.formats.base import Format
from gatewright.layers.validation.formats.code import CodeFormat, blocks
from gatewright.layers.validation.formats.language import LanguageFormat
from gatewright.layers.validation.formats.length import LengthFormat, sentences, words
from gatewright.layers.validation.formats.tables import TableFormat
from gatewright.layers.validation.formats.wording import WordingFormat


def told(rule: Format, text: str) -> list[str]:
    return [problem.message for problem in rule.judge(text)]


TABLE = """Here it is:

| Number | **State** |
|:-------|:---:|
| INC1 | open |
| INC2 | a \\| b |

And that was it.
"""


def test_a_markdown_table() -> None:
    assert told(TableFormat(columns=("number", "State"), min_rows=2, max_rows=2), TABLE) == []
    assert told(TableFormat(columns=("Number", "Priority")), TABLE) == ["columns are missing: Priority"]
    assert told(TableFormat(columns=("Number",), only_columns=True), TABLE) == ["it has 2 columns, not 1"]
    assert told(TableFormat(min_rows=3), TABLE) == ["it has 2 rows, fewer than 3"]
    assert told(TableFormat(max_rows=1), TABLE) == ["it has 2 rows, more than 1"]
    assert told(TableFormat(), "| a | b |\n| 1 | 2 |") == ["there is no table"]


def test_a_ragged_row_is_told_by_its_line() -> None:
    ragged = TABLE.replace("| INC2 | a \\| b |", "| INC2 | a | b |")
    assert told(TableFormat(), ragged) == ["line 6: it has 3 cells where the header has 2"]
    assert told(TableFormat(), TABLE + "\n\n|a|b|\n|-|-|\n|1|\n") == ["line 13: it has 1 cells where the header has 2"]


def test_comma_separated_values() -> None:
    rule = TableFormat(style="csv", columns=("number", "state"))
    assert told(rule, 'number,state\nINC1,"open, really"\n') == []
    assert told(rule, "number,state\nINC1\n") == ["line 2: it has 1 cells where the header has 2"]
    assert told(rule, 'number,state\n"INC1,open\n')[0].startswith("it is not comma-separated")
    assert told(rule, "") == ["there is no table"]
    fenced = "```csv\nnumber,state\nINC1,open\n```"
    assert told(rule, fenced)
    assert rule.repair(fenced) == "number,state\nINC1,open"
    assert told(TableFormat(style="csv", delimiter=";", columns=("b",)), "a;b\n1;2") == []


CODE = "So:\n\n```python\nprint(1)\n```\n\nand\n\n~~~json\n{}\n~~~\n"


def test_code_blocks() -> None:
    assert told(CodeFormat(languages=("py", "json"), min_blocks=2), CODE) == []
    assert told(CodeFormat(languages=("python",)), CODE) == ["line 9: the code block is json, not python"]
    assert told(CodeFormat(min_blocks=3), CODE) == ["it has 2 code blocks, fewer than 3"]
    assert told(CodeFormat(languages=("sql",)), "```\nselect\n```") == [
        "line 1: the code block names no language, not sql"
    ]
    assert told(CodeFormat(), "```python\nprint(\n```")[0].startswith("line 1: its Python cannot be read: ")
    assert told(CodeFormat(), "```json\n{a}\n```")[0].startswith("line 1: its JSON cannot be read: ")
    assert told(CodeFormat(parses=False), "```python\nprint(\n```") == []
    assert told(CodeFormat(), '```python\n"\\d"\n```') == []


def test_a_fence_inside_of_a_longer_one_is_code() -> None:
    inner = "````markdown\n```python\nx\n```\n````"
    assert [(block.language, block.closed) for block in blocks(inner)] == [("markdown", True)]


def test_an_open_fence_is_closed_where_the_code_can_be_read() -> None:
    rule = CodeFormat(languages=("python",))
    assert told(rule, "```python\nprint(1)") == ["line 1: the code fence is not closed"]
    assert rule.repair("```python\nprint(1)") == "```python\nprint(1)\n```"
    assert rule.repair("```python\nprint(") is None
    assert CodeFormat().repair("```sql\nselect 1") is None
    assert rule.repair("no code") is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One.", 1),
        ("Version 3.5 of gatewright.org is out! Is it? Yes…", 3),
        ('He said "no." She said "yes."', 2),
        ("no full stop", 1),
        ("a heading\n\na text", 2),
        ("这是一句。这是两句。", 2),
        ("...", 0),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert sentences(text) == count


def test_length() -> None:
    rule = LengthFormat(min_words=2, max_words=3, max_characters=20, max_sentences=1, max_tokens=5)
    assert told(rule, "two words") == []
    assert told(rule, "one") == ["it has 1 words, fewer than 2"]
    assert told(rule, "a. b. c. d. and many more") == [
        "it has 25 characters, more than 20",
        "it has 7 words, more than 3",
        "it has 5 sentences, more than 1",
        "it has 7 tokens, more than 5",
    ]
    assert "2 to 3 words" in rule.wanted()
    assert words(" a  b\n") == 2


@pytest.mark.parametrize("settings", [{}, {"min_words": 3, "max_words": 2}, {"max_words": -1}, {"max_word": 1}])
def test_a_length_that_cannot_be_kept_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        LengthFormat(**settings)


def test_wording() -> None:
    rule = WordingFormat(
        must_contain=("Regards",),
        must_not_contain=("guarantee",),
        must_match=(r"INC\d{7}",),
        must_not_match=("fo+bar",),
    )
    assert told(rule, "About inc0012345. regards") == []
    problems = rule.judge("İ We GUARANTEE it, fooobar, guarantee")
    assert [problem.message for problem in problems] == [
        "'Regards' is missing",
        "nothing matches 'INC\\\\d{7}'",
        "word number 1 of must_not_contain is there",
        "word number 1 of must_not_contain is there",
        "pattern number 1 of must_not_match matches",
    ]
    text = "İ We GUARANTEE it, fooobar, guarantee"
    assert [text[problem.start : problem.end] for problem in problems[2:]] == ["GUARANTEE", "guarantee", "fooobar"]
    assert told(WordingFormat(must_not_contain=("US",), match_case=True), "trust us") == []
    assert "INC" in rule.wanted()


@pytest.mark.parametrize("settings", [{}, {"must_contain": [""]}, {"must_match": ["("]}, {"must_not_match": ["(?=a)"]}])
def test_a_wording_that_says_nothing_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        WordingFormat(**settings)


@given(st.text(max_size=60), st.text(min_size=1, max_size=4))
def test_what_must_not_stand_there_is_found_where_it_stands(text: str, word: str) -> None:
    rule = WordingFormat(must_not_contain=(word,), match_case=True)
    problems = rule.judge(text)
    assert len(problems) == text.count(word)
    assert all(text[problem.start : problem.end] == word for problem in problems)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Please reset your password in the self-service portal.", "en"),
        ("Bitte setzen Sie Ihr Passwort im Portal zurück.", "de"),
        ("Le serveur de messagerie est en panne depuis ce matin.", "fr"),
        ("El servidor de correo no responde desde esta mañana.", "es"),
        ("邮件服务器从今天早上开始就没有响应了请尽快处理一下这个问题吧谢谢大家。", "zh"),
    ],
)
def test_the_language_of_an_answer(text: str, language: str) -> None:
    assert told(LanguageFormat(languages=(language,)), text) == []
    other = "de" if language != "de" else "en"
    assert told(LanguageFormat(languages=(other,)), text) == [f"its language is {language}, not {other}"]


def test_a_short_text_has_any_language() -> None:
    assert told(LanguageFormat(languages=("de",)), "OK, done. INC0012345") == []


@pytest.mark.parametrize("settings", [{}, {"languages": []}, {"languages": ["english"]}, {"languages": ["d3"]}])
def test_a_language_that_is_none_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        LanguageFormat(**settings)


FORMATS: list[Format] = [
    TableFormat(),
    TableFormat(style="csv"),
    CodeFormat(),
    LengthFormat(max_words=5),
    WordingFormat(must_contain=("a",), must_not_match=("b",)),
]


@pytest.mark.parametrize("rule", FORMATS, ids=lambda rule: rule.id)
@given(text=st.text(alphabet="ab|-:`~ \n,\"'{}().!?\\\x00python", max_size=80))
def test_any_text_is_judged_and_what_is_repaired_is_right(rule: Format, text: str) -> None:
    rule.judge(text)
    repaired = rule.repair(text)
    assert repaired is None or rule.judge(repaired) == []


@pytest.mark.parametrize("piece", [".", "|", "```\n", "-|-\n", "a:", "!?", "\n", "```x\n", "~~~\n", '"', "\\|"])
@pytest.mark.parametrize("rule", FORMATS, ids=lambda rule: rule.id)
def test_hostile_texts_come_to_an_end(rule: Format, piece: str) -> None:
    rule.judge(piece * 30_000 + "x")
