"""Looks at plans for changes: at many side by side, each with one request or as a whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_achieveit.api.errors import AchieveItError, AchieveItRateLimitError, AchieveItServerError
from airflow_provider_achieveit.lake.change import Baseline, Change, PlanState
from airflow_provider_achieveit.lake.errors import AchieveItInconsistentError
from airflow_provider_achieveit.lake.options import Detect

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.api.plan import PlanClient
    from airflow_provider_achieveit.api.plan_version import PlanVersion

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Findings:
    """What a look at several plans has found.

    Attributes:
        changes: The plans that changed, in the order given.
        failures: The errors of plans that could not be looked at.
    """

    changes: list[Change]
    failures: list[AchieveItError]


def find_changes(
    client: AchieveItClient, plan_ids: Sequence[str], baseline: Baseline, detect: Detect, warned: set[str]
) -> Findings:
    """Look at plans side by side, and compare each of them with the baseline.

    Args:
        client: Client of the API.
        plan_ids: The plans, each once.
        baseline: What they are compared with.
        detect: `version`: one request for a plan, unless its version is unknown; `content`: reads each plan.
        warned: Plans of whose unknown version the log has told; grows.

    Raises:
        AchieveItError: Nothing has changed and a look failed; of several errors one that another try can mend, the
            others are warnings. Or one that concerns all plans, such as a refused key.
    """
    patience = _Patience(client.settings.max_concurrency)

    def look(plan_id: str) -> Change | AchieveItError | None:
        try:
            change = baseline.compare(plan_id, _observe(client.plan(plan_id), baseline, detect, warned))
        except AchieveItError as error:
            patience.check(error)
            return error.about(plan_id)
        patience.renew()
        return change

    outcomes = list(_side_by_side(look, plan_ids, 1 if detect == "content" else client.settings.max_concurrency))
    changes = [outcome for outcome in outcomes if isinstance(outcome, Change)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, AchieveItError)]
    if failures and not changes:
        deciding = max(failures, key=lambda error: error.retry_task)
        for error in failures:
            if error is not deciding:
                log.warning("%s", error)
        raise deciding
    return Findings(changes, failures)


class _Patience:
    """Ends a look at many plans when one after the other finds no server: each waits for its whole time budget."""

    def __init__(self, failures: int) -> None:
        self._allowed = failures
        self._failures = 0

    def check(self, error: AchieveItError) -> None:
        """Raise an error that concerns all plans."""
        self._failures += isinstance(error, AchieveItServerError | AchieveItRateLimitError)
        if error.ends_task or self._failures > self._allowed:
            raise error

    def renew(self) -> None:
        """Note that a server has answered."""
        self._failures = 0


def _side_by_side(look: Callable[[str], T], plan_ids: Sequence[str], threads: int) -> Iterator[T]:
    """Yield what `look` returns for each plan, in order."""
    if threads == 1 or len(plan_ids) == 1:
        yield from map(look, plan_ids)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="achieveit-look")
    try:
        yield from pool.map(look, plan_ids)
    finally:
        # After an exception nothing is waited for: whoever owns the client closes it, which ends the other looks.
        pool.shutdown(wait=False, cancel_futures=True)


def _observe(plan: PlanClient, baseline: Baseline, detect: Detect, warned: set[str]) -> PlanState:
    if detect == "content":
        return observe_content(plan)
    state = PlanState(plan.version())
    if state.version.is_known or baseline.landed is None:
        return state
    warn_of_unknown(plan.plan_id, state.version, warned)
    return observe_content(plan)


def observe_content(plan: PlanClient) -> PlanState:
    """Read a whole plan as an export would; there is no content hash where it is edited all the while.

    Raises:
        AchieveItError: As in `api.errors`.
    """
    from airflow_provider_achieveit.lake.read.snapshot import read_snapshot
    from airflow_provider_achieveit.lake.scratch import scratch_directory

    try:
        with scratch_directory() as directory:
            snapshot = read_snapshot(plan, directory)
            return PlanState(snapshot.version, snapshot.items.sha256)
    except AchieveItInconsistentError:
        return PlanState(plan.version())


def warn_of_unknown(plan_id: str, version: PlanVersion, warned: set[str]) -> None:
    """Log once for a plan that its version is unknown, and why."""
    if plan_id not in warned:
        warned.add(plan_id)
        what = "Plan %s: its version is unknown (%s): only its content can tell whether it changed"
        log.warning(what, plan_id, version.why_unknown)
