"""Personal data that shows by its form: addresses, numbers with check digits, telephone numbers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from gatewright.layers.validation.content.national_ids import national_ids
from gatewright.layers.validation.content.phones import phones
from gatewright.layers.validation.rules import Check, PatternRule
from gatewright.types.configuration import Config

__all__ = ["PiiConfig", "pii"]

Kind = Literal["email", "phone", "card", "iban", "ip", "national_id"]

EMAIL = r"[\pL\pN._%+'-]{1,64}@(?:[\pL\pN-]{1,63}\.){1,8}\pL{2,24}\b"
CARD = r"\b[2-6]\d{3}(?:[ -]?\d){8,15}\b|\b1800\d{11}\b"
IBAN = r"(?i)\b[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,3})?\b"
IPV4 = r"\b\d{1,3}(?:\.\d{1,3}){3}\b"
IPV6 = r"(?i)(?:\b[0-9a-f]{1,4})?(?::{1,2}[0-9a-f]{1,4}){2,7}(?:::)?\b|\b[0-9a-f]{1,4}::[0-9a-f]{1,4}\b"

_FILE = re.compile(r"(?i)\.(?:png|jpe?g|gif|svg|webp|css|js)$")
_SERVICE = re.compile(r"(?i)^git@(?:github|gitlab|bitbucket)\.")
# A version has the form of an address; after these words, and before `/` of a path, it is not one.
_VERSION = re.compile(r"(?i)(?:\bv|version|release|build|revision|section|chapter|§)\.?\s?$")
# Part of a fraction, of a longer number, or of an account number (`DE89 …`).
_PART_OF_MORE = re.compile(r"[.,+-]$|\b[A-Za-z]{2}\d{2} $")
_CARD_WORD = re.compile(r"(?i)\bcard\b[^.!?]{0,30}$")
# By the first digits of those who issue cards: Visa, Mastercard, American Express, Discover, Diners, JCB, Maestro …
_ISSUERS = re.compile(r"^(?:4|5[0-9]|2[2-7]|3[0-9]|6[0-9]|1800|2131)")


class PiiConfig(Config):
    """Which kinds are looked for; whose national ids, and whose telephone numbers without a country's code."""

    kinds: list[Kind] = Field(default=["email", "phone", "card", "iban", "ip", "national_id"], min_length=1)
    countries: list[str] = []


def pii(settings: Mapping[str, Any]) -> list[PatternRule]:
    """Give the rules."""
    config = PiiConfig.read(settings, "")
    return [rule for kind in config.kinds for rule in _rules(kind, config)]


def _rules(kind: Kind, config: PiiConfig) -> Iterator[PatternRule]:
    match kind:
        case "email":
            yield _rule("email", EMAIL, "EMAIL", "an e-mail address", check=_is_email)
        case "card":
            yield _rule("card", CARD, "CARD", "a card number", check=_is_card)
        case "iban":
            yield _rule("iban", IBAN, "IBAN", "a bank account", check=_is_iban)
        case "ip":
            yield _rule("ip", IPV4, "IP", "an IP address", check=_is_ip)
            yield _rule("ip", IPV6, "IP", "an IP address", check=_is_ip)
        case "phone":
            yield from phones(config.countries)
        case "national_id":
            yield from national_ids(config.countries)


def _rule(name: str, pattern: str, label: str, what: str, *, check: Check) -> PatternRule:
    return PatternRule(id=f"pii.{name}", pattern=pattern, label=label, text=what, check=check)


def _is_email(text: str, start: int, end: int) -> bool:
    found = text[start:end]
    return not _FILE.search(found) and not _SERVICE.search(found) and not found.startswith((".", "'"))


def _is_card(text: str, start: int, end: int) -> bool:
    from stdnum import luhn

    digits = re.sub(r"\D", "", text[start:end])
    before = text[:start]
    if len(digits) == 12 and not _CARD_WORD.search(before):  # only Maestro has so few
        return False
    if not 12 <= len(digits) <= 19 or not _ISSUERS.match(digits) or len(set(digits)) < 2:
        return False
    return not _PART_OF_MORE.search(before) and luhn.is_valid(digits)


def _is_iban(text: str, start: int, end: int) -> bool:
    from stdnum import iban

    return iban.is_valid(text[start:end])


def _is_ip(text: str, start: int, end: int) -> bool:
    try:
        address = ipaddress.ip_address(text[start:end])
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified or address.is_multicast or str(address).startswith("255."):
        return False
    before = text[:start]
    return not before.endswith(("/", ".", ":")) and not _VERSION.search(before)
