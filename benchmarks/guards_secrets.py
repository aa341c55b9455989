"""Secrets made up in the formats that their issuers document; none of them is one."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable

HEX = "0123456789abcdef"
ALNUM = string.ascii_letters + string.digits
WORD = ALNUM + "_-"
UPPER32 = string.ascii_uppercase + "234567"

SENTENCES = (
    "Here is your key: {}",
    "Set OPENAI_KEY={} and run it again.",
    'config = {{"api_key": "{}"}}',
    "I found ({}) in the logs.",
    "curl -H 'Authorization: Bearer {}' https://api.host/v1",
    "Use `{}`, please.",
    "The value {}.",
    "export TOKEN='{}'\n",
)
"""What is around a secret in answers."""


def makers(rng: random.Random) -> dict[str, Callable[[], str]]:
    """Give what makes a secret of each format, by the issuer's name."""

    def of(alphabet: str, count: int) -> str:
        return "".join(rng.choices(alphabet, k=count))

    def b64(count: int) -> str:
        return base64.b64encode(rng.randbytes(count)).decode()

    def jwt() -> str:
        parts = (
            {"alg": "HS256", "typ": "JWT"},
            {"sub": of(string.digits, 10), "name": of(ALNUM, 8), "iat": 1516239022},
        )
        coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
        return ".".join([*coded, of(WORD, 43)])

    def pem(kind: str) -> str:
        body = b64(rng.randrange(300, 1200))
        lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
        return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"

    def url(scheme: str) -> str:
        return f"{scheme}://{of(string.ascii_lowercase, 6)}:{of(ALNUM, 14)}@db{of(string.digits, 2)}.corp.net:5432/app"

    return {
        "OpenAI, project": lambda: f"sk-proj-{of(WORD, 74)}T3BlbkFJ{of(WORD, 73)}{of(ALNUM, 1)}",
        "OpenAI, legacy": lambda: f"sk-{of(ALNUM, 20)}T3BlbkFJ{of(ALNUM, 20)}",
        "Anthropic": lambda: f"sk-ant-api03-{of(WORD, 93)}AA",
        "AWS, key id": lambda: f"AKIA{of(UPPER32, 16)}",
        "AWS, secret": lambda: f"aws_secret_access_key={of(ALNUM + '/+', 40)}",
        "GitHub, classic": lambda: f"ghp_{of(ALNUM, 36)}",
        "GitHub, fine-grained": lambda: f"github_pat_{of(ALNUM, 22)}_{of(ALNUM, 59)}",
        "GitHub, app": lambda: f"ghs_{of(ALNUM, 36)}",
        "GitLab": lambda: f"glpat-{of(ALNUM, 20)}",
        "Slack, bot": lambda: f"xoxb-{of(string.digits, 12)}-{of(string.digits, 12)}-{of(ALNUM, 24)}",
        "Slack, webhook": lambda: (
            f"https://hooks.slack.com/services/T{of(string.ascii_uppercase, 8)}"
            f"/B{of(string.ascii_uppercase, 8)}/{of(ALNUM, 24)}"
        ),
        "Stripe": lambda: f"sk_live_{of(ALNUM, 24)}",
        "Stripe, restricted": lambda: f"rk_live_{of(ALNUM, 24)}",
        "Google, API key": lambda: f"AIza{of(WORD, 34)}{of(ALNUM, 1)}",
        "Azure, client secret": lambda: f"{of(ALNUM, 3)}8Q~{of(ALNUM, 34)}",
        "Azure, storage": lambda: f"AccountName=store;AccountKey={b64(64)};EndpointSuffix=core.windows.net",
        "Hugging Face": lambda: f"hf_{of(string.ascii_letters, 34)}",
        "npm": lambda: f"npm_{of(ALNUM, 36)}",
        "PyPI": lambda: f"pypi-AgEIcHlwaS5vcmc{of(WORD, 80)}",
        "Twilio": lambda: f"SK{of(HEX, 32)}",
        "SendGrid": lambda: f"SG.{of(WORD, 22)}.{of(WORD, 42)}{of(ALNUM, 1)}",
        "JSON web token": jwt,
        "private key, RSA": lambda: pem("RSA "),
        "private key, EC": lambda: pem("EC "),
        "private key, OpenSSH": lambda: pem("OPENSSH "),
        "private key, PKCS 8": lambda: pem(""),
        "PostgreSQL URL": lambda: url("postgresql"),
        "MySQL URL": lambda: url("mysql"),
        "MongoDB URL": lambda: url("mongodb"),
        "Redis URL": lambda: url("redis"),
        "DigitalOcean": lambda: f"dop_v1_{of(HEX, 64)}",
        "Databricks": lambda: f"dapi{of(HEX, 32)}",
        "Groq": lambda: f"gsk_{of(ALNUM, 52)}",
        "xAI": lambda: f"xai-{of(ALNUM, 80)}",
        "Perplexity": lambda: f"pplx-{of(ALNUM, 48)}",
        "Replicate": lambda: f"r8_{of(ALNUM, 37)}",
        "Vault": lambda: f"hvs.{of(WORD, 95)}",
        "Shopify": lambda: f"shpat_{of(HEX, 32)}",
        "Linear": lambda: f"lin_api_{of(ALNUM, 40)}",
        "a password that is set": lambda: f"password = {of(ALNUM, 11)}7aB!{of(ALNUM, 4)}",
        "an API key that is set": lambda: f'"api_key": "{of(HEX, 32)}"',
    }
