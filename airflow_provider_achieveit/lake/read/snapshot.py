"""A snapshot of a plan that is proven: complete, and the same before and after it was read.

Offset paging over a plan that people are editing skips and repeats items without a word. What is checked here, and
what it cannot see, stands in `docs/guarantees.md`.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_achieveit.api.plan import PlanClient, Window
from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.api.response import wrong_shape
from airflow_provider_achieveit.lake.errors import AchieveItInconsistentError, AchieveItStoreError
from airflow_provider_achieveit.lake.read.decode import Page, decode_page
from airflow_provider_achieveit.lake.read.page_merger import PageMerger, PlanChangedError
from airflow_provider_achieveit.lake.schema import DICTIONARY_COLUMNS, PLAN_ITEMS_TABLE, STATISTICS_COLUMNS, plan_schema
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.table_file import TableFile, TableWriter

log = logging.getLogger(__name__)

#: Seconds before the second and the third attempt.
PAUSES = (1.0, 3.0)


@dataclass(frozen=True)
class Snapshot:
    """A plan as it was read.

    Attributes:
        items: The plan's items, a row each.
        version: The plan version that it is a snapshot of.
        consistent: Whether that is proven.
        plan_name: The plan's name, where it has items.
        rescued: Paths of the values in `_rescued_data`, with how often.
        attempts: How often the plan was read.
        read_at: A moment at which the plan was in this state, by this machine's clock; for a plan of one page, when it
            was asked for.
    """

    items: TableFile
    version: PlanVersion
    consistent: bool
    plan_name: str | None
    rescued: dict[str, int]
    attempts: int
    read_at: datetime


def read_snapshot(
    plan: PlanClient,
    directory: Path,
    *,
    accept_inconsistent: bool = False,
    before: PlanVersion | None = None,
) -> Snapshot:
    """Read a plan into a Parquet file, again if it changed meanwhile.

    Args:
        plan: The plan, bound to a client of the API.
        directory: Where the file goes; its name is `plan_items.parquet`.
        accept_inconsistent: Keep what the last attempt read, marked as inconsistent, instead of raising.
        before: The plan version, if the caller has just asked for it.

    Raises:
        AchieveItInconsistentError: The plan changed during every attempt.
        AchieveItError: As in `api.errors`.
    """
    reader = _Reader(plan, directory / "plan_items.parquet", before)
    for attempt, pause in enumerate((*PAUSES, None), start=1):
        last = pause is None
        try:
            return reader.read(attempt, accept_inconsistent=last and accept_inconsistent)
        except PlanChangedError as moved:
            if pause is None:
                what = f"every one of {attempt} attempts to read the plan saw it change, the last one: {moved}"
                raise AchieveItInconsistentError(what, plan_id=plan.plan_id) from None
            log.warning(
                "Plan %s changed while it was read (%s); reading it again in %.0f s", plan.plan_id, moved, pause
            )
            plan.cancellation.sleep(pause)
    raise AssertionError("unreachable")


def read_table(plan: PlanClient) -> pa.Table:
    """Return a snapshot as a table in memory, by way of the same file that an export publishes.

    Raises:
        AchieveItError: As `read_snapshot`.
    """
    with scratch_directory() as directory:
        path = read_snapshot(plan, directory).items.path
        # Not by `pq.read_table`: it imports pyarrow.dataset, and that pandas where it is installed, for over a second.
        return pq.ParquetFile(path).read(use_threads=False)


class _Reader:
    """One attempt after the other; what was learnt about the page size is kept."""

    def __init__(self, plan: PlanClient, path: Path, before: PlanVersion | None) -> None:
        self._plan = plan
        self._path = path
        self._before = before
        self._page_size = plan.page_size
        self._many_pages = False
        self._read_at = datetime.now(UTC)

    def read(self, attempt: int, *, accept_inconsistent: bool) -> Snapshot:
        before = self._before
        self._before = None
        if self._many_pages and before is None:
            before = self._plan.version()
        window = Window(0, self._page_size)
        self._read_at = datetime.now(UTC)
        body, first = self._plan.page(window, lambda body: (body, decode_page(body)))
        rows = first.rows.num_rows
        schema = plan_schema(self._plan.plan_id)
        with TableWriter(self._path, schema, dictionary=DICTIONARY_COLUMNS, statistics=STATISTICS_COLUMNS) as file:
            merger = PageMerger(file, self._plan.plan_id, accept_inconsistent)
            if rows >= first.total:
                # One answer is one state of the plan: it needs no version before and after.
                merger.require(rows == first.total, f"{rows} items came, but totalCount is {first.total}")
                merger.add(first, rows)
                version = PlanVersion(merger.rows, merger.newest, merger.newest_id, merger.newest_name)
            else:
                version = self._read_pages(body, first, before, merger)
        self._check_ids(merger)
        return Snapshot(
            items=TableFile(PLAN_ITEMS_TABLE, self._path, merger.rows),
            version=version,
            consistent=merger.problem is None,
            plan_name=merger.plan_name,
            rescued=dict(merger.rescued),
            attempts=attempt,
            read_at=self._read_at,
        )

    def _read_pages(self, body: bytes, first: Page, before: PlanVersion | None, merger: PageMerger) -> PlanVersion:
        """Read a plan of several pages, and prove that it stood still meanwhile; return its version."""
        self._many_pages = True
        self._page_size = size = first.rows.num_rows  # the API may allow less than was asked for
        if size < 2:
            raise wrong_shape(f"{size} items came although totalCount is {first.total}")
        if before is None:
            # The first page is older than this version, so it only told the size and is read again.
            before = self._plan.version()
            skips = range(0, before.total_count - 1, size - 1)
        else:
            merger.require_total(before.total_count, first.total)
            merger.add(first, size)
            skips = range(size - 1, before.total_count - 1, size - 1)
        self._read_at = datetime.now(UTC)  # between the two looks at the version
        total = before.total_count
        windows = [Window(skip, size) for skip in skips]

        def decode(another: bytes) -> Page:
            # The first page, read again, is as a rule what it was.
            return first if another == body else decode_page(another)

        progress = _Progress(self._plan.plan_id, len(windows) + merger.pages, total)
        # Closed here, so that no request of this attempt is under way when the next one begins.
        with closing(self._plan.pages(windows, decode)) as pages:
            for window, page in zip(windows, pages, strict=True):
                merger.require_total(total, page.total)
                merger.add(page, min(size, total - window.skip))
                progress.report(merger)
        after = self._plan.version()
        merger.require(after == before, f"the plan version moved from {before.to_json()} to {after.to_json()}")
        merger.require(merger.rows == total, f"{merger.rows} items came, but totalCount is {total}")
        merger.require(
            merger.newest is not None and merger.newest == before.last_updated,
            f"the newest lastUpdated among the items is {merger.newest}, the plan's is {before.last_updated}, "
            "and a proof needs the same date in both",
        )
        return before

    def _check_ids(self, merger: PageMerger) -> None:
        """Count the distinct ids in the file as it was written: rows that are lost on the way would show as well."""
        # Their hashes, a row group at a time: about 90 bytes an item, where counting in pyarrow takes 500.
        rows, hashes = 0, set[int]()
        for ids in _ids(self._path):
            rows += len(ids)
            hashes.update(map(hash, ids))
        if rows != merger.rows:
            raise AchieveItStoreError(f"the spooled file has {rows} rows instead of {merger.rows}")
        if len(hashes) != rows:
            counts = Counter(chain.from_iterable(_ids(self._path)))
            repeated = [item_id for item_id, count in counts.items() if count > 1]
            what = f"{len(repeated)} ids came more than once, such as {', '.join(repeated[:3])}"
            merger.require(not repeated, what)


def _ids(path: Path) -> Iterator[list[str]]:
    """Yield the ids of a snapshot's file, a row group at a time."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, ["id"], use_threads=False).column("id").to_pylist()


class _Progress:
    """Logs how far a plan of several pages is, at most every two seconds."""

    def __init__(self, plan_id: str, pages: int, total: int) -> None:
        self._plan_id, self._pages, self._total = plan_id, pages, total
        self._started = time.monotonic()
        self._reported = 0.0

    def report(self, merger: PageMerger) -> None:
        now = time.monotonic()
        if now - self._reported < 2 and merger.pages < self._pages:
            return
        self._reported = now
        speed = merger.rows / max(now - self._started, 1e-3)
        log.info(
            "Plan %s: page %d of %d, %d of %d items, %.0f items/s",
            self._plan_id, merger.pages, self._pages, merger.rows, self._total, speed,
        )  # fmt: skip
