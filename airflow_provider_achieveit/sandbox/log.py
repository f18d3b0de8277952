"""The requests that came in, and how many of them were answered at the same time."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.message import Message

_LENGTH = 100_000


@dataclass(slots=True)
class Request:
    """One request to the API, as it came in. The key itself is not kept."""

    number: int
    method: str
    path: str
    query: str
    plan: str | None
    user_agent: str | None
    accept_encoding: str | None
    has_key: bool
    key_ok: bool
    arrived: float
    #: None while it is not answered, and when the connection broke first.
    status: int | None = None
    #: When the answer was ready to be sent, or the connection was gone.
    finished: float | None = None

    def finish(self, status: int | None = None) -> None:
        """Note once that the request is over."""
        if self.finished is None:
            self.status, self.finished = status, time.monotonic()


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many requests there were, and how many of them at once."""

    requests: int
    in_flight: int
    max_in_flight: int

    @classmethod
    def of(cls, requests: Sequence[Request]) -> Traffic:
        """Count these requests."""
        steps = [(request.arrived, 1) for request in requests]
        steps += [(request.finished, -1) for request in requests if request.finished is not None]
        in_flight = [0, *accumulate(step for _, step in sorted(steps))]
        return cls(len(requests), in_flight[-1], max(in_flight))


class RequestLog:
    """The newest 100,000 requests since it was cleared. Every method is safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: deque[Request] = deque(maxlen=_LENGTH)
        self._count = 0

    def arrive(self, method: str, path: str, query: str, plan: str | None, headers: Message, key: str) -> Request:
        """Note that a request has come in; the first one after `clear` has number 1."""
        authorization = headers.get("Authorization")
        with self._lock:
            self._count += 1
            request = Request(
                number=self._count,
                method=method,
                path=path,
                query=query,
                plan=plan,
                user_agent=headers.get("User-Agent"),
                accept_encoding=headers.get("Accept-Encoding"),
                has_key=authorization is not None,
                key_ok=authorization == f"API-KEY {key}",
                arrived=time.monotonic(),
            )
            self._requests.append(request)
        return request

    def requests(self) -> list[Request]:
        """The requests in the order in which they came in."""
        with self._lock:
            return list(self._requests)

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._requests.clear()
            self._count = 0
