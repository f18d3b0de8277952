"""Client settings, validated before the first request."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from airflow_provider_achieveit.api import validate
from airflow_provider_achieveit.api.address import check_base_url, check_certificates, check_proxy
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import shown

DEFAULT_BASE_URL = "https://api.achieveit.com"

_DAY = 86_400


def _number(default: float, minimum: float, maximum: float) -> Any:
    """Declare a setting that is a number, of the type of its default; the connection's form shows the limits."""
    parse = partial(validate.integer if isinstance(default, int) else validate.number, minimum=minimum, maximum=maximum)
    return field(default=default, metadata={"parse": parse, "minimum": minimum, "maximum": maximum})


def _verify(name: str, value: Any) -> bool | str:
    """Return whether to verify certificates, or the path of the CA file to do it with."""
    if isinstance(value, bool) or str(value).lower() in ("true", "false"):
        return validate.boolean(name, value)
    path = str(value)
    try:
        check_certificates(path)
    except (OSError, ValueError) as error:
        what = f"{name} {shown(path)} is neither true, false nor the path of a CA file ({error})"
        raise AchieveItConfigError(what) from None
    return path


@dataclass(frozen=True)
class ClientSettings:
    """How the client talks to the API. Numbers and booleans may be text, as in a connection in URI form.

    Attributes:
        base_url: The API's address; `https://`, or `http://` for a loopback host.
        page_size: Items per request, 2 to 1500 (the API's maximum; two, because consecutive pages share an item).
        max_concurrency: Requests in flight at once, 1 to 32.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for the next byte of an answer.
        requests_per_second: Requests sent in a second by one client, on average; 0 for no limit.
        max_retry_seconds: Time budget of one page for all its tries, in seconds; 0 turns retries off.
        verify: True, or the path of a CA file. False accepts any certificate.
        proxy: URL of a proxy; None uses the environment's. Not in the `repr`: it can hold a password.

    Raises:
        AchieveItConfigError: A value is out of its limits.
    """

    base_url: str = DEFAULT_BASE_URL
    page_size: int = _number(1500, 2, 1500)
    max_concurrency: int = _number(4, 1, 32)
    connect_timeout: float = _number(10.0, 0.1, _DAY)
    read_timeout: float = _number(60.0, 0.1, _DAY)
    max_retry_seconds: float = _number(300.0, 0, _DAY)
    requests_per_second: float = _number(0.0, 0, 1000)
    verify: bool | str = field(default=True, metadata={"parse": _verify})
    proxy: str | None = field(default=None, repr=False, metadata={"parse": check_proxy})

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", check_base_url(self.base_url))
        validate.check_fields(self)
        if self.proxy and self.base_url.startswith("http://"):
            raise AchieveItConfigError(f"The proxy would see the key of the plain-http host {self.base_url}")
