"""Proxies and certificate authorities, as the environment names them."""

from __future__ import annotations

import ipaddress
import os
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from gatewright.errors import ConfigurationError

__all__ = ["proxy_for", "ssl_context"]


def proxy_for(url: str) -> str | None:
    """Give the proxy for `url` (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY); none for this machine itself."""
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2]
    if parts.hostname is None or _is_here(parts.hostname) or proxy_bypass(netloc) or proxy_bypass(parts.hostname):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not proxy.startswith(("http://", "https://")):
        if "://" in proxy:
            scheme = proxy.split("://")[0]
            raise ConfigurationError(f"{scheme} proxies are not supported: name an http:// proxy in the environment")
        proxy = f"http://{proxy}"
    return proxy or None


def _is_here(host: str) -> bool:
    """Say whether `host` is this machine, which no proxy means by that name (Go's net/http does the same)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def ssl_context(ca_file: str | None) -> ssl.SSLContext | None:
    """Make a context that trusts `ca_file`, or what the environment names; None for the system's authorities.

    The environment's are SSL_CERT_FILE and SSL_CERT_DIR, else REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE.
    """
    named = ca_file or os.environ.get("SSL_CERT_FILE")
    directory = None if ca_file else os.environ.get("SSL_CERT_DIR")
    if not (named or directory):
        named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not (named or directory):
        return None
    try:
        return ssl.create_default_context(cafile=named or None, capath=directory or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"http.ca_file: the certificate authorities in {named} cannot be read: {error.strerror or error}"
        ) from error
