"""What the content rules find, and what they leave alone."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.content import issuers
from gatewright.layers.validation.content.markup import markup
from gatewright.layers.validation.content.names import names
from gatewright.layers.validation.content.national_ids import _IDS  # pyright: ignore
from gatewright.layers.validation.content.pii import pii
from gatewright.layers.validation.content.secrets import secrets
from gatewright.layers.validation.guardrail import Guardrail

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn\nygWyF8PbnGy0AHB7MhgwMbRvI0MBZhpI\n"


@pytest.fixture(scope="module")
def personal() -> Guardrail:
    return Guardrail("pii", pii({}))


@pytest.fixture(scope="module")
def secret() -> Guardrail:
    return Guardrail("secrets", secrets({}), level="strict")


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("mail Jürgen.Müller+x@firma.co.uk.", "mail <EMAIL_1>."),
        ("pay with 4111 1111 1111 1111 now", "pay with <CARD_1> now"),
        ("to DE89 3704 0044 0532 0130 00, please", "to <IBAN_1>, please"),
        ("from 86.121.97.248 and 2001:db8::8a2e:370:7334", "from <IP_1> and <IP_2>"),
        ("call +1 (415) 555-2671 or 415-555-2671.", "call <PHONE_1> or <PHONE_2>."),
        ("his SSN is 536-90-4399.", "his SSN is <NATIONAL_ID_1>."),
        ("NI number AB 12 34 56 C", "NI number <NATIONAL_ID_1>"),
        ("CPF 390.533.447-05", "CPF <NATIONAL_ID_1>"),
    ],
)
def test_personal_data_is_found(personal: Guardrail, text: str, redacted: str) -> None:
    assert personal.validate(text).text == redacted


@pytest.mark.parametrize(
    "text",
    [
        "icon@2x.png and git@github.com:org/repo",
        "4111 1111 1111 1112 is no card, nor is 1234567890123456",
        "DE89 3704 0044 0532 0130 01",
        "127.0.0.1, 0.0.0.0, 255.255.255.0, version 1.2.3.4 and 999.1.1.1",
        "on 2024-01-31 12:30:45, pp. 285-287. 1962, doi 10.1016/0165-00519",
        "pi is 3.14159265 and 1,234,567 people",
        "000-12-3456 and 666-12-3456",
    ],
)
def test_what_only_looks_like_it_is_left_alone(personal: Guardrail, text: str) -> None:
    assert personal.validate(text).text == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("use AKIAY3LPQ7RT5UVW2XZ4.", "secrets.aws-access-token"),
        (f"token: ghp_{'a1B2c3D4e5F6g7H8i9J0' * 2}"[:47], "secrets.github-pat"),
        ("postgres://app:s3cr3tPassw0rd@db1.corp.net:5432/app", "secrets.generic-credential-uri"),
        (KEY, "secrets.private-key-block"),
        ("DB_PASSWORD='Tr0ub4dor&3xyz'", "secrets.assigned"),
    ],
)
def test_secrets_are_found(secret: Guardrail, text: str, rule: str) -> None:
    result = secret.validate(text)
    assert rule in [finding.rule for finding in result.findings]
    assert not result.is_valid


@pytest.mark.parametrize(
    "text",
    [
        "password = os.environ['DB_PASSWORD']",
        "api_key: YOUR_API_KEY_HERE_1234",
        "The header is -----BEGIN PRIVATE KEY----- and then base64.",
        "token = tokenizer.encode(text)",
        "AKIAIOSFODNN7EXAMPLE",
        "sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ],
)
def test_what_is_no_secret_is_left_alone(secret: Guardrail, text: str) -> None:
    assert secret.validate(text).errors == []


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        "<a href='javascript:alert(1)'>x</a>",
        "[click](javascript:alert(1))",
        "<iframe src=//evil></iframe>",
        "<SCRIPT src=//evil>",
    ],
)
def test_markup_that_runs(text: str) -> None:
    guardrail = Guardrail("web", markup({}))
    assert not guardrail.validate(text).is_valid
    assert guardrail.validate("if a < b: use <b>bold</b> and on = 1").is_valid


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="countries: 'XX' has no ids that are known here"):
        pii({"countries": ["XX"], "kinds": ["national_id"]})
    with pytest.raises(ConfigurationError, match=r"kinds\[0\]: expected"):
        pii({"kinds": ["emial"]})
    with pytest.raises(ConfigurationError, match="sure: expected"):
        names({"sure": 2})


def test_each_national_id_has_the_check_that_it_names() -> None:
    modules = {one.module for ids in _IDS.values() for one in ids if one.module}
    assert all(callable(importlib.import_module(f"stdnum.{module}").is_valid) for module in modules)


def test_only_the_countries_that_are_named() -> None:
    guardrail = Guardrail("pii", pii({"kinds": ["national_id"], "countries": ["BR"]}))
    assert guardrail.validate("536-90-4399, CPF 390.533.447-05").text == "536-90-4399, CPF <NATIONAL_ID_1>"


def test_formats_of_secrets_are_kept_in_the_cache_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = issuers.formats()
    assert len(kept) > 200
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert issuers.formats() == kept
    (file,) = (tmp_path / "gatewright").iterdir()
    file.write_text("not JSON")
    assert issuers.formats() == kept


def test_names_are_found_in_a_process_of_their_own() -> None:
    guardrail = Guardrail("names", names({}))
    text = "Maria Rossi flew to Paris. Then Maria Rossi came back."
    assert guardrail.validate(text).text == "<PERSON_1> flew to <LOCATION_1>. Then <PERSON_1> came back."
    assert guardrail.panel.holds_streams
