"""A whole answer, judged: every choice, its text, reasoning, refusal, tool arguments and whatever else has words."""

from __future__ import annotations

from typing import Any

import msgspec

from gatewright.layers.validation.findings import Finding
from gatewright.layers.validation.levels import Action
from gatewright.layers.validation.panel import Panel
from gatewright.layers.validation.pieces import choice_pieces, context_of
from gatewright.layers.validation.redaction import Placeholders
from gatewright.layers.validation.rest import without_findings
from gatewright.layers.validation.telling import warnings_of
from gatewright.pipeline.call import Call
from gatewright.types.results import Answer, Choice

__all__ = ["judge_answer", "scan_answer"]


def scan_answer(panel: Panel, answer: Answer, placeholders: Placeholders) -> tuple[Answer, list[Finding]]:
    """Judge an answer by patterns alone: give it as it may pass, and what was found."""
    choices: list[Choice] = []
    findings: list[Finding] = []
    for choice in answer.choices:
        found: list[Finding] = []
        texts: dict[str, str] = {}
        for piece in choice_pieces(choice):
            texts[piece.place], more = panel.scan(piece.text, piece.place, placeholders)
            found += more
        choices.append(_guarded(panel, choice, texts, found, placeholders))
        findings += found
    return _answer(answer, choices, findings), findings


async def judge_answer(
    panel: Panel, call: Call, answer: Answer, placeholders: Placeholders
) -> tuple[Answer, list[Finding]]:
    """Judge an answer by all rules: give it as it may pass, and what was found."""
    if not panel.awaits:
        return scan_answer(panel, answer, placeholders)
    choices: list[Choice] = []
    findings: list[Finding] = []
    context = context_of(call, "output")
    for choice in answer.choices:
        found: list[Finding] = []
        texts: dict[str, str] = {}
        for piece in choice_pieces(choice):
            of_kind = context if piece.kind == "text" else msgspec.structs.replace(context, kind=piece.kind)
            texts[piece.place], more = await panel.judge(piece.text, of_kind, piece.place, placeholders)
            found += more
        choices.append(_guarded(panel, choice, texts, found, placeholders))
        findings += found
    return _answer(answer, choices, findings), findings


def _guarded(
    panel: Panel, choice: Choice, texts: dict[str, str], found: list[Finding], placeholders: Placeholders
) -> Choice:
    """Give a choice with its texts as they may pass, and add to `found` what is in the rest of it."""
    rest: dict[str, Any] = {}
    if choice.extra is not None or choice.audio is not None:
        rest, more = without_findings(panel, choice, placeholders)
        found += more
    if not found:
        return choice
    where = f"choices[{choice.index}]"
    tools = tuple(
        msgspec.structs.replace(tool, arguments=texts[f"{where}.tool_calls[{number}].arguments"])
        for number, tool in enumerate(choice.tool_calls)
    )
    return msgspec.structs.replace(
        choice,
        text=texts.get(f"{where}.text", choice.text),
        reasoning=texts.get(f"{where}.reasoning", choice.reasoning),
        refusal=texts.get(f"{where}.refusal", choice.refusal),
        tool_calls=tools,
        # Probabilities name the tokens that were redacted.
        logprobs=choice.logprobs if _is_as_it_was(found) else None,
        warnings=(*choice.warnings, *warnings_of(found)),
        **rest,
    )


def _answer(answer: Answer, choices: list[Choice], findings: list[Finding]) -> Answer:
    if not findings:
        return answer
    raw = answer.raw if _is_as_it_was(findings) else None
    return msgspec.structs.replace(answer, choices=choices, raw=raw)


def _is_as_it_was(findings: list[Finding]) -> bool:
    return all(finding.action is Action.WARN for finding in findings)
