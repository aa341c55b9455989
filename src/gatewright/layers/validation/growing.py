"""A text that grows, guarded: what can no longer be part of a match goes out, the rest is held back."""

from __future__ import annotations

from typing import NamedTuple

from gatewright.layers.validation.beginnings import SHORT
from gatewright.layers.validation.findings import Finding
from gatewright.layers.validation.levels import Action
from gatewright.layers.validation.panel import Panel
from gatewright.layers.validation.redaction import Placeholders, Redactor
from gatewright.layers.validation.scanner import LEFT_CONTEXT, Hit

__all__ = ["GrowingText", "Released"]

LONG = 2048
"""From how many held characters on a text is looked at again only when it has grown by a quarter."""


class Released(NamedTuple):
    """What may go out, what was found in it, and how many characters of the text it stands for."""

    text: str
    findings: list[Finding]
    length: int


NOTHING = Released("", [], 0)
NO_HITS: list[Hit] = []


class GrowingText:
    """One text of a stream, such as a choice's; feed it what comes, send what it releases.

    However the text is cut in pieces, what is released and found is in sum what `Panel.scan` gives for all of it.
    """

    __slots__ = ("_before", "_held", "_looks_at", "_panel", "_place", "_redactor", "_scanner", "released")

    def __init__(self, panel: Panel, place: str, placeholders: Placeholders) -> None:
        self._panel = panel
        self._scanner = panel.scanner
        self._place = place
        self._redactor = Redactor(placeholders)
        self._held = ""
        self._before = ""  # the last characters that were released, as they came: matches may depend on them
        self._looks_at = 0
        self.released = 0

    def feed(self, text: str) -> Released:
        """Take the next piece."""
        held = self._held + text
        if len(held) < self._looks_at:
            self._held = held
            return NOTHING
        before = self._before
        begin = len(before)
        window = before + held
        data = window.encode("utf-8", "surrogatepass")
        seen = self._scanner.look(data)
        keep = max(begin, len(window) - SHORT + 1)
        if seen is None:
            return self._release(window, begin, keep, NO_HITS)
        matching, beginning = seen
        if beginning:
            keep = min(keep, self._earliest(window, data, begin, beginning))
        if not matching:
            return self._release(window, begin, keep, NO_HITS)
        matched = self._scanner.matched(window, data, matching, begin)
        for one in reversed(matched):
            if one.start < keep < one.end:
                keep = one.start
        settled = [one for one in matched if one.end <= keep]
        return self._release(window, begin, keep, self._scanner.checked(window, settled))

    def finish(self) -> Released:
        """Say that nothing more comes, and take the rest."""
        begin = len(self._before)
        window = self._before + self._held
        data = window.encode("utf-8", "surrogatepass")
        seen = self._scanner.look(data)
        hits: list[Hit] = []
        if seen is not None and seen[0]:
            hits = self._scanner.checked(window, self._scanner.matched(window, data, seen[0], begin))
        return self._release(window, begin, len(window), hits)

    def _earliest(self, window: str, data: bytes, begin: int, beginning: list[int]) -> int:
        """Give the first character at which something may have begun that is not decided yet."""
        plain = len(data) == len(window)
        start = begin if plain else len(window[:begin].encode("utf-8", "surrogatepass"))
        earliest = self._scanner.begins(data, beginning, start)
        return earliest if plain else len(data[:earliest].decode("utf-8", "surrogatepass"))

    def _release(self, window: str, begin: int, keep: int, hits: list[Hit]) -> Released:
        piece = window[begin:keep]
        self._held = window[keep:]
        self._before = window[max(0, keep - LEFT_CONTEXT) : keep]
        held = len(window) - keep
        self._looks_at = held * 5 // 4 if held > LONG else 0
        offset = self.released - begin
        self.released += len(piece)
        if not hits:
            return Released(self._redactor.passed(piece), [], len(piece))
        findings = self._panel.findings_of(hits, self._place, offset)
        spans = [
            (hit.start - begin, hit.end - begin, hit.label)
            for hit, finding in zip(hits, findings, strict=True)
            if finding.action is not Action.WARN
        ]
        return Released(self._redactor.redact(piece, spans), findings, len(piece))
