"""The change sensor: waits until plans differ from what is in the lake, or from what was known at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NoReturn

from airflow_provider_achieveit import _templates as templates
from airflow_provider_achieveit._compat import (
    AirflowFailException,
    AirflowSkipException,
    BaseSensorOperator,
    Context,
    PokeReturnValue,
    conf,
)
from airflow_provider_achieveit._waiting import Waiting, check_interval, require_one
from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.exceptions import as_task_errors
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.options import Detect
from airflow_provider_achieveit.retry_policy import with_retry_policy

log = logging.getLogger(__name__)

#: For each argument a value that is right: it stands for a template when the others are checked.
_RIGHT: dict[str, Any] = {
    "plan_id": "a",
    "plan_ids": ["a"],
    "destination": "s3://a/a",
    "destination_conn_id": "a",
    "since": "",
    "detect": "version",
    "achieveit_conn_id": "a",
}


class AchieveItPlanChangeSensor(BaseSensorOperator):
    """Wait until a plan has changed, or any of many.

    With `destination` the baseline is what has landed there, so a change that was seen but whose export failed is seen
    again by the next run. Poke, reschedule and deferrable modes keep no state of their own and behave alike.

    Returns `{"plan_id", "previous", "current", "reason"}`: the versions before and now, and what changed in words. With
    `plan_ids` it returns the list of these for all plans that changed, which the export operator's `plan_ids` takes.
    Plans that could not be looked at are a warning then; where none has changed, their error is raised.

    Every argument below is templated.

    Args:
        plan_id: Id of the plan.
        plan_ids: Or many plans, in the same forms as for the export operator. An empty list skips the task.
        destination: Where the plans' exports land; nothing landed yet counts as changed.
        destination_conn_id: Airflow connection of the store.
        since: Instead of `destination`: wait for an update after this ISO 8601 time, such as
            `{{ prev_start_date_success }}`; empty or `None`, as before the first run, is the beginning of time.
        detect: `version` (one request for a plan) or, with `destination`, `content` (reads the plans and compares the
            files that an export would write: also sees edits that do not move `lastUpdated`).
        achieveit_conn_id: Airflow connection of AchieveIt.
        deferrable: Wait in the triggerer, without a worker slot (not templated). Airflow's `silent_fail` and
            `exponential_backoff` are about pokes, and have no effect there.

    Raises:
        AchieveItConfigError: Not exactly one of `plan_id` and `plan_ids`, and of `destination` and `since`; or another
            argument that is not a template cannot be used.
    """

    template_fields: Sequence[str] = (
        "plan_id",
        "plan_ids",
        "destination",
        "destination_conn_id",
        "since",
        "detect",
        "achieveit_conn_id",
    )
    ui_color = "#dcedf7"

    def __init__(
        self,
        *,
        plan_id: str | None = None,
        plan_ids: Sequence[str | Mapping[str, Any]] | str | None = None,
        destination: str | None = None,
        destination_conn_id: str | None = None,
        since: str | None = None,
        detect: Detect = "version",
        achieveit_conn_id: str = AchieveItHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**with_retry_policy(kwargs))
        # Kept as given: the output of another task carries the edge to that task.
        self.plan_id = plan_id
        self.plan_ids = plan_ids
        self.destination = templates.destination(destination)
        self.destination_conn_id = destination_conn_id
        self.since = since
        self.detect = detect
        self.achieveit_conn_id = achieveit_conn_id
        self.deferrable = deferrable
        self._given = {name for name in self.template_fields if getattr(self, name) is not None}
        self._warned: set[str] = set()
        with as_task_errors():
            check_interval("poke_interval", self.poke_interval)
            require_one(plan_id=plan_id, plan_ids=plan_ids)
            require_one(destination=destination, since=since)
            values = {name: getattr(self, name) for name in self.template_fields}
            Waiting.parse(
                self._given, {name: _RIGHT[name] if templates.is_template(v) else v for name, v in values.items()}
            )

    def _waiting(self) -> Waiting:
        """Return what is waited for, from the rendered arguments.

        Raises:
            AchieveItConfigError: One of them cannot be used.
        """
        return Waiting.parse(self._given, {name: getattr(self, name) for name in self.template_fields})

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once.

        Raises:
            AirflowSkipException: `plan_ids` is an empty list.
            AirflowFailException: Trying again can't help: bad input or a refused key.
            AchieveItError: Anything else that `api.errors` names.
        """
        found = self._look()
        return PokeReturnValue(is_done=bool(found), xcom_value=self._result(found) if found else None)

    def _look(self) -> list[dict[str, Any]]:
        """Return the changes that one look at each plan has found."""
        from airflow_provider_achieveit.lake.looks import find_changes

        with as_task_errors():
            waiting = self._waiting()
            if not waiting.plan_ids:
                raise AirflowSkipException("plan_ids is empty: there is nothing to wait for.")
            baseline = waiting.open_baseline()
            with AchieveItHook(waiting.achieveit_conn_id).get_conn() as client:
                findings = find_changes(client, waiting.plan_ids, baseline, waiting.detect, self._warned)
        changes = [change.to_json() for change in findings.changes]
        self._log_changes(changes, [str(error) for error in findings.failures])
        if not changes and self.deferrable:
            count = len(waiting.plan_ids)
            plans = f"Plan {waiting.plan_ids[0]} was" if count == 1 else f"{count} plans were"
            what = "%s compared with %s: nothing has changed yet. The triggerer looks again every %g s"
            log.info(what, plans, baseline, self.poke_interval)
        return changes

    def _log_changes(self, changes: list[dict[str, Any]], failures: list[str]) -> None:
        for change in changes:
            log.info("Plan %s has changed: %s", change["plan_id"], change["reason"])
        for failure in failures:
            log.warning("%s It is left out, since other plans have changed.", failure)

    def _result(self, changes: list[dict[str, Any]]) -> Any:
        return changes if "plan_ids" in self._given else changes[0]

    def execute(self, context: Context) -> Any:
        """Wait in the mode that was chosen; a deferrable sensor looks once before it defers."""
        if not self.deferrable:
            return super().execute(context)
        with self._skips():
            changes = self._look()
        if not changes:
            self._defer()
        return self._result(changes)

    @contextmanager
    def _skips(self) -> Iterator[None]:
        """Skip the task after those errors after which Airflow skips a sensor that pokes."""
        try:
            yield
        except AirflowSkipException:
            raise
        except Exception as error:
            if self.never_fail or (self.soft_fail and isinstance(error, AirflowFailException)):
                raise AirflowSkipException(str(error)) from error
            raise

    def _defer(self) -> NoReturn:
        from airflow_provider_achieveit.triggers._sensor import PlanSensorTrigger

        self.defer(
            trigger=PlanSensorTrigger(**vars(self._waiting()), poll_interval=self.poke_interval),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def execute_complete(self, context: Context, event: Any) -> Any:
        """Return what the trigger has found, or raise its error as a poke would have.

        Raises:
            AchieveItError: The trigger's error; or the event is not one that this version of the package sends.
        """
        with self._skips(), as_task_errors():
            if isinstance(event, dict) and "error" in event:
                raise _error_of(event)
            changes = event.get("changes") if isinstance(event, dict) else None
            if not isinstance(changes, list) or not changes or not all(map(_is_change, changes)):
                raise _foreign(event)
        self._log_changes(changes, event.get("failures", []))
        return self._result(changes)


def _is_change(value: Any) -> bool:
    return isinstance(value, dict) and {"plan_id", "previous", "current", "reason"} <= value.keys()


def _error_of(event: dict[str, Any]) -> AchieveItError:
    try:
        return AchieveItError.from_json(event)
    except ValueError:
        return _foreign(event)


def _foreign(event: Any) -> AchieveItError:
    what = f"the trigger sent {shown(event)}, which this version of the package does not know"
    return AchieveItError(f"{what}: scheduler, workers and triggerers need the same version")
