"""Merge pages into one file and check that they come from one state of the plan."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_achieveit.lake.read.decode import Page
from airflow_provider_achieveit.lake.schema import RESCUED
from airflow_provider_achieveit.lake.table_file import TableWriter

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NotProvenError(Exception):
    """One read of a plan proved nothing.

    Args:
        reason: How that was seen.
    """

    sentence: ClassVar[str] = "{}"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.sentence.format(self.reason)


class PlanChangedError(NotProvenError):
    """The plan changed while it was read."""

    sentence = "it changed while it was read ({})"


class PagesDoNotFitError(NotProvenError):
    """Pages contradict each other, or one contradicts itself, although the plan stood still."""

    sentence = "it stood still, but its pages do not fit together ({})"


class PageMerger:
    """Merges pages that overlap by one item into a file.

    Attributes:
        pages: Pages so far.
        rows: Rows so far.
        newest: The newest `lastUpdated` of a row.
        newest_id: The id of that row.
        newest_name: The name of that row.
        plan_name: Name of the plan, as the first row that has it gives it.
        unreadable: The first value of `lastUpdated` that is not a time; None if there was none.
        rescued: Paths of rescued values, with how often.
        problem: The first thing that did not fit, where that is accepted.

    Args:
        file: Where the rows go.
        accept_inconsistent: Note the first problem instead of raising it.
    """

    def __init__(self, file: TableWriter, *, accept_inconsistent: bool) -> None:
        self._file = file
        self._accept_inconsistent = accept_inconsistent
        self._last_id: pa.Scalar | None = None
        self.pages = 0
        self.rows = 0
        self.newest: datetime | None = None
        self.newest_id: str | None = None
        self.newest_name: str | None = None
        self.plan_name: str | None = None
        self.unreadable: Any = None
        self.rescued: Counter[str] = Counter()
        self.problem: NotProvenError | None = None

    def require(self, holds: bool, otherwise: str) -> None:
        """Refuse pages that do not fit together, unless something holds."""
        if not holds:
            self.refuse(PagesDoNotFitError(otherwise))

    def refuse(self, problem: NotProvenError) -> None:
        """Raise a problem, or note it where problems are accepted."""
        if not self._accept_inconsistent:
            raise problem
        self.problem = self.problem or problem

    def add(self, page: Page, expected: int) -> int:
        """Append a page, whose first item has to be the last one of the page before.

        Args:
            page: The page.
            expected: Number of its items, if the plan stands still.

        Returns:
            The number of new rows.

        Raises:
            PagesDoNotFitError: It has another number of items, or does not continue the page before.
        """
        rows = page.rows
        here = f"page {self.pages + 1}"
        self.require(
            rows.num_rows == expected, f"{here} has {rows.num_rows} items instead of {expected} of {page.total}"
        )
        known = 0
        if self._last_id is not None:
            known = pc.index(rows.column("id"), self._last_id).as_py() + 1
            self.require(known == 1, f"{here} does not begin with the item that page {self.pages} ends with")
            rows = rows.slice(known)
        self.pages += 1
        if rows.num_rows:
            self._last_id = rows.column("id")[-1]
            self._note(rows)
            self._note_rescued(rows, page.rescued[known:])
            self._file.add(rows)
            self.rows += rows.num_rows
        return int(rows.num_rows)

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

    def _note_rescued(self, rows: pa.RecordBatch, rescued: list[list[str]]) -> None:
        self.rescued.update(chain.from_iterable(rescued))
        if self.unreadable is None:
            row = next((row for row, paths in enumerate(rescued) if "lastUpdated" in paths), None)
            if row is not None:
                self.unreadable = json.loads(rows.column(RESCUED)[row].as_py())["lastUpdated"]
