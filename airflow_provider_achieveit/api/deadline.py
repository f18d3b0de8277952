"""urllib3's connections, with an upper bound on the time of a request, however busy a server keeps it."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.client import HTTPResponse
from socket import SHUT_RDWR, socket
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from airflow_provider_achieveit.api.errors import AchieveItError, AchieveItTimeoutError


class RequestDeadline:
    """Cuts the connection of one request, made by the thread that holds the deadline, when its time is up.

    Socket timeouts bound the wait for the next byte, so a server that sends a byte a second can hold a request for
    ever, in the TLS handshake, the headers or the body. Shutting the socket down ends all three.

    Args:
        time_limit: Seconds from now.
    """

    _current = threading.local()

    def __init__(self, time_limit: float) -> None:
        self.time_limit = time_limit
        self.expired = False
        self._is_cut = False
        self._socket: socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(time_limit, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> RequestDeadline:
        self._current.deadline = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._current.deadline = None
        self._keep_socket(None)

    @classmethod
    def attach(cls, connection: _DeadlineMixin) -> None:
        """Let the deadline of the current thread, if there is one, deadline this connection."""
        deadline: RequestDeadline | None = getattr(cls._current, "deadline", None)
        if deadline is not None and connection.handle is not None:
            # Its own duplicate: after `Connection: close` the connection is closed as soon as the headers are read.
            deadline._keep_socket(connection.handle.dup())
            if deadline._is_cut:
                deadline.cut()

    def _keep_socket(self, duplicate: socket | None) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = duplicate

    def _expire(self) -> None:
        self.expired = True
        self.cut()

    def too_slow(self) -> AchieveItError:
        """Return the error of a request that was cut because its time was up."""
        return AchieveItTimeoutError(f"the answer did not end within {self.time_limit:.1f} s")

    def cut(self) -> None:
        """End the request, also one that is only about to connect."""
        self._is_cut = True
        with self._lock, suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(SHUT_RDWR)


class _Response(HTTPResponse):
    def begin(self) -> None:
        super().begin()
        # urllib3 logs the header lines that can't be parsed, and a server could echo the key in one.
        self.headers.defects.clear()
        self.headers.set_payload("")


class _DeadlineMixin:
    """Mixin for urllib3's connections: tells the current deadline which socket is in use."""

    #: A duplicate: TLS detaches the original socket object while it shakes hands.
    handle: socket | None = None

    def _new_conn(self) -> socket:
        sock: socket = super()._new_conn()  # type: ignore[misc]  # a mixin: urllib3's connection comes next
        self.handle = sock.dup()
        RequestDeadline.attach(self)
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        RequestDeadline.attach(self)
        super().request(*args, **kwargs)  # type: ignore[misc]  # as above

    def close(self) -> None:
        super().close()  # type: ignore[misc]  # as above
        if self.handle is not None:
            self.handle.close()
            self.handle = None


class _Connection(_DeadlineMixin, HTTPConnection):
    response_class = _Response


class _TLSConnection(_DeadlineMixin, HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS = {"http": _Pool, "https": _TLSPool}


class Adapter(HTTPAdapter):
    """Gives a `requests` session these connections, also through a proxy; TLS below 1.2 urllib3 refuses by itself."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools; `requests` calls it."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def close(self) -> None:
        """Close the connections of all pools."""
        # urllib3 2 leaves the connections of a pool to the garbage collector, which may take its time.
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  # it can't be iterated over
                manager.pools[key].close()
        super().close()

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make the pools of a proxy; `requests` calls it."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
