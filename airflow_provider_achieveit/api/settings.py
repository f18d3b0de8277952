"""What a client can be told, checked before any request is sent.

The fields of `ClientSettings` are the single source of the connection's extras: names, defaults, limits and help.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_achieveit.api.errors import AchieveItConfigError

DEFAULT_BASE_URL = "https://api.achieveit.com"

#: "Sort Key Options" of the vendor's page "Exporting Plan Items".
SORT_KEYS = (
    "name", "sequenceId", "level", "status", "start", "due", "currentValue", "lastUpdated", "assignedToFullName",
    "updates", "alignsTo", "assignedByFullName", "assignedToEmailAddress", "baseline", "target", "created",
    "dependentOn", "description", "indentedName", "lastProgressUpdateUser", "updateFrequencyDescription", "planName",
)  # fmt: skip
SORT_DIRECTIONS = ("asc", "desc")

_PLAN_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def _setting(default: Any, label: str, help_: str, **limits: float) -> Any:
    return field(default=default, metadata={"label": label, "help": help_, **limits})


@dataclass(frozen=True)
class ClientSettings:
    """How the client talks to the API.

    Attributes:
        base_url: The API's address; `https://`, or `http://` for a loopback host.
        page_size: Items per request, 2 to 1500 (the API's maximum; two, because consecutive pages share an item).
        max_concurrency: Requests in flight at once, 1 to 32.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for the next byte of an answer.
        max_retry_seconds: Time budget of one page for all its tries, in seconds; 0 turns retries off.
        verify: True, or the path of a CA file. False accepts any certificate.
        proxy: URL of a proxy; None uses the environment's.

    Raises:
        AchieveItConfigError: A value is out of its limits.
    """

    base_url: str = DEFAULT_BASE_URL
    page_size: int = _setting(1500, "Page size", "Items per request, 2 to 1500.", minimum=2, maximum=1500)
    max_concurrency: int = _setting(4, "Max concurrency", "Requests in flight at once.", minimum=1, maximum=32)
    connect_timeout: float = _setting(10.0, "Connect timeout", "Seconds to wait for a connection.", minimum=0.1)
    read_timeout: float = _setting(60.0, "Read timeout", "Seconds to wait for the next byte.", minimum=0.1)
    max_retry_seconds: float = _setting(
        300.0, "Max retry seconds", "Time budget of one page for all its tries; 0 turns retries off.", minimum=0
    )
    verify: bool | str = _setting(True, "Verify TLS", "true, false, or the path of a CA file.")
    proxy: str | None = _setting(None, "Proxy", "URL of an HTTP proxy; empty uses the environment's.")

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", check_base_url(self.base_url))
        for setting in fields(self):
            if "label" in setting.metadata:
                value = _coerced(setting.name, getattr(self, setting.name), setting.default, setting.metadata)
                object.__setattr__(self, setting.name, value)
        if isinstance(self.verify, str):
            _check_ca(self.verify)
        if self.proxy and self.base_url.startswith("http://"):
            raise AchieveItConfigError(f"The proxy would see the key of the plain-http host {self.base_url}")


def _coerced(name: str, value: Any, default: Any, limits: Any) -> Any:
    """Turn an extra of a connection into its type: connections in URI form hold nothing but text."""
    if value is None or value == "":
        return default
    if name == "proxy":
        return _check_proxy(str(value))
    if name == "verify":
        return {"true": True, "false": False}.get(str(value).lower(), str(value))
    try:
        number = type(default)(value)
        if isinstance(value, bool) or number != float(value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise AchieveItConfigError(
            f"{name} {value!r} is no {'integer' if type(default) is int else 'number'}"
        ) from None
    low, high = limits["minimum"], limits.get("maximum", 86_400)
    if not low <= number <= high:
        raise AchieveItConfigError(f"{name} {value!r} is not within {low} to {high}")
    return number


def _check_proxy(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return url
    except ValueError:
        pass
    raise AchieveItConfigError(
        "proxy is no http:// or https:// URL with a host (it is not shown: it can hold a password)"
    )


def _check_ca(path: str) -> None:
    try:
        is_folder = Path(path).is_dir()
        ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)
    except (OSError, ValueError) as error:
        what = f"verify {path!r} is neither true, false nor the path of a CA file ({error})"
        raise AchieveItConfigError(what) from None


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_base_url(text: str) -> str:
    """Return the API's address without a trailing slash; no scheme means https.

    Raises:
        AchieveItConfigError: No host, user info, a query, another scheme, or plain http to a host that is not loopback.
    """
    url = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise AchieveItConfigError(f"The host {text!r} is malformed") from None
    bare = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if (
        re.search(r"[\s\x00-\x1f\x7f\\]", text)
        or "@" in parts.netloc
        or url.rstrip("/").lower() != bare.rstrip("/").lower()
        or not (_HOST.fullmatch(host) or _is_address(host))
        or port == 0
        or ".." in url
    ):
        raise AchieveItConfigError(f"The host {text!r} is malformed: expected a name such as api.achieveit.com")
    if parts.scheme not in ("https", "http"):
        raise AchieveItConfigError(f"The host {text!r} has the scheme {parts.scheme!r}: only https works")
    if parts.scheme == "http" and not is_loopback(host):
        raise AchieveItConfigError(f"The host {text!r} would get the key unencrypted: only loopback may be http")
    return bare.rstrip("/")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_plan_id(plan_id: str) -> str:
    """Return the plan id if it is safe within a URL and a path.

    Raises:
        AchieveItConfigError: It is not 1 to 64 letters, digits and hyphens.
    """
    if not isinstance(plan_id, str) or not _PLAN_ID.fullmatch(plan_id):
        raise AchieveItConfigError(f"plan_id {plan_id!r} is not 1 to 64 letters, digits and hyphens")
    return plan_id


def check_sort(sort_key: str, sort_direction: str) -> None:
    """Accept the 22 documented sort keys and both directions.

    Raises:
        AchieveItConfigError: Anything else.
    """
    if sort_key not in SORT_KEYS:
        raise AchieveItConfigError(f"sort_key {sort_key!r} is none of {', '.join(SORT_KEYS)}")
    if sort_direction not in SORT_DIRECTIONS:
        raise AchieveItConfigError(f"sort_direction {sort_direction!r} is neither asc nor desc")


def check_api_key(api_key: str | None) -> str:
    """Return the key if it can stand in a header.

    Raises:
        AchieveItConfigError: It is missing, or has characters that no header may carry; the message never shows it.
    """
    if not api_key or not api_key.strip():
        raise AchieveItConfigError("The API key is empty: it belongs into the password of the Airflow connection")
    if not api_key.isascii() or not api_key.isprintable() or api_key != api_key.strip():
        raise AchieveItConfigError("The API key has spaces, line breaks or other characters that a header cannot carry")
    return api_key
