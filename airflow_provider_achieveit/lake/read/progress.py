"""Progress of reading a long plan, in the log."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)


class Progress:
    """Logs how far a plan of several pages is, at most every two seconds.

    Args:
        plan_id: Id of the plan.
        pages: Number of its pages.
        items: Number of its items.
    """

    def __init__(self, plan_id: str, pages: int, items: int) -> None:
        self._plan_id, self._pages, self._items = plan_id, pages, items
        self._started = time.monotonic()
        self._reported = 0.0

    def report(self, pages: int, items: int) -> None:
        """Log the numbers of pages and items that were read, if it is time to."""
        now = time.monotonic()
        if now - self._reported < 2 and pages < self._pages:
            return
        self._reported = now
        speed = items / max(now - self._started, 1e-3)
        log.info(
            "Plan %s: page %d of %d, %d of %d items, %.0f items/s",
            self._plan_id, pages, self._pages, items, self._items, speed,
        )  # fmt: skip
