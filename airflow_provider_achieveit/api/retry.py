"""When to try again: backoff, `Retry-After`, and the time budget of a request for all its tries."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from airflow_provider_achieveit.api.errors import AchieveItError

log = logging.getLogger(__name__)

_LONGEST_DELAY = 60.0
#: A day; what asks for more is a mistake, which should not keep a task waiting for a year.
LONGEST_RETRY_AFTER = 86_400.0
#: Up to this fraction of a `Retry-After`, and up to these seconds, are added to it at random.
_SPREAD, _LONGEST_SPREAD = 0.25, 15.0


@dataclass(frozen=True)
class Pauses:
    """Seconds before something is tried again, where the server does not say how long. Shorter ones make tests quick.

    Attributes:
        first_retry: At most, after the first failed try of a request; twice that after the second, and so on.
        between_reads: Before each further attempt to read a plan that people are editing.
    """

    first_retry: float = 0.5
    between_reads: tuple[float, ...] = (1.0, 3.0)


DEFAULT_PAUSES = Pauses()


def backoff(tries: int, first: float = Pauses.first_retry) -> float:
    """Return the seconds to wait after failed tries: doubling, up to a minute, with jitter."""
    longest = min(_LONGEST_DELAY, first * 2.0 ** min(tries - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # jitter is no secret


def parse_retry_after(text: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header, given in seconds or as an HTTP-date; None if there are none.

    RFC 9110, section 10.2.3. A date in the past means now. More than a day is taken for a day.
    """
    if text is None:
        return None
    try:
        if text.strip().isdigit():
            seconds = float(text)
        else:
            moment = parsedate_to_datetime(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            seconds = max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None
    if seconds > LONGEST_RETRY_AFTER:
        log.warning("The server asks to wait %.3g s (Retry-After), which is taken for a day", seconds)
        return LONGEST_RETRY_AFTER
    return seconds


class RetryBudget:
    """The tries of one request, within its time budget.

    Args:
        seconds: The budget, from now.
        first_retry: As in `Pauses`.
    """

    def __init__(self, seconds: float, first_retry: float = Pauses.first_retry) -> None:
        self._seconds = seconds
        self._first_retry = first_retry
        self._deadline = time.monotonic() + seconds
        self._tries = 0

    def begin(self) -> None:
        """Begin a try."""
        self._tries += 1
        self._backoff = backoff(self._tries, self._first_retry)
        # Else all processes that a server told the same would come back at the same moment.
        self._spread = random.uniform(0.0, _SPREAD)  # noqa: S311  # jitter is no secret

    @property
    def remaining(self) -> float:
        """Seconds that are left; negative when the budget is over."""
        return self._deadline - time.monotonic()

    def delay(self, error: AchieveItError) -> float | None:
        """Return the seconds to wait after the current try failed; None if there is to be no other."""
        asked = error.retry_after or 0.0
        delay = max(asked, self._backoff)
        if not error.retry_request or delay > self.remaining:
            return None
        return max(delay, min(asked + min(asked * self._spread, _LONGEST_SPREAD), self.remaining))

    def given_up(self, error: AchieveItError) -> AchieveItError:
        """Return the error of the last try; it says how many there were, where more could have helped."""
        if error.retry_request:
            error.what += f" (given up at try {self._tries}: max_retry_seconds={self._seconds:g})"
        return error
