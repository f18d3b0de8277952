"""The proxy and the CA bundle that the environment sets for all programs of a machine, checked before a request."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy

from airflow_provider_achieveit.api.address import check_certificates, check_proxy
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import shown


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment sets for an address, with a scheme; None for none.

    Raises:
        AchieveItConfigError: It can't be used; the message names the variable.
    """
    proxies = get_environ_proxies(url)
    proxy = select_proxy(url, proxies)
    if not proxy:
        return None
    name = _variable(next(key for key, value in proxies.items() if value == proxy), proxy)
    if proxy.lower().startswith("socks"):
        raise AchieveItConfigError(
            f"{name} in the environment names a SOCKS proxy, which is not supported: set the connection's proxy to an "
            f"http:// one, or NO_PROXY to {urlsplit(url).hostname}"
        )
    return check_proxy(f"{name} in the environment", proxy if "://" in proxy else f"http://{proxy}")


def _variable(key: str, value: str) -> str:
    """Return the name of the variable that a proxy comes from; lower case wins, as everywhere."""
    names = (f"{key}_proxy", f"{key}_proxy".upper())
    return next((name for name in names if os.environ.get(name) == value), names[1])


def ca_bundle() -> str | None:
    """Return the file or folder of certificates that the environment sets; None for none.

    Raises:
        AchieveItConfigError: It can't be used; the message names the variable.
    """
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if path := os.environ.get(name):
            try:
                check_certificates(path)
            except (OSError, ValueError) as error:
                what = f"{name} in the environment, {shown(path)}, is not the path of a CA file ({error})"
                raise AchieveItConfigError(what) from None
            return path
    return None
