"""What a service desk's answers must not give away."""

from __future__ import annotations

import pytest

from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.packs import load_pack

GUARDRAIL = Guardrail("security", load_pack("security").rules)


@pytest.mark.parametrize(
    ("text", "rule", "left"),
    [
        ("Your password is: hunter22.", "no-passwords", "Your <PASSWORD_1>"),
        ('{"password": "swordfish"}', "no-passwords", None),
        ("pwd=Tr0ub4dor&3", "no-passwords", "<PASSWORD_1>"),
        ("The initial password was Welcome#1 for all.", "no-passwords", "The <PASSWORD_1> for all."),
        ("Das Passwort ist: Sommer2026!", "no-passwords", "Das <PASSWORD_1>"),
        ("postgres://desk:s3cret@db/desk", "no-credentials", "<CREDENTIALS_1>db/desk"),
        ("Authorization: Basic ZGVzazpzZWNyZXQ=", "no-credentials", "<CREDENTIALS_1>"),
        ("Log in to DB01.corp now.", "no-internal-hosts", "Log in to <HOST_1> now."),
        ("It is on wiki.desk.intranet.", "no-internal-hosts", "It is on <HOST_1>."),
        (r"Copy it from \\nas01\public$\setup", "no-internal-hosts", None),
        ("Ping 10.0.12.7 and 192.168.1.1.", "no-private-addresses", "Ping <ADDRESS_1> and <ADDRESS_2>."),
        ("172.16.0.1 answers.", "no-private-addresses", "<ADDRESS_1> answers."),
        ("TLP:AMBER+STRICT", "no-classified", None),
        ("Classification: Strictly Confidential", "no-classified", None),
        ("COMPANY CONFIDENTIAL", "no-classified", None),
        ("For internal use only.", "no-classified", None),
    ],
)
def test_what_must_not_be_said_is_found(text: str, rule: str, left: str | None) -> None:
    result = GUARDRAIL.validate(text)
    assert {finding.rule for finding in result.findings} == {f"security.{rule}"}
    if left is not None:
        assert result.text == left


@pytest.mark.parametrize(
    "text",
    [
        "Password: required",
        "Password: at least 8 characters, with a digit.",
        "password = getpass.getpass()",
        "PASSWORD=$DB_PASSWORD",
        'password: "${DB_PASSWORD}"',
        "Your new password is valid for 90 days.",
        "Choose a password: it has to be long.",
        "https://example.com:8443/path",
        "Authorization: Bearer <token>",
        "10.5.1 is the version, 172.99.0.1 and 8.8.8.8 are public.",
        "We keep it confidential. TLP:GREEN, TLP:CLEAR",
        "The secret of good tea is restricted to a few.",
        "A local office, a corporate lan party, an internal matter.",
        "postgres://desk@db/desk",
    ],
)
def test_what_may_be_said_is_let_pass(text: str) -> None:
    assert GUARDRAIL.validate(text).findings == []
