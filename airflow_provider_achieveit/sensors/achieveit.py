"""The change sensor: waits until a plan differs from what is in the lake, or from what was known at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_achieveit._compat import (
    AirflowFailException,
    AirflowSkipException,
    BaseSensorOperator,
    Context,
    PokeReturnValue,
    conf,
)
from airflow_provider_achieveit.api.errors import AchieveItConfigError, AchieveItError
from airflow_provider_achieveit.api.validate import check_plan_id
from airflow_provider_achieveit.exceptions import as_task_errors
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.options import Detect, check_baseline, parse_since
from airflow_provider_achieveit.retry_policy import with_retry_policy

if TYPE_CHECKING:
    from airflow_provider_achieveit.lake.change import Change


class AchieveItPlanChangeSensor(BaseSensorOperator):
    """Wait until a plan has changed.

    With `destination` the baseline is what has landed there, so a change that was seen but whose export failed is seen
    again by the next run. Poke, reschedule and deferrable modes keep no state of their own and behave alike.

    Returns `{"plan_id", "previous", "current", "reason"}`: the versions before and now, and what changed in words.

    Args:
        plan_id: Id of the plan (templated).
        destination: Where the plan's exports land (templated); nothing landed yet counts as changed.
        destination_conn_id: Airflow connection of the store (templated).
        since: Instead of `destination`: wait for an update after this ISO 8601 time (templated, such as
            `{{ prev_start_date_success }}`; empty or `None`, as before the first run, is the beginning of time).
        detect: `version` (one request a poke) or, with `destination`, `content` (reads the plan and compares the file
            that an export would write: also sees edits that do not move `lastUpdated`).
        achieveit_conn_id: Airflow connection of AchieveIt (templated).
        deferrable: Wait in the triggerer, without a worker slot. Airflow's `silent_fail` and `exponential_backoff` are
            about pokes, and have no effect there.

    Raises:
        AchieveItConfigError: Not exactly one of `destination` and `since`, or an unknown `detect`.
    """

    template_fields: Sequence[str] = (
        "plan_id",
        "destination",
        "destination_conn_id",
        "since",
        "achieveit_conn_id",
    )
    ui_color = "#dcedf7"

    def __init__(
        self,
        *,
        plan_id: str,
        destination: str | None = None,
        destination_conn_id: str | None = None,
        since: str | None = None,
        detect: Detect = "version",
        achieveit_conn_id: str = AchieveItHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**with_retry_policy(kwargs))
        self.plan_id = plan_id
        self.destination = destination if destination is None else str(destination)
        self.destination_conn_id = destination_conn_id
        self.since = since
        self.detect: Detect = detect
        self.achieveit_conn_id = achieveit_conn_id
        self.deferrable = deferrable
        if destination is None and since is None:
            raise AchieveItConfigError("Neither destination nor since is given: choose one")
        check_baseline(destination, since, detect)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once.

        Raises:
            AirflowFailException: Trying again can't help: bad input or a refused key.
            AchieveItError: Anything else that `api.errors` names.
        """
        change = self._look()
        return PokeReturnValue(is_done=change is not None, xcom_value=None if change is None else change.to_json())

    def _look(self) -> Change | None:
        from airflow_provider_achieveit._destination import open_manifests
        from airflow_provider_achieveit.lake.change import change_from_landed, change_since, observe

        with as_task_errors():
            check_plan_id(self.plan_id)
            landed = None if self.destination is None else open_manifests(self.destination, self.destination_conn_id)
            since = parse_since(str(self.since or ""))
            with AchieveItHook(self.achieveit_conn_id).get_conn() as client:
                current = observe(client.plan(self.plan_id), self.detect)
            change = (
                change_since(since, current, self.plan_id)
                if landed is None
                else change_from_landed(landed, current, self.plan_id)
            )
        if change is not None:
            self.log.info("Plan %s has changed: %s", self.plan_id, change.reason)
        return change

    def execute(self, context: Context) -> Any:
        """Wait in the mode that was chosen; a deferrable sensor looks once before it defers."""
        if not self.deferrable:
            return super().execute(context)
        with self._skips():
            change = self._look()
        if change is None:
            self._defer()
        return change.to_json()

    @contextmanager
    def _skips(self) -> Iterator[None]:
        """Skip the task after those errors after which Airflow skips a sensor that pokes."""
        try:
            yield
        except Exception as error:
            if self.never_fail or (self.soft_fail and isinstance(error, AirflowFailException)):
                raise AirflowSkipException(str(error)) from error
            raise

    def _defer(self) -> NoReturn:
        from airflow_provider_achieveit.triggers.achieveit import AchieveItPlanChangeTrigger

        self.defer(
            trigger=AchieveItPlanChangeTrigger(
                plan_id=self.plan_id,
                achieveit_conn_id=self.achieveit_conn_id,
                poll_interval=self.poke_interval,
                destination=self.destination,
                destination_conn_id=self.destination_conn_id,
                since=None if self.destination is not None else str(self.since or ""),
                detect=self.detect,
                once=True,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the trigger's change, or raise its error as a poke would have."""
        if "error" not in event:
            self.log.info("Plan %s has changed: %s", event["plan_id"], event["reason"])
            return event
        with self._skips(), as_task_errors():
            raise AchieveItError.from_json(event)
