"""The export of many plans in one task: first pages side by side, long plans one after the other, one report."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import AchieveItError, AchieveItRateLimitError, AchieveItServerError
from airflow_provider_achieveit.api.plan import PlanClient
from airflow_provider_achieveit.lake.errors import AchieveItOutdatedError
from airflow_provider_achieveit.lake.export import Export, Landed, Later, Unchanged
from airflow_provider_achieveit.lake.history import Before
from airflow_provider_achieveit.lake.layout import make_label
from airflow_provider_achieveit.lake.manifest import Manifest, Run, landed_version
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.sinks.base import Sink
from airflow_provider_achieveit.lake.tries import Tries

log = logging.getLogger(__name__)
T = TypeVar("T")
Outcome = Landed | Unchanged | AchieveItError

#: Seconds between two lines about the progress of a task.
_REPORT_EVERY = 10.0


@dataclass
class Report:
    """What became of the plans of one task.

    Attributes:
        label: Label of the snapshots.
        manifests: Of the plans that have landed, those of earlier tries of the task included; by plan.
        left_out: Why plans were left out: they are unchanged, or another export has landed a later state; by plan.
        failures: The errors of the plans that failed; by plan.
        before: What the destination held of the plans that landed, and of those that are unchanged; by plan.
        created: Names of the tables that this task created, in a table format.
    """

    label: str
    manifests: dict[str, Manifest] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failures: dict[str, AchieveItError] = field(default_factory=dict)
    before: dict[str, Before] = field(default_factory=dict)
    created: frozenset[str] = frozenset()

    def in_order(self, plan_ids: Sequence[str]) -> Report:
        """Return the same with its plans in the order given."""
        place = {plan_id: number for number, plan_id in enumerate(plan_ids)}

        def ordered(part: dict[str, T]) -> dict[str, T]:
            return dict(sorted(part.items(), key=lambda entry: place[entry[0]]))

        return replace(
            self,
            manifests=ordered(self.manifests),
            left_out=ordered(self.left_out),
            failures=ordered(self.failures),
        )


def export_plan(
    client: AchieveItClient,
    sink: Sink,
    plan_id: str,
    *,
    snapshot: str | None = None,
    options: ExportOptions | None = None,
    run: Run | None = None,
) -> Manifest | None:
    """Land a plan, complete or not at all.

    Args:
        client: Client of the API.
        sink: Where to.
        plan_id: Id of the plan.
        snapshot: Label of the partition; with a `%` in it a strftime pattern for the time in UTC; None for the UTC date
            on which the export starts. The API has no history, so a label of the past could pass off today's values as
            old ones.
        options: The options of the export.
        run: The Airflow task that asks for the export.

    Returns:
        The manifest; None if the plan was left out: it is unchanged and `if_unchanged` is `skip`, or another export
        has read it later, and landed first.

    Raises:
        AchieveItError: As in `api.errors` and `lake.errors`; nothing was published then.
    """
    report = export_plans(client, sink, [plan_id], snapshot=snapshot, options=options, run=run)
    for error in report.failures.values():
        raise error
    return report.manifests.get(plan_id)


def export_plans(
    client: AchieveItClient,
    sink: Sink,
    plan_ids: Sequence[str],
    *,
    snapshot: str | None = None,
    options: ExportOptions | None = None,
    run: Run | None = None,
    tries: Tries | None = None,
) -> Report:
    """Land many plans, each complete or not at all; a plan that fails stops no other.

    Args:
        client: Client of the API, which all plans share. It is closed when what concerns all plans ends the export.
        sink: Where to.
        plan_ids: Ids of the plans, each once.
        snapshot: Label of the partitions, as for `export_plan`; made once for all plans.
        options: The options of the export.
        run: The Airflow task that asks for the export.
        tries: What earlier tries of the task have landed. Whoever calls this ends them with `tries.done()`.

    Returns:
        What landed, what was left out and what failed, each in the order given.

    Raises:
        AchieveItError: What is not one plan's own failure, such as a refused key, the store or a full disk. Plans that
            had landed before stay landed.
    """
    started = datetime.now(UTC)
    plans = [client.plan(plan_id) for plan_id in plan_ids]
    label = make_label(snapshot, started)
    sink.check()
    if tries is not None:
        label = tries.begin(label, started, plan_ids)
    with scratch_directory() as scratch, sink.begin(client.cancellation) as commit:
        before_landing = tries.write if tries is not None else _nothing
        export = Export(sink, commit, label, started, options or ExportOptions(), run, before_landing, scratch)
        portfolio = _Portfolio(client, export, tries)
        portfolio.run(plans)
        commit.finish()
    report = replace(portfolio.report, created=frozenset(commit.created))
    return report.in_order(plan_ids)


def _nothing() -> None:
    pass


class _Portfolio:
    """The plans of one task on their way."""

    def __init__(self, client: AchieveItClient, export: Export, tries: Tries | None) -> None:
        self._client = client
        self._export = export
        self._tries = tries
        self._threads = client.settings.max_concurrency
        self._failed_servers = 0
        self._told = time.monotonic()
        self.report = Report(export.label)

    def run(self, plans: Sequence[PlanClient]) -> None:
        """Export all plans: what one page holds side by side, then each of the others with all requests for itself."""
        later: list[tuple[PlanClient, Later]] = []
        for plan, outcome in self._first_pages(plans):
            if isinstance(outcome, Later):
                later.append((plan, outcome))
            else:
                self._record(plan, outcome, len(plans))
        for plan, what in later:
            self._record(plan, self._attempt(plan, partial(self._export.read_on, plan, what)), len(plans))

    def _first_pages(self, plans: Sequence[PlanClient]) -> Iterator[tuple[PlanClient, Outcome | Later]]:
        if len(plans) == 1:  # without a thread, so that an interrupt ends the work at once
            yield plans[0], self._first_page(plans[0])
            return
        with ThreadPoolExecutor(self._threads, thread_name_prefix="achieveit-plan") as pool:
            try:
                futures = {pool.submit(self._first_page, plan): plan for plan in plans}
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                # Leaving the pool waits for its threads, whose requests would be sent again and again.
                self._client.close()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _first_page(self, plan: PlanClient) -> Outcome | Later:
        return self._attempt(plan, partial(self._resume_or_begin, plan))

    def _resume_or_begin(self, plan: PlanClient) -> Landed | Unchanged | Later:
        landed = None if self._tries is None else self._tries.landed(plan.plan_id)
        if landed is not None and landed_version(landed) == plan.version():
            return Landed(landed, Before(landed, None))
        return self._export.try_one_page(plan)

    def _attempt(self, plan: PlanClient, export: Callable[[], T]) -> T | AchieveItError:
        """Return what became of a plan, or its own error; an error that concerns all plans is raised."""
        try:
            return export()
        except AchieveItError as error:
            if error.ends_task:
                raise
            return error.about(plan.plan_id)

    def _record(self, plan: PlanClient, outcome: Outcome, plans: int) -> None:
        report, plan_id = self.report, plan.plan_id
        if isinstance(outcome, AchieveItOutdatedError):
            report.left_out[plan_id] = str(outcome)
        elif isinstance(outcome, AchieveItError):
            log.warning("%s", outcome)
            report.failures[plan_id] = outcome
            self._check_servers(outcome)
        elif isinstance(outcome, Unchanged):
            self._failed_servers = 0
            label = outcome.manifest["snapshot"]
            report.before[plan_id] = Before(outcome.manifest, None)
            report.left_out[plan_id] = f"Plan {plan_id} is unchanged: snapshot {label} holds its current version."
        else:
            self._failed_servers = 0
            report.manifests[plan_id] = outcome.manifest
            report.before[plan_id] = outcome.before
        self._tell(plans)

    def _check_servers(self, error: AchieveItError) -> None:
        """End the task when one plan after the other finds no server: each of them waits for its whole time budget."""
        if isinstance(error, AchieveItServerError | AchieveItRateLimitError):
            self._failed_servers += 1
            if self._failed_servers > self._threads:
                raise error

    def _tell(self, plans: int) -> None:
        """Log how far the task is, now and then."""
        report = self.report
        done = len(report.manifests) + len(report.left_out) + len(report.failures)
        if plans == 1 or (time.monotonic() - self._told < _REPORT_EVERY and done < plans):
            return
        self._told = time.monotonic()
        log.info(
            "%d of %d plans done: %d landed with %d rows, %d left out, %d failed",
            done, plans, len(report.manifests), sum(manifest["rows"] for manifest in report.manifests.values()),
            len(report.left_out), len(report.failures),
        )  # fmt: skip
