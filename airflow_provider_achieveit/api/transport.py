"""GET requests over a keep-alive session: the key's header, no redirects, no cookies, errors told apart."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy

import requests
from requests.auth import AuthBase

from airflow_provider_achieveit import __version__
from airflow_provider_achieveit.api.adapter import Adapter
from airflow_provider_achieveit.api.body import BodyShare, read_body
from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.deadline import RequestDeadline
from airflow_provider_achieveit.api.environment import ca_bundle, proxy_for
from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.api.redaction import Redactor
from airflow_provider_achieveit.api.retry import parse_retry_after
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.api.wire_errors import translated

USER_AGENT = f"airflow-provider-achieveit/{__version__} python-requests/{requests.__version__}"


@dataclass(frozen=True)
class Response:
    """Status of an answer, the seconds that an error asks to wait, and the whole body of a 200."""

    status: int
    retry_after: float | None
    body: bytes


class _ApiKeyAuth(AuthBase):
    """Sets the header on each request. An auth object also keeps `requests` from looking into ~/.netrc."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"API-KEY {self._api_key}"
        return request


class _Session(requests.Session):
    def get_redirect_target(self, response: requests.Response) -> None:
        """Take no answer for a redirect: `requests` prepares the next request even when it is told not to send it."""


class Transport:
    """Sends GET requests to one host, from any number of threads.

    Args:
        api_key: The key.
        settings: Host, timeouts, proxy, CA file; the environment's proxy and CA bundle where they name none.

    Raises:
        AchieveItConfigError: The environment's proxy or CA bundle can't be used.
    """

    def __init__(self, api_key: str, settings: ClientSettings) -> None:
        self.sent = 0
        self.redactor = Redactor(api_key)
        self._settings = settings
        self._lock = threading.Lock()
        # Plain http is for loopback only, where a proxy of the environment would read the key.
        is_tls = settings.base_url.startswith("https://")
        self._proxy = settings.proxy or (proxy_for(settings.base_url) if is_tls else None)
        self._verify = (is_tls and settings.verify is True and ca_bundle()) or settings.verify
        self._session = _Session()
        self._session.trust_env = False  # it was read above, once and with checks
        self._session.auth = _ApiKeyAuth(api_key)
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
        self._session.headers.update(headers)
        adapter = Adapter(pool_maxsize=settings.max_concurrency)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def get(
        self,
        path: str,
        params: Mapping[str, str | int],
        time_limit: float,
        share: BodyShare,
        cancellation: Cancellation,
    ) -> Response:
        """Send one request, once, and read the whole answer. Redirects are not followed.

        Args:
            path: Path below the base URL.
            params: Query parameters.
            time_limit: Seconds after which the connection is cut, however busy it is.
            share: Room for the body.
            cancellation: Cuts it as well.

        Raises:
            AchieveItError: No usable answer.
        """
        with RequestDeadline(time_limit) as deadline:
            try:
                with cancellation.on_cancel(deadline.cut):
                    with self._lock:
                        self.sent += 1
                    return self._send(path, params, share, deadline)
            except AchieveItError as error:
                problem: AchieveItError = error
            except Exception as error:  # whatever the libraries make of what is on the wire
                if cancellation.cancelled:  # then it came of our cut
                    problem = cancellation.error()
                elif deadline.expired:
                    problem = deadline.too_slow()
                else:
                    problem = translated(error, self._settings, self.redactor)
        # Out here it has no context: what urllib3 quotes of an answer could hold the key.
        raise problem

    def _send(
        self, path: str, params: Mapping[str, str | int], share: BodyShare, deadline: RequestDeadline
    ) -> Response:
        with self._session.get(
            self._settings.base_url + path,
            params=params,
            timeout=(self._settings.connect_timeout, self._settings.read_timeout),
            proxies={"https": self._proxy} if self._proxy else None,
            verify=self._verify,
            allow_redirects=False,
            stream=True,
        ) as response:
            if response.status_code != 200:  # decided, whatever the body does
                return Response(response.status_code, parse_retry_after(response.headers.get("Retry-After")), b"")
            # Not `.content`, which is slow, and knows no bounds.
            return Response(200, None, read_body(response.raw, share, deadline.check))

    def close(self) -> None:
        """Close the connections; a cancellation has cut the requests under way before."""
        self._session.close()
