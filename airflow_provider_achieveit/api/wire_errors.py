"""Tells apart what `requests`, urllib3, `http.client` and OpenSSL report in many classes."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator

import requests
from requests.exceptions import InvalidProxyURL, InvalidSchema, InvalidURL
from urllib3.exceptions import DecodeError, HTTPError, PoolError, ProxyError, SSLError
from urllib3.util.ssl_match_hostname import CertificateError

from airflow_provider_achieveit.api.errors import (
    AchieveItConfigError,
    AchieveItError,
    AchieveItMalformedError,
    AchieveItTimeoutError,
    AchieveItTlsError,
    AchieveItUnreachableError,
)
from airflow_provider_achieveit.api.redaction import Redactor
from airflow_provider_achieveit.api.settings import ClientSettings

#: What OpenSSL says where the other side speaks no TLS at all.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
#: Parts of its words for a refusal that the next try would meet again; any other alert may pass.
_TLS_REFUSED = ("CERTIFICATE", "UNKNOWN_CA", "PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE")

#: Characters of an error's text that a message shows.
_SHOWN = 300


def translated(error: Exception, settings: ClientSettings, redactor: Redactor) -> AchieveItError:
    """Return our error for what went wrong on the wire.

    Args:
        error: What a library raised.
        settings: Of the client.
        redactor: Takes the key out of what the libraries quote.
    """
    chain = list(_chain(error))
    root = chain[-1]
    text = redactor.redact(_words(root))
    if any(isinstance(each, ProxyError) for each in chain):
        text = f"the proxy cannot be used: {text}"
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    if isinstance(root, requests.Timeout | TimeoutError) or "timed out" in text.lower():
        # Those of `connect` say what they waited for.
        if "connect_timeout" not in text:
            limits = f"connect_timeout {settings.connect_timeout:g} s, read_timeout {settings.read_timeout:g} s"
            text = f"nothing came in time ({limits})"
        return AchieveItTimeoutError(text.removeprefix("TimeoutError: "))
    if isinstance(root, CertificateError):  # urllib3 1.26 compares the names itself
        return AchieveItTlsError(text)
    if isinstance(root, ssl.SSLError | SSLError):
        if any(mark in text for mark in _NOT_TLS):
            return AchieveItTlsError(f"the server does not speak https on this port, perhaps plain http ({text})")
        if any(mark in text for mark in _TLS_REFUSED):
            return AchieveItTlsError(text)
    if any(isinstance(each, InvalidURL | InvalidSchema | InvalidProxyURL) for each in chain):
        return AchieveItConfigError(text)
    if isinstance(root, DecodeError | http.client.IncompleteRead):
        return AchieveItMalformedError(f"the body was cut short ({text})", status=200)
    if not isinstance(root, OSError | HTTPError):
        text = f"the answer is not HTTP ({text})"
    return AchieveItUnreachableError(text)


def _chain(error: Exception) -> Iterator[Exception]:
    """Yield an error, the one that it wraps, and so on: `requests` wraps urllib3's, which wrap the socket's."""
    inner: Exception | None = error
    seen: set[int] = set()
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        candidates = (
            getattr(inner, "reason", None),
            getattr(inner, "original_error", None),
            *reversed(inner.args),
            inner.__cause__,
        )
        inner = next((each for each in candidates if isinstance(each, Exception)), None)


def _words(error: Exception) -> str:
    """Return class and text of an error, without the pool or the connection that urllib3 puts in front."""
    text = str(error)
    if isinstance(error, PoolError):
        text = text.removeprefix(f"{error.pool}: ")
    return f"{type(error).__name__}: {text}"
