"""Proxies and certificate authorities, as the environment names them."""

from __future__ import annotations

import functools
import os
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from gatewright.errors import ConfigurationError

__all__ = ["proxy_for", "ssl_context"]


@functools.cache
def proxy_for(url: str) -> str | None:
    """Give the proxy for `url` (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY); looked up once for each base URL."""
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not proxy.startswith(("http://", "https://")):
        if "://" in proxy:
            scheme = proxy.split("://")[0]
            raise ConfigurationError(f"{scheme} proxies are not supported: name an http:// proxy in the environment")
        proxy = f"http://{proxy}"
    return proxy or None


def ssl_context(ca_file: str | None) -> ssl.SSLContext | None:
    """Make a context that trusts `ca_file`, or what REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE name; None for the default.

    OpenSSL honours SSL_CERT_FILE and SSL_CERT_DIR by itself, so the default context does.
    """
    named = ca_file
    if named is None and "SSL_CERT_FILE" not in os.environ:
        named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if named is None:
        return None
    try:
        return ssl.create_default_context(cafile=named)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"the certificate authorities in {named} cannot be read: {error}") from error
