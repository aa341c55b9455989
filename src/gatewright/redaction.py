"""Secrets taken out of a text, before anyone reads it."""

from __future__ import annotations

import re

__all__ = ["redact"]

# Keys by their makers' formats. Prose and identifiers have hyphens too: a key has a long run without one, or a digit.
_KEYS = re.compile(
    r"""(?x)
    \b(?:
        (?:sk|pk|rk)[-_](?=[\w*\-]*[\d*])[\w*\-]{11,}[\w*]   # OpenAI, Anthropic, OpenRouter, DeepSeek, Stripe
      | (?:gsk|hf|r8|fw|tgp_v1|tvly|jina)_[\w\-]{16,}         # Groq, Hugging Face, Replicate, Fireworks, Together
      | (?:xai|pplx|csk|nvapi|voyage|pa|key)-[A-Za-z0-9_]{16,}[\w\-]*
      | AIza[\w\-]{20,} | ya29\.[\w\-.]{16,}               # Google
      | (?:AKIA|ASIA)[A-Z0-9]{12,}                          # Amazon
      | eyJ[\w\-]{10,}\.[\w\-]{10,}(?:\.[\w\-]*)?            # a JSON web token
    )"""
)
# Values by the names before them: `api_key=…`, `"x-api-key": "…"`, `?key=…`, `Authorization: Bearer …`, `https://u:p@`.
_NAMED = re.compile(
    r"""(?xi)
    ( (?:api[-_]?key|access[-_]?token|auth[-_]?token|client[-_]?secret|secret[-_]?(?:access[-_]?)?key|password
        |authorization|subscription-key|security[-_]token|[?&](?:key|token|sig|signature|code))
      ["']?\s*[=:]\s*["']?(?:(?:bearer|basic|token)\s+)?
    | api\ key(?:\ provided)?:\s*(?=\S*[\d*])
    | \bbearer\s+(?=\S{16}|\S*\d)
    | ://[^\s/:@]*:(?=[^\s/@]+@)
    )
    [^\s"',;&}@]+"""
)


def redact(text: str, *secrets: str | None) -> str:
    """Give `text` with the named secrets, and whatever looks like a provider's key, replaced by `***`."""
    for secret in secrets:
        if secret and len(secret) >= 4:
            text = text.replace(secret, "***")
    return _KEYS.sub("***", _NAMED.sub(r"\1***", text))
