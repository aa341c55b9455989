"""The guardrails that hold for a call, together: what they find in a text, and the text as it may pass."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from gatewright.layers.validation.findings import Finding, ValidationResult, judged
from gatewright.layers.validation.levels import Action, Severity, ValidationLevel, action_for
from gatewright.layers.validation.redaction import Placeholders, Redactor
from gatewright.layers.validation.repairing import Repairable
from gatewright.layers.validation.rules import Context, PatternRule, Problem, Problems, TextRule
from gatewright.layers.validation.scanner import Hit, Scanner

if TYPE_CHECKING:
    from gatewright.layers.validation.guardrail import Guardrail

__all__ = ["Panel", "Seat"]

log = logging.getLogger("gatewright.validation")

_RANK = [Action.WARN, Action.REDACT, Action.REPAIR, Action.BLOCK]


class Seat(NamedTuple):
    """A rule in a panel: of which guardrail it is, and what is done about its findings."""

    rule: PatternRule | TextRule
    guardrail: str
    level: ValidationLevel
    severity: Severity
    wanted: Action | None

    @property
    def located(self) -> bool:
        """Whether the rule's findings are pieces of a text."""
        return isinstance(self.rule, PatternRule) or bool(getattr(self.rule, "located", False))

    @property
    def repairs(self) -> bool:
        """Whether it may give another text: those that do come first."""
        return isinstance(self.rule, Repairable) and self.action(located=False) is Action.REPAIR

    def action(self, *, located: bool, severity: Severity | None = None) -> Action:
        """Say what is done about a finding."""
        return action_for(self.level, severity or self.severity, self.wanted, located=located)


class Panel:
    """Judges texts by all rules of its guardrails; where two of them have the same rule, by the stricter."""

    def __init__(self, guardrails: Sequence[Guardrail], *, patterns: bool = True) -> None:
        seats = [seat for seat in _seats(guardrails) if patterns or not isinstance(seat.rule, PatternRule)]
        self._guardrails = guardrails
        self._patterns = [seat for seat in seats if isinstance(seat.rule, PatternRule)]
        texts = [seat for seat in seats if not isinstance(seat.rule, PatternRule)]
        self._texts = sorted(texts, key=lambda seat: not seat.repairs)
        self._actions = [seat.action(located=True) for seat in self._patterns]
        self.scanner = Scanner([cast(PatternRule, seat.rule) for seat in self._patterns])
        self.names = ",".join(dict.fromkeys(guardrail.name for guardrail in guardrails))
        self.version = "+".join(guardrail.version for guardrail in guardrails)
        self.level = min((one.level for one in guardrails), key=list(ValidationLevel).index, default=None)

    @property
    def awaits(self) -> bool:
        """Whether there are rules of texts as a whole, which may have to be awaited."""
        return bool(self._texts)

    @functools.cached_property
    def of_wholes(self) -> Panel:
        """The same without its patterns."""
        return Panel(self._guardrails, patterns=False)

    @functools.cached_property
    def of_forms(self) -> Panel:
        """The same, and the form that a request asks for."""
        from gatewright.layers.validation.formats.response import ResponseFormatRule
        from gatewright.layers.validation.guardrail import Guardrail

        level = self.level or ValidationLevel.MODERATE
        return Panel([*self._guardrails, Guardrail(self.names, [ResponseFormatRule()], level=level)])

    @property
    def lenient(self) -> bool:
        """Whether nothing is ever held back, redacted or repaired."""
        return self.level is ValidationLevel.LENIENT

    @property
    def holds_streams(self) -> bool:
        """Whether a stream is judged as a whole before anything of it goes out."""
        strict = self.level is ValidationLevel.STRICT
        return strict or any(seat.action(located=seat.located) is not Action.WARN for seat in self._texts)

    def prepare(self) -> None:
        """Make what takes its time, now rather than with the first stream."""
        if not (self.lenient or self.holds_streams):
            self.scanner.grow()

    def findings_of(self, hits: Iterable[Hit], place: str = "", offset: int = 0) -> list[Finding]:
        """Give the findings that hits are, `offset` characters further on in their text."""
        return [
            Finding(
                rule=seat.rule.id,
                message=seat.rule.text or "found",
                severity=seat.severity,
                action=self._actions[hit.rule],
                guardrail=seat.guardrail,
                start=hit.start + offset,
                end=hit.end + offset,
                label=hit.label,
                place=place,
            )
            for hit in hits
            for seat in (self._patterns[hit.rule],)
        ]

    def scan(self, text: str, place: str, placeholders: Placeholders) -> tuple[str, list[Finding]]:
        """Judge a text by the patterns alone: give it with placeholders where it is redacted, and what was found."""
        hits = self.scanner.find(text)
        if not hits:
            return text, []
        findings = self.findings_of(hits, place)
        return _without(text, findings, placeholders), findings

    async def judge(
        self, text: str, context: Context, place: str, placeholders: Placeholders
    ) -> tuple[str, list[Finding]]:
        """Judge a text by all rules; what a rule can repair itself is repaired before the others see it."""
        findings: list[Finding] = []
        for seat in self._texts:
            if context.kind in cast(TextRule, seat.rule).kinds:
                text, found = await self._ask(seat, text, context, place)
                findings += found
        findings += self.findings_of(self.scanner.find(text), place)
        return _without(text, findings, placeholders), findings

    async def validate(self, text: str, context: Context, place: str = "") -> ValidationResult:
        """Judge a text and add up what was found."""
        passed, findings = await self.judge(text, context, place, Placeholders())
        about = {"guardrail": self.names, "version": self.version, "output_type": context.output_type}
        return judged(findings, self.level or ValidationLevel.MODERATE, passed, about)

    async def _ask(self, seat: Seat, text: str, context: Context, place: str) -> tuple[str, list[Finding]]:
        rule = cast(TextRule, seat.rule)
        try:
            problems = list(await _problems(rule, text, context))
            findings = [_finding(seat, problem, place) for problem in problems]
            repairs = any(finding.action is Action.REPAIR for finding in findings)
            if repairs and isinstance(rule, Repairable):
                better = rule.repair(text, context)
                if better is not None and not list(await _problems(rule, better, context)):
                    return better, [_mended(finding) for finding in findings]
        except Exception as error:  # noqa: BLE001 - a user's rule may raise anything, and none of it ends the call
            return text, [_raised(seat, error, place)]
        return text, findings


def _without(text: str, findings: Sequence[Finding], placeholders: Placeholders) -> str:
    """Give a text with placeholders for what may not be read."""
    spans = [
        (one.start, one.end, one.label)
        for one in findings
        if one.start is not None and one.end is not None and one.action is not Action.WARN
    ]
    return Redactor(placeholders).redact(text, spans) if spans else text


async def _problems(rule: TextRule, text: str, context: Context) -> Problems:
    problems = rule.judge(text, context)
    return await problems if inspect.isawaitable(problems) else problems


def _finding(seat: Seat, problem: Problem, place: str) -> Finding:
    return Finding(
        rule=seat.rule.id,
        message=problem.message,
        severity=problem.severity or seat.severity,
        action=seat.action(located=problem.start is not None, severity=problem.severity),
        guardrail=seat.guardrail,
        start=problem.start,
        end=problem.end,
        label=problem.label,
        place=place,
    )


def _mended(finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, mended=True)


def _raised(seat: Seat, error: Exception, place: str) -> Finding:
    """Report a rule that could not judge; what its error says may quote the text, so only its kind is told."""
    strict = seat.level is ValidationLevel.STRICT
    log.warning("the rule %s of the guardrail %s raised %s", seat.rule.id, seat.guardrail, type(error).__name__)
    return Finding(
        rule=seat.rule.id,
        message=f"it could not judge: it raised {type(error).__name__}",
        severity=seat.severity,
        action=Action.BLOCK if strict else Action.WARN,
        guardrail=seat.guardrail,
        place=place,
    )


def _seats(guardrails: Sequence[Guardrail]) -> list[Seat]:
    seats: dict[Any, Seat] = {}
    for guardrail in guardrails:
        for rule, severity, action in guardrail.book.entries:
            seat = Seat(rule, guardrail.name, guardrail.level, severity, action)
            key = (rule.id, rule.pattern) if isinstance(rule, PatternRule) else id(rule)
            earlier = seats.get(key)
            if earlier is None or _strictness(seat) > _strictness(earlier):
                seats[key] = seat
    return list(seats.values())


def _strictness(seat: Seat) -> int:
    return _RANK.index(seat.action(located=True))
