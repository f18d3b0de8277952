"""Read a plan into a proven snapshot, in several attempts where people are editing it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_achieveit.api.plan import PlanClient
from airflow_provider_achieveit.lake.errors import AchieveItInconsistentError, AchieveItPagingError
from airflow_provider_achieveit.lake.read.page_merger import NotProvenError, PagesDoNotFitError
from airflow_provider_achieveit.lake.read.pages import (
    Snapshot,
    TooLong,
    UnknownVersionError,
    read_one_page,
    read_pages,
)
from airflow_provider_achieveit.lake.scratch import scratch_directory

__all__ = ["Snapshot", "TooLong", "read_one_page", "read_pages", "read_snapshot", "read_table"]

log = logging.getLogger(__name__)

#: The order of the pages in the last attempt, where the plan stood still in those before it but its pages did not fit
#: together: items that share a `sequenceId` may come now in this order and now in that one. What is proven of a
#: snapshot does not depend on the order.
OTHER_SORT_KEY = "created"


def read_snapshot(
    plan: PlanClient, directory: Path, *, first: TooLong | None = None, accept_inconsistent: bool = False
) -> Snapshot:
    """Read a plan into a Parquet file, again if it changed meanwhile.

    Args:
        plan: The plan, bound to a client of the API.
        directory: Where the file goes; its name is `plan_items.parquet`.
        first: What `read_one_page` returned, if the caller has tried that.
        accept_inconsistent: Keep what the last attempt read, marked as inconsistent, instead of raising.

    Raises:
        AchieveItInconsistentError: The plan changed during an attempt, and no attempt could be proven.
        AchieveItPagingError: The plan stood still during every attempt, but its pages do not fit together.
        AchieveItError: As in `api.errors`.
    """
    content = None
    misfits = 0
    attempt = 1
    while True:
        last = attempt > len(plan.pauses)
        accept = accept_inconsistent and last
        try:
            found = first or read_one_page(plan, directory, accept_inconsistent=accept)
            if isinstance(found, TooLong):
                found = read_pages(
                    plan,
                    directory,
                    found.page_size,
                    sort_key=OTHER_SORT_KEY if last and misfits == attempt - 1 > 0 else "sequenceId",
                    previous_content=content,
                    accept_inconsistent=accept,
                )
            if found.problem is not None:
                log.warning('Plan %s: %s; on_inconsistent="accept" keeps it', plan.plan_id, found.problem)
            return replace(found, attempts=attempt)
        except NotProvenError as problem:
            misfits += isinstance(problem, PagesDoNotFitError)
            if last:
                error = AchieveItPagingError if misfits == attempt else AchieveItInconsistentError
                what = f"none of {attempt} attempts to read it could be proven, the last one: {problem}"
                raise error(what, plan_id=plan.plan_id) from None
            content = problem.content if isinstance(problem, UnknownVersionError) else None
            pause = plan.pauses[attempt - 1]
            log.warning("Plan %s: %s; reading it again in %.0f s", plan.plan_id, problem, pause)
            plan.cancellation.sleep(pause)
        first = None
        attempt += 1


def read_table(plan: PlanClient) -> pa.Table:
    """Return a snapshot as a table in memory, by way of the same file that an export publishes.

    Raises:
        AchieveItError: As `read_snapshot`.
    """
    with scratch_directory() as directory:
        path = read_snapshot(plan, directory).items.path
        # Not by `pq.read_table`: it imports pyarrow.dataset, and that pandas where it is installed, for over a second.
        return pq.ParquetFile(path).read(use_threads=False)
