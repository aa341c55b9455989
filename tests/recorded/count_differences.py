"""Where a lane's counts are known to differ from what was recorded, and why: each is asserted to differ still."""

from __future__ import annotations

_MISTRAL = "litellm does not read Mistral's own field `num_cached_tokens`"
LITELLM: dict[str, str] = {
    **dict.fromkeys(("mistral-23", "mistral-24", "mistral-25", "mistral-27"), _MISTRAL),
    "perplexity-0": "litellm refuses Perplexity's own content part `file_url`",
}
DIRECT: dict[str, str] = {}
