"""An upper bound on the time of a request, however busy a server keeps it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR, socket

from airflow_provider_achieveit.api.errors import AchieveItError, AchieveItTimeoutError


def _nothing() -> None:
    pass


class RequestDeadline:
    """Cuts one request, made by the thread that holds the deadline, when its time is up or when it is told to.

    Socket timeouts bound the wait for the next byte, so a server that sends a byte a second can hold a request for
    ever, in the TLS handshake, the headers or the body. Shutting the socket down ends all three, and a connect.

    Args:
        time_limit: Seconds from now.
    """

    _thread = threading.local()

    def __init__(self, time_limit: float) -> None:
        self.time_limit = time_limit
        self.expired = False
        self._is_cut = False
        self._end: Callable[[], None] = _nothing
        self._forget: Callable[[], None] = _nothing
        self._lock = threading.Lock()
        self._timer = threading.Timer(time_limit, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> RequestDeadline:
        self._thread.current = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._thread.current = None
        self.blocked(_nothing)

    @classmethod
    def current(cls) -> RequestDeadline:
        """Return the deadline of this thread."""
        deadline: RequestDeadline = cls._thread.current
        return deadline

    def blocked(self, end: Callable[[], None], forget: Callable[[], None] = _nothing) -> None:
        """Say what the request is about to wait for.

        Args:
            end: Ends the wait; called when the request is cut, at once if it has been.
            forget: Called when the request waits for something else.
        """
        with self._lock:
            self._forget()
            self._end, self._forget = end, forget
        if self._is_cut:
            self.cut()

    def blocked_by(self, sock: socket) -> None:
        """Say that the request waits for a socket."""
        # Its own duplicate: TLS detaches the original socket object while it shakes hands, and after
        # `Connection: close` the connection is closed as soon as the headers are read.
        duplicate = sock.dup()
        self.blocked(lambda: duplicate.shutdown(SHUT_RDWR), duplicate.close)

    def check(self) -> None:
        """Return if the request may go on.

        Raises:
            ConnectionAbortedError: It was cut.
        """
        if self._is_cut:
            raise ConnectionAbortedError("the request was cut")

    def cut(self) -> None:
        """End the request, also one that has not begun to connect."""
        self._is_cut = True
        with self._lock, suppress(OSError):
            self._end()

    def _expire(self) -> None:
        self.expired = True
        self.cut()

    def too_slow(self) -> AchieveItError:
        """Return the error of a request that was cut because its time was up."""
        return AchieveItTimeoutError(f"the answer did not end within {self.time_limit:.1f} s")
