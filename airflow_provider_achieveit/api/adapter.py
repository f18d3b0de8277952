"""urllib3's connections for a `requests` session, which the deadline of a request can cut at any point."""

from __future__ import annotations

import socket
import threading
import time
from http.client import HTTPResponse
from queue import Empty, SimpleQueue
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import allowed_gai_family

from airflow_provider_achieveit.api.deadline import RequestDeadline

#: What getaddrinfo says of a name: family, kind, protocol, canonical name, address.
Addresses = list[tuple[Any, Any, int, str, Any]]


def connect(host: str, port: int, timeout: float, options: Any) -> socket.socket:
    """Connect to the first address of a host that answers, within `timeout` seconds in all.

    Raises:
        OSError: Nothing answers, or the deadline of this thread has cut the request.
    """
    deadline = RequestDeadline.current()
    give_up_at = time.monotonic() + timeout
    late = TimeoutError(f"there was no connection within {timeout:g} s (connect_timeout)")
    problem: OSError = late
    for family, kind, protocol, _, address in _resolve(host, port, timeout, deadline):
        sock = socket.socket(family, kind, protocol)
        try:
            for option in options or ():
                sock.setsockopt(*option)
            sock.settimeout(max(give_up_at - time.monotonic(), 0.001))
            deadline.blocked_by(sock)
            deadline.check()
            sock.connect(address)
            deadline.check()
            sock.settimeout(timeout)
        except OSError as error:
            sock.close()
            problem = late if isinstance(error, TimeoutError) else error
        else:
            return sock
    raise problem


def _resolve(host: str, port: int, timeout: float, deadline: RequestDeadline) -> Addresses:
    """Return the addresses of a host, in time: nothing can interrupt a resolver that hangs, so a thread asks it."""
    host = host.strip("[]")
    answers: SimpleQueue[Addresses | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM))
        except OSError as error:
            answers.put(error)
        except UnicodeError as error:  # a label that is too long
            answers.put(OSError(str(error)))

    deadline.blocked(lambda: answers.put(ConnectionAbortedError("the request was cut")))
    threading.Thread(target=ask, name="achieveit-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except Empty:
        raise TimeoutError(f"the name {host} was not resolved within {timeout:g} s (connect_timeout)") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


class _Response(HTTPResponse):
    def begin(self) -> None:
        super().begin()
        # urllib3 logs the header lines that can't be parsed, and a server could echo the key in one.
        self.headers.defects.clear()
        self.headers.set_payload("")


class _DeadlineMixin:
    """Mixin for urllib3's connections: tells the current deadline which socket is in use."""

    #: A duplicate: TLS detaches the original socket object while it shakes hands.
    _handle: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        connection: Any = self
        sock = connect(connection._dns_host, connection.port, connection.timeout, connection.socket_options)
        self._handle = sock.dup()
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self._handle is not None:
            RequestDeadline.current().blocked_by(self._handle)
        super().request(*args, **kwargs)  # type: ignore[misc]  # a mixin: urllib3's connection comes next

    def close(self) -> None:
        super().close()  # type: ignore[misc]  # as above
        if self._handle is not None:
            self._handle.close()
            self._handle = None


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
