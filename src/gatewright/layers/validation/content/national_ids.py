"""National identity numbers, by their countries' forms and check digits."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.rules import Check, PatternRule

__all__ = ["COUNTRIES", "national_ids"]


class NationalId(NamedTuple):
    """A number's form, and the module of python-stdnum that knows its check digits, where it has some.

    Where the form alone says too little (any nine digits), a word before it has to say what it is: `words`.
    """

    module: str
    pattern: str
    words: str = ""


_IDS: dict[str, tuple[NationalId, ...]] = {
    "US": (
        NationalId("us.ssn", r"\b\d{3}-\d{2}-\d{4}\b"),
        NationalId("us.ssn", r"\b\d{3} ?\d{2} ?\d{4}\b", r"\bssn\b|social\s+security"),
    ),
    "GB": (NationalId("", r"(?i)\b[a-ceghj-prtw-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[a-d]\b"),),
    "CA": (NationalId("ca.sin", r"\b\d{3}[ -]\d{3}[ -]\d{3}\b", r"\bsin\b|social\s+insurance|assurance\s+sociale"),),
    "DE": (
        NationalId("de.idnr", r"\b\d{2} ?\d{3} ?\d{3} ?\d{3}\b", r"steuer|\bidnr\b|identifikationsnummer|tax\s+id"),
    ),
    "FR": (NationalId("fr.nir", r"\b[12] ?\d{2} ?[0-9]{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}\b"),),
    "ES": (
        NationalId("es.dni", r"(?i)\b\d{8}-?[a-z]\b"),
        NationalId("es.nie", r"(?i)\b[xyz]-?\d{7}-?[a-z]\b"),
    ),
    "IT": (NationalId("it.codicefiscale", r"(?i)\b[a-z]{6}\d{2}[a-ehlmprst]\d{2}[a-z]\d{3}[a-z]\b"),),
    "NL": (NationalId("nl.bsn", r"\b\d{4}[. ]?\d{2}[. ]?\d{3}\b", r"\bbsn\b|burgerservice|sofi"),),
    "BE": (NationalId("be.nn", r"\b\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}\b"),),
    "CH": (NationalId("ch.ssn", r"\b756\.?\d{4}\.?\d{4}\.?\d{2}\b"),),
    "SE": (NationalId("se.personnummer", r"\b(?:19|20)?\d{6}[-+]\d{4}\b"),),
    "FI": (NationalId("fi.hetu", r"(?i)\b\d{6}[-+a]\d{3}[0-9a-y]\b"),),
    "DK": (NationalId("dk.cpr", r"\b\d{6}-\d{4}\b", r"\bcpr\b|personnummer"),),
    "NO": (NationalId("no.fodselsnummer", r"\b\d{6} ?\d{5}\b", r"f[øo]dselsnummer|personnummer|national\s+id"),),
    "PL": (NationalId("pl.pesel", r"\b\d{11}\b", r"\bpesel\b"),),
    "IE": (NationalId("ie.pps", r"(?i)\b\d{7}[a-w][a-iw]?\b", r"\bpps\b|\bppsn\b"),),
    "PT": (NationalId("pt.nif", r"\b\d{3} ?\d{3} ?\d{3}\b", r"\bnif\b|contribuinte"),),
    "BR": (
        NationalId("br.cpf", r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b"),
        NationalId("br.cpf", r"\b\d{11}\b", r"\bcpf\b"),
    ),
    "MX": (NationalId("mx.curp", r"(?i)\b[a-z]{4}\d{6}[hm][a-z]{5}[0-9a-z]\d\b"),),
    "IN": (
        NationalId("in_.aadhaar", r"\b[2-9]\d{3}[ -]\d{4}[ -]\d{4}\b"),
        NationalId("in_.pan", r"(?i)\b[a-z]{3}[abcfghjlpt][a-z]\d{4}[a-z]\b", r"\bpan\b|permanent\s+account"),
    ),
    "CN": (NationalId("cn.ric", r"(?i)\b\d{17}[\dx]\b"),),
    "KR": (NationalId("kr.rrn", r"\b\d{6}-[1-4]\d{6}\b"),),
    "AU": (NationalId("au.tfn", r"\b\d{3} ?\d{3} ?\d{3}\b", r"\btfn\b|tax\s+file"),),
    "ZA": (NationalId("za.idnr", r"\b\d{13}\b", r"\bid\b|identity"),),
    "TR": (NationalId("tr.tckimlik", r"\b\d{11}\b", r"kimlik|\btc\b"),),
}
COUNTRIES = tuple(sorted(_IDS))


def national_ids(countries: Sequence[str]) -> Iterator[PatternRule]:
    """Give the rules for the numbers of these countries (of all that are known where none is named)."""
    wanted = [country.upper() for country in countries]
    for country in wanted or COUNTRIES:
        if country not in _IDS:
            raise ConfigurationError(
                f"countries: {country!r} has no ids that are known here; known are {', '.join(COUNTRIES)}",
                param="countries",
            )
        for one in _IDS[country]:
            yield PatternRule(
                id=f"pii.national_id.{country.lower()}",
                pattern=one.pattern,
                check=_check_of(one),
                label="NATIONAL_ID",
                text=f"a national id ({country})",
            )


def _check_of(one: NationalId) -> Check:
    words = re.compile(rf"(?i)(?:{one.words})[^.!?;]{{0,30}}$") if one.words else None

    def check(text: str, start: int, end: int) -> bool:
        if words is not None and not words.search(text[:start]):
            return False
        if text[:start].endswith((".", "-")):
            return False
        return not one.module or bool(importlib.import_module(f"stdnum.{one.module}").is_valid(text[start:end]))

    check.__qualname__ = f"national_id({one.module}, {one.words})"
    return check
