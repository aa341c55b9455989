"""From aiohttp's exceptions to the one tree, by their types.

They are not kept as causes: some of them hold the request's headers, and so the key.
"""

from __future__ import annotations

import ssl

import aiohttp
from aiohttp.http import HttpProcessingError

from gatewright.errors import ConnectionFailed, GatewayError, InvalidProviderResponse, ProviderTimeout
from gatewright.pipeline.tracebacks import let_go_of_frames

__all__ = ["EXPECTED", "failure_of"]

EXPECTED = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, RuntimeError)
"""What a request can fail with; RuntimeError is that of a client that is just being closed."""


def failure_of(error: Exception, waiting_for: str) -> GatewayError:
    """Give the error to raise; `waiting_for` says what had not come when the time was up. The other is done with."""
    let_go_of_frames(error, EXPECTED)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ProviderTimeout("the provider could not be reached in time: connecting took too long")
    if isinstance(error, TimeoutError):
        return ProviderTimeout(f"the provider was too slow: {waiting_for} did not come in time")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return ConnectionFailed(
            f"the proxy refused the connection with HTTP status {error.status}", retryable=error.status != 407
        )
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return InvalidProviderResponse(f"the provider's answer is not HTTP: {type(error).__name__}")
    if isinstance(error, aiohttp.ClientPayloadError) and isinstance(error.__cause__, HttpProcessingError):
        return InvalidProviderResponse(f"the provider's answer is cut off or garbled: {type(error.__cause__).__name__}")
    if isinstance(error, aiohttp.ClientSSLError):
        return ConnectionFailed(f"the TLS handshake failed: {_tls(error)}", retryable=False)
    if isinstance(error, aiohttp.ClientConnectorError):
        where = f"{error.host}:{error.port}"
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            where = f"the proxy for {where}"
        return ConnectionFailed(
            f"cannot connect to {where}: {error.os_error.strerror or type(error.os_error).__name__}"
        )
    return ConnectionFailed(f"the connection broke: {type(error).__name__}")


def _tls(error: aiohttp.ClientSSLError) -> str:
    """Say what OpenSSL said; it knows nothing of keys."""
    said = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    if isinstance(said, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {said.verify_message}"
    return getattr(said, "reason", None) or type(said).__name__
