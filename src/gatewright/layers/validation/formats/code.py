"""Code blocks: fenced, closed, in the right language, and readable in it."""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import NamedTuple

from gatewright.layers.validation.formats.base import NOWHERE, Format
from gatewright.layers.validation.rules import Context, Problem

__all__ = ["Block", "CodeFormat", "blocks"]

MOST_PARSED = 200_000
"""Characters; a longer block is not parsed."""

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^\s`]*)[^`\n]*$", re.MULTILINE)
_ALIASES = {"py": "python", "python3": "python", "js": "javascript", "ts": "typescript", "yml": "yaml", "sh": "bash"}


class Block(NamedTuple):
    """A fenced block: its language (lower case, empty where none is named), its code, its line, whether it ends."""

    language: str
    code: str
    line: int
    closed: bool


class CodeFormat(Format):
    """At least one code block, every fence closed, in one of `languages` if any are named.

    Blocks in Python and JSON must be readable, if `parses`. A fence that was left open at the end is closed without
    asking the model again, where the code in it can be read.
    """

    id: str = "code"
    text: str = "The answer has code blocks of the form that was asked for."
    languages: tuple[str, ...] = ()
    parses: bool = True
    min_blocks: int = 1

    def judge(self, text: str, context: Context = NOWHERE, /) -> list[Problem]:
        """Give what is wrong with each block."""
        found = blocks(text)
        problems: list[Problem] = []
        if len(found) < self.min_blocks:
            problems.append(Problem(f"it has {len(found)} code blocks, fewer than {self.min_blocks}"))
        for block in found:
            problems += [Problem(f"line {block.line}: {told}") for told in self._faults(block)]
        return problems

    def repair(self, text: str, context: Context = NOWHERE, /) -> str | None:
        """Give `text` with its last fence closed, where that is all."""
        found = blocks(text)
        if not found or found[-1].closed or found[-1].language not in _PARSERS:
            return None
        fence = next(match[1] for match in reversed(list(_FENCE.finditer(text))) if match[2])
        closed = f"{text.rstrip()}\n{fence}"
        return None if self.judge(closed) else closed

    def wanted(self) -> str:
        """Say the languages."""
        named = f" in {' or '.join(self.languages)}" if self.languages else ""
        return f"The answer has its code{named} in closed code fences that name their language."

    def _faults(self, block: Block) -> list[str]:
        faults = [] if block.closed else ["the code fence is not closed"]
        wanted = [_ALIASES.get(name.lower(), name.lower()) for name in self.languages]
        if wanted and block.language not in wanted:
            named = f"is {block.language}" if block.language else "names no language"
            faults.append(f"the code block {named}, not {' or '.join(wanted)}")
        if self.parses and block.closed and len(block.code) <= MOST_PARSED:
            told = _PARSERS[block.language](block.code) if block.language in _PARSERS else None
            faults += [told] if told else []
        return faults


def blocks(text: str) -> list[Block]:
    """Give the fenced code blocks of a Markdown text."""
    found: list[Block] = []
    opened: re.Match[str] | None = None
    for match in _FENCE.finditer(text):
        if opened is None:
            opened = match
        elif match[1][0] == opened[1][0] and len(match[1]) >= len(opened[1]) and not match[2]:
            found.append(_block(text, opened, match.start(), closed=True))
            opened = None
    if opened is not None:
        found.append(_block(text, opened, len(text), closed=False))
    return found


def _block(text: str, opened: re.Match[str], end: int, *, closed: bool) -> Block:
    language = opened[2].strip("{}.").lower()
    line = text.count("\n", 0, opened.start()) + 1
    return Block(_ALIASES.get(language, language), text[opened.end() + 1 : end], line, closed)


def _python_fault(code: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except SyntaxError as error:
        return f"its Python cannot be read: {error.msg} (its line {error.lineno})"
    except (ValueError, RecursionError, MemoryError):
        return "its Python cannot be read"
    return None


def _json_fault(code: str) -> str | None:
    try:
        json.loads(code)
    except json.JSONDecodeError as error:
        return f"its JSON cannot be read: {error.msg} (its line {error.lineno})"
    except (ValueError, RecursionError):
        return "its JSON cannot be read"
    return None


_PARSERS = {"python": _python_fault, "json": _json_fault}
