"""The export operator: one plan, landed as typed Parquet, complete or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_achieveit import _templates as templates
from airflow_provider_achieveit._assets import (
    MAP_INDEX_TEMPLATE,
    plan_asset,
    send_event,
    show_plan_name,
    with_alias,
)
from airflow_provider_achieveit._compat import AirflowSkipException, BaseOperator, Context
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.exceptions import as_task_errors
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.layout import make_label
from airflow_provider_achieveit.lake.options import ExportOptions, IfUnchanged, OnDrift, OnInconsistent
from airflow_provider_achieveit.retry_policy import with_retry_policy

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.lake.manifest import Manifest, Run

log = logging.getLogger(__name__)

_OPTIONS = tuple(option.name for option in fields(ExportOptions))

#: How each argument is read once it is rendered; the options are read together.
_ARGUMENTS: dict[str, Callable[[Any], Any]] = {
    "plan_id": templates.plan_id,
    "destination": partial(templates.text, "destination"),
    "achieveit_conn_id": partial(templates.text, "achieveit_conn_id", default=AchieveItHook.default_conn_name),
    "snapshot": partial(templates.optional_text, "snapshot"),
}


class AchieveItExportOperator(BaseOperator):
    """Export a plan to object storage, proven complete, all or nothing.

    Returns the manifest, which is also the `extra` of the asset event. The asset's URI and name are
    `<destination>/plan_items/plan=<plan id>`, without a connection id.

    Every argument but `task_id` can be a template, the output of another task or a DAG's parameter. What it renders to
    is checked like a value that stands in the DAG file; `None`, the text `None` and empty text mean the default.

    Args:
        plan_id: Id of the plan.
        destination: Where to: `file://`, `s3://`, `gs://`, `abfs://` or any other path that Airflow's
            `ObjectStoragePath` knows.
        destination_conn_id: Airflow connection of the store; None for its own default credentials. Once given, it must
            not render to nothing.
        achieveit_conn_id: Airflow connection of AchieveIt.
        snapshot: Label of the partition; None for the UTC date on which the export starts. With a `%` in it, it is a
            strftime pattern for that moment in UTC, such as `%Y-%m-%dT%H%M%SZ`. The same label replaces the same
            objects.

    The other arguments are the options of an export: `lake.options.ExportOptions` says what they mean.

    Raises:
        AchieveItConfigError: An argument that is not a template cannot be used.
    """

    template_fields: Sequence[str] = (*_ARGUMENTS, "destination_conn_id", *_OPTIONS)
    ui_color = "#dcedf7"

    def __init__(
        self,
        *,
        plan_id: str,
        destination: str,
        destination_conn_id: str | None = None,
        achieveit_conn_id: str = AchieveItHook.default_conn_name,
        snapshot: str | None = None,
        if_unchanged: IfUnchanged = "export",
        on_drift: OnDrift = "auto",
        on_inconsistent: OnInconsistent = "fail",
        min_rows: int | None = None,
        max_shrink: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**with_retry_policy(kwargs))
        # Kept as given: the output of another task carries the edge to that task.
        self.plan_id = plan_id
        self.destination = templates.destination(destination)
        self.destination_conn_id = destination_conn_id
        self.achieveit_conn_id = achieveit_conn_id
        self.snapshot = snapshot
        self.if_unchanged = if_unchanged
        self.on_drift = on_drift
        self.on_inconsistent = on_inconsistent
        self.min_rows = min_rows
        self.max_shrink = max_shrink
        self._has_conn_id = destination_conn_id is not None
        self._check_constants()
        self.outlets = with_alias(self.outlets)
        self._client: AchieveItClient | None = None

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Map the operator: as for a single task, its alias is an outlet, so that Airflow shows it as a producer."""
        mapped = super().partial(**kwargs)
        mapped.kwargs["outlets"] = with_alias(mapped.kwargs.get("outlets"))
        mapped.kwargs["map_index_template"] = mapped.kwargs.get("map_index_template") or MAP_INDEX_TEMPLATE
        return mapped

    def _check_constants(self) -> None:
        """Check what is known when the DAG file is parsed; the rest is checked when the task runs."""
        constants = {
            name: value for name in self.template_fields if not templates.is_template(value := getattr(self, name))
        }
        with as_task_errors():
            for name in _ARGUMENTS.keys() & constants.keys():
                _ARGUMENTS[name](constants[name])
            if "snapshot" in constants:
                make_label(templates.optional_text("snapshot", self.snapshot), datetime.now(UTC))
            ExportOptions(**{name: constants[name] for name in _OPTIONS if name in constants})

    def execute(self, context: Context) -> Manifest:
        """Export the plan; an empty context works as well, to try the operator in a Python shell.

        Raises:
            AirflowSkipException: The plan is unchanged and `if_unchanged` is `skip`.
            AirflowFailException: Trying again can't help: bad input, a refused key, drift, a guard.
            AchieveItError: Anything else that `api.errors` names; nothing was published then.
        """
        from airflow_provider_achieveit._destination import open_sink
        from airflow_provider_achieveit.lake.export import export_plan

        started = datetime.now(UTC)
        with as_task_errors(), _skipped_when_outdated():
            given = {name: read(getattr(self, name)) for name, read in _ARGUMENTS.items()}
            options = ExportOptions(**{name: templates.rendered(name, getattr(self, name)) for name in _OPTIONS})
            label = make_label(given["snapshot"], started)
            conn_id = templates.destination_conn_id(self.destination_conn_id, given=self._has_conn_id)
            sink = open_sink(given["destination"], conn_id)
            asset = plan_asset(sink.store, given["plan_id"])
            self._log_date(context, started, label)
            self._client = AchieveItHook(given["achieveit_conn_id"]).get_conn()
            try:
                with self._client as client:
                    manifest = export_plan(
                        client, sink, given["plan_id"], snapshot=label, options=options, run=_run(context)
                    )
            finally:
                self._client = None  # it holds sockets and locks, with which a task cannot be copied
        if manifest is None:
            raise AirflowSkipException(f"Plan {given['plan_id']} is unchanged: {sink.store} holds its current version.")
        self._log_landed(manifest, datetime.now(UTC) - started)
        show_plan_name(context, manifest)
        send_event(context, self.outlets, asset, manifest)
        return manifest

    def _log_date(self, context: Context, started: datetime, label: str) -> None:
        """Say when a run is for another day: a backfill does not bring back the values of that day."""
        moments = [context.get("logical_date"), context.get("data_interval_end")]
        days = [moment.astimezone(UTC).date() for moment in moments if isinstance(moment, datetime)]
        if days and started.date() not in days:
            log.warning(
                "This run is for %s, but the API has today's values only: these are exported, with the label %s",
                days[0],
                label,
            )

    def _log_landed(self, manifest: Manifest, took: timedelta) -> None:
        log.info(
            "Plan %s (%s) landed as snapshot %s: %d rows, %d bytes, last updated %s, in %.1f s with %d requests%s",
            shown(manifest["plan_name"]),
            manifest["plan_id"],
            manifest["snapshot"],
            manifest["rows"],
            sum(file["bytes"] for file in manifest["files"]),
            manifest["version"]["last_updated"],
            took.total_seconds(),
            manifest["requests"],
            _compared(manifest),
        )

    def on_kill(self) -> None:
        """End the requests under way; what was published before stays as it is."""
        if self._client is not None:
            # Airflow calls this in a signal handler: what it interrupted may hold the lock that closing waits for.
            Thread(target=self._client.close, daemon=True).start()


@contextmanager
def _skipped_when_outdated() -> Iterator[None]:
    """Skip the task where another export has landed a later state of the plan: there is nothing left to do."""
    from airflow_provider_achieveit.lake.errors import AchieveItOutdatedError

    try:
        yield
    except AchieveItOutdatedError as error:
        raise AirflowSkipException(str(error)) from error


def _compared(manifest: Manifest) -> str:
    """Return how the content compares with the snapshot before, where there is one."""
    previous = manifest["previous"]
    if previous is None:
        return ""
    same = previous["content_hash"] == manifest["content_hash"]
    return f"; the content {'is the same as' if same else 'differs from'} in snapshot {previous['snapshot']}"


def _run(context: Context) -> Run:
    """Return who asks for the export, as far as the context tells."""
    instance: Any = context.get("ti")
    names = ("dag_id", "run_id", "task_id", "map_index", "try_number")
    return cast("Run", {name: getattr(instance, name, None) for name in names})
