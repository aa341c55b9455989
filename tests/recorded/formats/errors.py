"""The error that an exchange must end in: by its status, unless the body has a code that says more."""

from __future__ import annotations

import json
from typing import Any

BY_STATUS = {
    400: "BadRequest",
    401: "AuthenticationFailed",
    402: "PermissionDenied",
    403: "PermissionDenied",
    404: "NotFound",
    429: "RateLimited",
    500: "ProviderUnavailable",
    503: "ProviderUnavailable",
}
BY_CODE = {
    "API_KEY_INVALID": "AuthenticationFailed",
    "TOO_MANY_TOKENS": "ContextWindowExceeded",
    "content_filter": "ContentPolicyViolation",
    "context_length_exceeded": "ContextWindowExceeded",
    "model_not_found": "NotFound",
    "too_many_prompt_tokens": "ContextWindowExceeded",
}


def expected_error(status: int, body: Any) -> str:
    """Give the name of the gateway's error for a recorded error body, parsed or not."""
    text = body if isinstance(body, str) else json.dumps(body)
    stated = next((name for code, name in BY_CODE.items() if f'"{code}"' in text), None)
    if stated is not None:
        return stated
    if status == 200 and isinstance(body, dict):
        inner = body.get("error", body)
        status = next(
            (v for v in (inner.get("status_code"), inner.get("status"), inner.get("code")) if isinstance(v, int)), 500
        )
    return BY_STATUS[status]
