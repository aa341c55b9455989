"""How well the content guards find what they are for, and how often they find what is not there."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.guards_ordinary import SHARED, ordinary_texts
from benchmarks.guards_secrets import SENTENCES, makers
from benchmarks.report import Row

ABOUT = "precision, recall and F1 of each rule; personal data of presidio-research's set, secrets made up by format"
SAMPLES = 60
KINDS = {
    "EMAIL": "EMAIL_ADDRESS",
    "PHONE": "PHONE_NUMBER",
    "CARD": "CREDIT_CARD",
    "IBAN": "IBAN_CODE",
    "IP": "IP_ADDRESS",
    "NATIONAL_ID": "US_SSN",
}
NAMES = {"PERSON": ("PERSON",), "LOCATION": ("GPE", "STREET_ADDRESS")}


class Score(NamedTuple):
    """What was found and is there, what was found and is not, and what was missed."""

    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / max(1e-9, self.precision + self.recall)

    def __str__(self) -> str:
        return f"P {self.precision:.3f}  R {self.recall:.3f}  F1 {self.f1:.3f}"


def run(quick: bool) -> Iterator[Row]:
    """Measure; the same on every machine."""
    from gatewright.layers.validation.content.pii import pii
    from gatewright.layers.validation.content.secrets import secrets
    from gatewright.layers.validation.guardrail import Guardrail

    examples = json.loads((SHARED / "data/pii/synthetic_a.json").read_text(encoding="utf-8"))
    scanner = Guardrail("pii", pii({})).panel.scanner
    found = [[(hit.label, hit.start, hit.end) for hit in scanner.find(one["full_text"])] for one in examples]
    for label, score in scores(examples, found, {label: (kind,) for label, kind in KINDS.items()}).items():
        ok = score.f1 >= 0.90 and score.precision >= 0.95
        yield Row(f"pii: {label}", str(score), f"{score.right + score.missed} in 750 texts", "", "F1 0.90, P 0.95", ok)
    secret_scanner = Guardrail("secrets", secrets({})).panel.scanner
    yield from _secrets(secret_scanner, 10 if quick else SAMPLES)
    yield from _false_alarms({"secrets": secret_scanner, "pii": scanner})
    if not quick:
        yield from _names(examples)


def scores(
    examples: list[Any], found: list[list[tuple[str, int, int]]], kinds: dict[str, tuple[str, ...]]
) -> dict[str, Score]:
    """Count by label; a finding is right where it overlaps a span of its kind."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for example, hits in zip(examples, found, strict=True):
        for label, names in kinds.items():
            spans = [
                (one["start_position"], one["end_position"]) for one in example["spans"] if one["entity_type"] in names
            ]
            own = [(start, end) for kind, start, end in hits if kind == label]
            met = {span for span in spans if any(start < span[1] and span[0] < end for start, end in own)}
            right[label] += len(met)
            missed[label] += len(spans) - len(met)
            wrong[label] += sum(not any(start < span[1] and span[0] < end for span in spans) for start, end in own)
    return {label: Score(right[label], wrong[label], missed[label]) for label in kinds}


def _secrets(scanner: Any, count: int) -> Iterator[Row]:
    for issuer, make in makers(random.Random(7)).items():
        got = 0
        for number in range(count):
            secret = make()
            text = SENTENCES[number % len(SENTENCES)].format(secret)
            start = text.index(secret)
            got += any(start < hit.end and hit.start < start + len(secret) for hit in scanner.find(text))
        yield Row(f"secrets: {issuer}", f"R {got / count:.3f}", f"{count} samples", "", "R 0.95", got / count >= 0.95)


def _false_alarms(scanners: dict[str, Any]) -> Iterator[Row]:
    texts = ordinary_texts()
    for name, scanner in scanners.items():
        alarmed = sum(bool(scanner.find(text)) for text in texts)
        rate = alarmed / len(texts) * 1000
        must, ok = ("<= 1 in 1,000", rate <= 1) if name == "secrets" else ("", None)
        yield Row(f"{name}: false alarms", f"{rate:.2f} in 1,000", f"{alarmed} of {len(texts)} texts", "", must, ok)


def _names(examples: list[Any]) -> Iterator[Row]:
    from gatewright.layers.validation.content.name_finder import found_names

    async def all_names() -> list[Any]:
        return [await found_names(one["full_text"], ("PERSON", "LOCATION"), 0.5) for one in examples]

    for label, score in scores(examples, asyncio.run(all_names()), NAMES).items():
        yield Row(f"names: {label}", str(score), f"{score.right + score.missed} in 750 texts")
