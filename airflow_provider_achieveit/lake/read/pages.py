"""Read a plan once, as one page or as several, and prove that what was read is one state of it.

`docs/guarantees.md` says what is proven and what cannot be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from airflow_provider_achieveit.api.plan import PlanClient, Window
from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.api.response import parse_page
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.lake.errors import AchieveItPagingError
from airflow_provider_achieveit.lake.layout import PLAN_ITEMS_TABLE
from airflow_provider_achieveit.lake.read.decode import decode_page
from airflow_provider_achieveit.lake.read.ids import repeated_ids
from airflow_provider_achieveit.lake.read.page_merger import (
    NotProvenError,
    PageMerger,
    PagesDoNotFitError,
    PlanChangedError,
)
from airflow_provider_achieveit.lake.read.progress import Progress
from airflow_provider_achieveit.lake.schema import DICTIONARY_COLUMNS, STATISTICS_COLUMNS, plan_schema
from airflow_provider_achieveit.lake.table_file import TableFile, TableWriter

#: Items that the API gives to whoever does not ask for a number.
_DEFAULT_TAKE = 100


@dataclass(frozen=True)
class Snapshot:
    """A plan as it was read.

    Attributes:
        items: The plan's items, a row each.
        version: The plan version that it is a snapshot of.
        plan_name: The plan's name, where it has items.
        rescued: Paths of the values in `_rescued_data`, with how often.
        read_at: A moment at which the plan was in this state, by this machine's clock; for a plan of one page, when it
            was asked for.
        problem: Why it is not proven to be one state of the plan; None if it is.
        attempts: How often the plan was read.
    """

    items: TableFile
    version: PlanVersion
    plan_name: str | None
    rescued: dict[str, int]
    read_at: datetime
    problem: NotProvenError | None = None
    attempts: int = 1

    @property
    def consistent(self) -> bool:
        """Whether it is proven to be one state of the plan."""
        return self.problem is None


@dataclass(frozen=True)
class TooLong:
    """A plan that takes several pages.

    Attributes:
        page_size: Items that the API gives at once.
    """

    page_size: int


class UnknownVersionError(NotProvenError):
    """The plan version is unknown, so that only a second read with the same content proves the first one.

    Args:
        reason: Why it is unknown.
        content: SHA-256 of what was read.
    """

    sentence = "its version is unknown ({}), so that two reads in a row have to give the same content"

    def __init__(self, reason: str, content: str) -> None:
        super().__init__(reason)
        self.content = content


def read_one_page(plan: PlanClient, directory: Path, *, accept_inconsistent: bool = False) -> Snapshot | TooLong:
    """Read a plan that fits on one page: one answer is one state of it, and needs no version before and after.

    Args:
        plan: The plan, bound to a client of the API.
        directory: Where the file goes; its name is `plan_items.parquet`.
        accept_inconsistent: Keep what contradicts itself, marked as inconsistent, instead of raising.

    Returns:
        The snapshot; or that the plan is too long, for `read_pages`.

    Raises:
        NotProvenError: The page contradicts itself, or the plan grew meanwhile.
        AchieveItError: As in `api.errors`.
    """
    read_at = datetime.now(UTC)
    page = plan.page(Window(0, plan.page_size), partial(decode_page, take=plan.page_size))
    rows, total = page.rows.num_rows, page.total
    if rows < total:
        if rows < 2:
            raise AchieveItPagingError(f"{rows} items came although totalCount is {total}", plan_id=plan.plan_id)
        return TooLong(rows)
    with _merging(plan, directory, accept_inconsistent) as merger:
        merger.require(rows == total, f"{rows} items came although totalCount is {total}")
        if rows in (plan.page_size, _DEFAULT_TAKE):
            _require_end(plan, merger, rows)
        merger.add(page, rows)
    unreadable = _unreadable(plan, merger)
    newest = None if unreadable else merger.newest
    version = PlanVersion(rows, newest, merger.newest_id, merger.newest_name, unreadable=unreadable)
    return _snapshot(_path(directory), merger, version, read_at)


def read_pages(
    plan: PlanClient,
    directory: Path,
    page_size: int,
    *,
    sort_key: str = "sequenceId",
    previous_content: str | None = None,
    accept_inconsistent: bool = False,
) -> Snapshot:
    """Read a plan page by page between two looks at its version.

    Args:
        plan: The plan, bound to a client of the API.
        directory: Where the file goes; its name is `plan_items.parquet`.
        page_size: Items per page, at least 2.
        sort_key: The order of the pages.
        previous_content: SHA-256 of what was read just before, for a plan whose version is unknown.
        accept_inconsistent: Keep what could not be proven, marked as inconsistent, instead of raising.

    Raises:
        NotProvenError: It is not proven that what was read is one state of the plan.
        AchieveItError: As in `api.errors`.
    """
    before = plan.version()
    read_at = datetime.now(UTC)  # between the two looks at the version
    misfit = None
    with _merging(plan, directory, accept_inconsistent) as merger:
        try:
            _merge_pages(plan, merger, before.total_count, page_size, sort_key)
        except PagesDoNotFitError as error:
            misfit = error
        after = plan.version()
        if not _stood_still(before, after):
            seen = misfit or merger.problem
            merger.problem = None
            moved = f"the plan version moved from {before} to {after}"
            merger.refuse(PlanChangedError(seen.reason if seen else moved))
        if misfit is not None:
            raise misfit
        unreadable = before.unreadable or _unreadable(plan, merger)
        if unreadable:
            before = PlanVersion(before.total_count, None, before.item_id, before.item_name, unreadable=unreadable)
        elif before.is_known:
            newest = f"the newest lastUpdated of an item is {merger.newest}, the plan's is {before.last_updated}"
            merger.require(merger.newest == before.last_updated, newest)
    snapshot = _snapshot(_path(directory), merger, before, read_at)
    if before.is_known or snapshot.items.sha256 == previous_content:
        return snapshot
    merger.refuse(UnknownVersionError(before.why_unknown, snapshot.items.sha256))
    return replace(snapshot, problem=merger.problem)


def _merge_pages(plan: PlanClient, merger: PageMerger, total: int, page_size: int, sort_key: str) -> None:
    """Request pages that overlap by one item, until all are there or nothing new comes."""
    skips = range(0, max(total - 1, 1), page_size - 1)
    # One by one, since the number of items is only what the server claims.
    windows = (Window(skip, page_size) for skip in skips)
    progress = Progress(plan.plan_id, len(skips), total)
    # Closed here, so that no request of this read is under way when the next one begins.
    decode = partial(decode_page, take=page_size)
    with closing(plan.pages(windows, decode, sort_key=sort_key)) as pages:
        for skip, page in zip(skips, pages, strict=True):
            merger.require(page.total == total, f"totalCount moved from {total} to {page.total}")
            if not merger.add(page, min(page_size, total - skip)):
                break
            progress.report(merger.pages, merger.rows)


def _require_end(plan: PlanClient, merger: PageMerger, rows: int) -> None:
    """Check that nothing follows a full page: `totalCount` could be the number of the page's own items."""
    following, total = plan.page(Window(rows, 1), partial(parse_page, take=1))
    if following and total > rows:
        merger.refuse(PlanChangedError(f"totalCount moved from {rows} to {total}"))
    merger.require(not following, f"items follow although totalCount is {rows}")


def _stood_still(before: PlanVersion, after: PlanVersion) -> bool:
    """Return whether a plan version is the same; two unknown ones say nothing, so a second read decides."""
    return before == after or not (before.is_known or after.is_known)


def _unreadable(plan: PlanClient, merger: PageMerger) -> str | None:
    return None if merger.unreadable is None else plan.shown(merger.unreadable)


@contextmanager
def _merging(plan: PlanClient, directory: Path, accept_inconsistent: bool) -> Iterator[PageMerger]:
    """Open the file that pages are merged into."""
    with TableWriter(
        _path(directory), plan_schema(plan.plan_id), dictionary=DICTIONARY_COLUMNS, statistics=STATISTICS_COLUMNS
    ) as file:
        yield PageMerger(file, accept_inconsistent=accept_inconsistent)


def _path(directory: Path) -> Path:
    return directory / f"{PLAN_ITEMS_TABLE}.parquet"


def _snapshot(path: Path, merger: PageMerger, version: PlanVersion, read_at: datetime) -> Snapshot:
    """Check the finished file, and describe it."""
    repeated = repeated_ids(path, merger.rows)
    first = ", ".join(map(shown, repeated[:3]))
    merger.require(not repeated, f"{len(repeated)} ids came more than once, such as {first}")
    return Snapshot(
        items=TableFile(PLAN_ITEMS_TABLE, path, merger.rows),
        version=version,
        plan_name=merger.plan_name,
        rescued=dict(merger.rescued),
        read_at=read_at,
        problem=merger.problem,
    )
