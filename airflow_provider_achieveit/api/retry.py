"""When to try again: backoff, `Retry-After`, and a pause that all requests of a client share."""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from airflow_provider_achieveit.api.cancellation import Cancellation

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 60.0
#: A year; what asks for more is a mistake, and not every clock could count it.
_LONGEST_RETRY_AFTER = 366 * 86_400.0


def backoff(tries: int) -> float:
    """Return the seconds to wait after so many failed tries: doubling, up to a minute, with jitter."""
    longest = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(tries - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # jitter is no secret


def parse_retry_after(text: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header, given in seconds or as an HTTP-date; None if there are none.

    RFC 9110, section 10.2.3. A date in the past means now.
    """
    if text is None:
        return None
    try:
        if text.strip().isdigit():
            return min(float(text), _LONGEST_RETRY_AFTER)
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), _LONGEST_RETRY_AFTER)


class SharedPause:
    """A pause shared by all threads of a client: one 429 slows every request, not only the one that met it.

    Args:
        cancellation: Ends the pause.
    """

    def __init__(self, cancellation: Cancellation) -> None:
        self._cancellation = cancellation
        self._lock = threading.Lock()
        self._resume_at = 0.0

    def pause(self, seconds: float) -> None:
        """Hold back all requests for `seconds`."""
        with self._lock:
            self._resume_at = max(self._resume_at, time.monotonic() + seconds)

    def wait(self) -> None:
        """Return when no pause is on.

        Raises:
            AchieveItClosedError: The client was closed.
        """
        self._cancellation.check()
        while (seconds := self._resume_at - time.monotonic()) > 0:
            self._cancellation.sleep(seconds)
