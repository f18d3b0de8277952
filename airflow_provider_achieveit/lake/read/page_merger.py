"""Pages put together, and what shows that they do not belong together."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_achieveit.lake.read.decode import Page
from airflow_provider_achieveit.lake.table_file import TableWriter

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PlanChangedError(Exception):
    """The plan changed while it was read; the text says how that was seen."""


class PageMerger:
    """Puts pages together, and sees whether they fit.

    What it knows of the rows so far: how many `pages` and `rows` there were, the `newest` time that one of them was
    updated, that one's `newest_id` and `newest_name`, the plan's name, the first `problem`, and which paths were
    `rescued` how often.

    Args:
        file: Where the rows go.
        plan_id: Id of the plan.
        accept_inconsistent: Note the first problem instead of raising it.
    """

    def __init__(self, file: TableWriter, plan_id: str, accept_inconsistent: bool) -> None:
        self._file = file
        self._plan_id = plan_id
        self._accept_inconsistent = accept_inconsistent
        self._last_id: pa.Scalar | None = None
        self.pages = 0
        self.rows = 0
        self.newest: datetime | None = None
        self.newest_id: str | None = None
        self.newest_name: str | None = None
        self.plan_name: str | None = None
        self.problem: str | None = None
        self.rescued: Counter[str] = Counter()

    def require_total(self, before: int, after: int) -> None:
        """Raise `PlanChangedError`, or note it, if `totalCount` is another than before."""
        self.require(before == after, f"totalCount moved from {before} to {after}")

    def require(self, holds: bool, otherwise: str) -> None:
        """Raise `PlanChangedError`, or note it, if something does not hold."""
        if holds:
            return
        if not self._accept_inconsistent:
            raise PlanChangedError(otherwise)
        if self.problem is None:
            self.problem = otherwise
            log.warning("Plan %s changed while it was read, which was to be accepted: %s", self._plan_id, otherwise)

    def add(self, page: Page, expected: int) -> None:
        """Append a page of so many expected items; its first item should be the last of the page before."""
        rows = page.rows
        self.require(rows.num_rows == expected, f"a page has {rows.num_rows} items instead of {expected}")
        known = 0
        if self._last_id is not None:
            known = pc.index(rows.column("id"), self._last_id).as_py() + 1
            self.require(known == 1, f"page {self.pages + 1} does not continue page {self.pages}")
            rows = rows.slice(known)
        self.pages += 1
        self.rescued.update(chain.from_iterable(page.rescued[known:]))
        if rows.num_rows:
            self._last_id = rows.column("id")[-1]
            self._note(rows)
            self._file.add(rows)
            self.rows += rows.num_rows

    def _note(self, rows: pa.RecordBatch) -> None:
        # As numbers: to turn a time or a Python value into another, pyarrow imports pandas where it is installed.
        moments = rows.column("last_updated").cast(pa.int64())
        latest = pc.max(moments)
        newest = _EPOCH + timedelta(microseconds=latest.as_py()) if latest.is_valid else None
        if newest is not None and (self.newest is None or newest > self.newest):
            self.newest = newest
            row = pc.index(moments, latest).as_py()
            self.newest_id, self.newest_name = (rows.column(name)[row].as_py() for name in ("id", "name"))
        if self.plan_name is None:
            self.plan_name = rows.column("plan_name")[0].as_py()
