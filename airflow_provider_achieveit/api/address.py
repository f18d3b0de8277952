"""Checks of the addresses that the key is sent to, and through."""

from __future__ import annotations

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import shown, text

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_base_url(value: Any) -> str:
    """Return the API's address without a trailing slash; no scheme means https.

    Raises:
        AchieveItConfigError: No host, user info, a query, another scheme, or plain http to a host that is not loopback.
    """
    value = text("host", value)
    url = value if "://" in value else f"https://{value}"
    if re.search("[@?#]", value):
        raise AchieveItConfigError(
            "The host holds a user name, a password or a query (it is not shown: that can be a secret): "
            "expected a name such as api.achieveit.com, and the key in the password field"
        )
    try:
        parts = urlsplit(url)
        usable = _is_host(parts) and not re.search(r"[\s\x00-\x1f\x7f\\]|\.\.|.//.*//", url)
    except ValueError:
        usable = False
    if not usable:
        raise AchieveItConfigError(f"The host {shown(value)} is malformed: expected a name such as api.achieveit.com")
    if parts.scheme not in ("https", "http"):
        raise AchieveItConfigError(f"The host {shown(value)} has the scheme {parts.scheme!r}: only https works")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise AchieveItConfigError(f"The host {shown(value)} would get the key unencrypted: only loopback may be http")
    if "/exports" in parts.path:
        what = f"The host {shown(value)} holds the path of a request: give what stands before /exports"
        raise AchieveItConfigError(what)
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _is_host(parts: SplitResult) -> bool:
    """Return whether there is a host, and no port or one that exists; `https:/x` would be a host named https."""
    host = parts.hostname or ""
    try:
        is_host = bool(ipaddress.ip_address(host))
    except ValueError:
        is_host = _HOST.fullmatch(host) is not None and host not in ("http", "https")
    return is_host and parts.port != 0 and not parts.netloc.endswith(":")


def check_proxy(name: str, value: Any) -> str:
    """Return the URL of a proxy. No message shows it: it can hold a password.

    Raises:
        AchieveItConfigError: It is not an http:// or https:// URL with a host.
    """
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and value.isprintable():
            return str(value)
    except ValueError:
        pass
    raise AchieveItConfigError(
        f"{name} is not an http:// or https:// URL with a host (it is not shown: it can hold a password)"
    )


def check_certificates(path: str) -> None:
    """Load a file or a folder of certificates.

    Raises:
        OSError: It cannot be read, or holds no certificate.
        ValueError: No path can be so.
    """
    is_folder = Path(path).is_dir()
    ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)
