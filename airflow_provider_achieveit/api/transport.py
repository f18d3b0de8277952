"""GET requests over a keep-alive session: the key's header, no redirects, errors told apart."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import requests
from requests.auth import AuthBase
from urllib3.exceptions import DecodeError, HTTPError

from airflow_provider_achieveit import __version__
from airflow_provider_achieveit.api.deadline import Adapter, RequestDeadline
from airflow_provider_achieveit.api.errors import (
    AchieveItClosedError,
    AchieveItConfigError,
    AchieveItError,
    AchieveItMalformedError,
    AchieveItTimeoutError,
    AchieveItTlsError,
    AchieveItUnreachableError,
)
from airflow_provider_achieveit.api.retry import parse_retry_after
from airflow_provider_achieveit.api.settings import ClientSettings

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


def _closed() -> AchieveItError:
    return AchieveItClosedError("the client was closed")


class Transport:
    """Sends GET requests to one host, from any number of threads."""

    def __init__(self, api_key: str, settings: ClientSettings) -> None:
        self.sent = 0
        self._closed = False
        self._api_key = api_key
        self._settings = settings
        self._lock = threading.Lock()
        self._active: set[RequestDeadline] = set()
        self._session = _Session()
        self._session.auth = _ApiKeyAuth(api_key)
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
        self._session.headers.update(headers)
        # Plain http is for loopback only, where a proxy of the environment would read the key.
        self._session.trust_env = settings.base_url.startswith("https://")
        adapter = Adapter(pool_maxsize=settings.max_concurrency)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def get(self, path: str, params: Mapping[str, str | int], time_limit: float) -> Response:
        """Send one request, once, and read the whole answer. Redirects are not followed.

        Args:
            path: Path below the base URL.
            params: Query parameters.
            time_limit: Seconds after which the connection is cut, however busy it is.

        Raises:
            AchieveItError: No usable answer.
        """
        with RequestDeadline(time_limit) as deadline:
            with self._lock:
                if self._closed:
                    raise _closed()
                self.sent += 1
                self._active.add(deadline)
            try:
                return self._send(path, params, deadline)
            except (requests.RequestException, HTTPError, OSError) as error:
                problem = _closed() if self._closed else self._translated(error, deadline)
            finally:
                with self._lock:
                    self._active.discard(deadline)
        # Out here it has no context: what urllib3 quotes of an answer could hold the key.
        raise problem

    def _send(self, path: str, params: Mapping[str, str | int], deadline: RequestDeadline) -> Response:
        with self._session.get(
            self._settings.base_url + path,
            params=params,
            timeout=(self._settings.connect_timeout, self._settings.read_timeout),
            # Given per request: a proxy or a CA bundle of the environment would win over those of the session.
            proxies={"https": self._settings.proxy} if self._settings.proxy else None,
            verify=self._settings.verify,
            allow_redirects=False,
            stream=True,
        ) as response:
            if response.status_code != 200:  # decided, whatever the body does
                return Response(response.status_code, parse_retry_after(response.headers.get("Retry-After")), b"")
            # Five times cheaper than `.content`, which reads in chunks of 10 kB.
            body = response.raw.read(decode_content=True)
            if deadline.expired:
                raise deadline.too_slow()
            return Response(200, None, body)

    def redacted(self, text: str) -> str:
        """Return a text without the key, which a server could echo in what is quoted of its answers."""
        return text.replace(self._api_key, "***")

    def close(self) -> None:
        """Cut the requests under way and close the connections."""
        with self._lock:
            self._closed = True  # from here on nobody opens a connection that nobody would close
            for deadline in self._active:
                deadline.cut()
        self._session.close()

    def _translated(self, error: Exception, deadline: RequestDeadline) -> AchieveItError:
        """Tell the situations apart that `requests` and urllib3 report in many classes."""
        if deadline.expired:  # whatever the error is, it came of our cut
            return deadline.too_slow()
        text = self.redacted(f"{type(error).__name__}: {error}")
        if isinstance(error, requests.Timeout) or "timed out" in text.lower():
            return AchieveItTimeoutError(text)
        is_tls = isinstance(error, requests.exceptions.SSLError) or "CERTIFICATE_VERIFY_FAILED" in text  # of a proxy
        if is_tls and not any(mark in text for mark in _TLS_BROKEN_OFF):
            return AchieveItTlsError(text)
        if isinstance(error, DecodeError) or "IncompleteRead" in text:
            return AchieveItMalformedError(text, status=200)
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidProxyURL):
            return AchieveItConfigError(text)
        return AchieveItUnreachableError(text)


#: A connection that was lost while TLS shook hands is worth another try; a certificate or a version is not.
_TLS_BROKEN_OFF = ("EOF", "ConnectionReset", "BrokenPipe")
