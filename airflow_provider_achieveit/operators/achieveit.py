"""The export operator: one plan or many, landed as typed tables, each complete or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast, get_args

from airflow_provider_achieveit import _outcome as outcome
from airflow_provider_achieveit import _templates as templates
from airflow_provider_achieveit._assets import (
    MAP_INDEX_TEMPLATE,
    plan_asset,
    send_events,
    show_plan_name,
    with_alias,
)
from airflow_provider_achieveit._compat import AirflowSkipException, BaseOperator, Context
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.exceptions import as_task_errors
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.layout import make_label
from airflow_provider_achieveit.lake.options import (
    ExportOptions,
    IfUnchanged,
    OnDrift,
    OnInconsistent,
    OnPlanFailure,
    TableFormat,
    Tables,
    require_format,
)
from airflow_provider_achieveit.retry_policy import with_retry_policy

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.lake.manifest import Manifest, Run

log = logging.getLogger(__name__)

_OPTIONS = tuple(option.name for option in fields(ExportOptions))

#: How each argument is read once it is rendered; the options are read together.
_ARGUMENTS: dict[str, Callable[[Any], Any]] = {
    "destination": partial(templates.text, "destination"),
    "achieveit_conn_id": partial(templates.text, "achieveit_conn_id", default=AchieveItHook.default_conn_name),
    "snapshot": partial(templates.optional_text, "snapshot"),
    "table_format": partial(templates.choice, "table_format", choices=get_args(TableFormat), default="parquet"),
    "iceberg_conn_id": partial(templates.text, "iceberg_conn_id", default="iceberg_default"),
    "iceberg_namespace": partial(templates.text, "iceberg_namespace", default="achieveit"),
    "on_plan_failure": partial(templates.choice, "on_plan_failure", choices=get_args(OnPlanFailure), default="fail"),
}
_CATALOG = ("iceberg_conn_id", "iceberg_namespace")


class AchieveItExportOperator(BaseOperator):
    """Export plans to object storage, each proven complete, all or nothing.

    A plan's manifest is also the `extra` of its asset event. The asset's URI and name are
    `<destination>/plan_items/plan=<plan id>`, without a connection id.

    Every argument but `task_id` can be a template, the output of another task or a DAG's parameter. What it renders to
    is checked like a value that stands in the DAG file; `None`, the text `None` and empty text mean the default.

    Args:
        plan_id: Id of one plan. The task then returns its manifest.
        plan_ids: Or many plans in one task, which returns the list of their manifests: a list of ids, or of changes as
            the sensor returns them, or text: JSON, or ids separated by commas, blanks or line breaks. Each plan is
            all or nothing by itself, and one that fails stops no other. An empty list skips the task.
        destination: Where to: `file://`, `s3://`, `gs://`, `abfs://` or any other path that Airflow's
            `ObjectStoragePath` knows.
        destination_conn_id: Airflow connection of the store; None for its own default credentials. Once given, it must
            not render to nothing.
        achieveit_conn_id: Airflow connection of AchieveIt.
        snapshot: Label of the partition; None for the UTC date on which the export starts. With a `%` in it, it is a
            strftime pattern for that moment in UTC, such as `%Y-%m-%dT%H%M%SZ`. The same label replaces the same
            objects.
        on_plan_failure: With `plan_ids`: `fail` the task in the end if a plan failed, or `warn`: it succeeds with the
            plans that landed (one at least), and the failures are the XCom `failures`.
        table_format: `parquet`, or `delta` or `iceberg`: one table for all plans and snapshots, with one commit for
            each table and task. These need the extras of the same name.
        iceberg_conn_id: Airflow connection of the Iceberg catalog.
        iceberg_namespace: Namespace of the Iceberg tables.

    The other arguments are the options of an export: `lake.options.ExportOptions` says what they mean.

    Raises:
        AchieveItConfigError: An argument that is not a template cannot be used.
    """

    template_fields: Sequence[str] = ("plan_id", "plan_ids", *_ARGUMENTS, "destination_conn_id", *_OPTIONS)
    ui_color = "#dcedf7"

    def __init__(
        self,
        *,
        plan_id: str | None = None,
        plan_ids: Sequence[str | Mapping[str, Any]] | str | None = None,
        destination: str,
        destination_conn_id: str | None = None,
        achieveit_conn_id: str = AchieveItHook.default_conn_name,
        snapshot: str | None = None,
        if_unchanged: IfUnchanged = "export",
        on_drift: OnDrift = "auto",
        on_inconsistent: OnInconsistent = "fail",
        min_rows: int | None = None,
        max_shrink: float | None = None,
        tables: Tables = "nested",
        changes: bool = True,
        on_plan_failure: OnPlanFailure = "fail",
        table_format: TableFormat = "parquet",
        iceberg_conn_id: str = "iceberg_default",
        iceberg_namespace: str = "achieveit",
        **kwargs: Any,
    ) -> None:
        super().__init__(**with_retry_policy(kwargs))
        # Kept as given: the output of another task carries the edge to that task.
        self.plan_id = plan_id
        self.plan_ids = plan_ids
        self.destination = templates.destination(destination)
        self.destination_conn_id = destination_conn_id
        self.achieveit_conn_id = achieveit_conn_id
        self.snapshot = snapshot
        self.if_unchanged = if_unchanged
        self.on_drift = on_drift
        self.on_inconsistent = on_inconsistent
        self.min_rows = min_rows
        self.max_shrink = max_shrink
        self.tables = tables
        self.changes = changes
        self.on_plan_failure = on_plan_failure
        self.table_format = table_format
        self.iceberg_conn_id = iceberg_conn_id
        self.iceberg_namespace = iceberg_namespace
        self._has_many = plan_ids is not None
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
            if (self.plan_id is None) == (self.plan_ids is None):
                raise AchieveItConfigError(
                    f"plan_id {shown(self.plan_id)} and plan_ids {shown(self.plan_ids)}: give exactly one of the two"
                )
            if ("plan_ids" if self._has_many else "plan_id") in constants:
                self._plan_ids()
            for name in _ARGUMENTS.keys() & constants.keys():
                _ARGUMENTS[name](constants[name])
            if "table_format" in constants:
                given = {name: _ARGUMENTS[name](constants[name]) for name in _CATALOG if name in constants}
                own = {name: value for name, value in given.items() if value != _ARGUMENTS[name](None)}
                require_format(_ARGUMENTS["table_format"](self.table_format), own)
            if "snapshot" in constants:
                make_label(templates.optional_text("snapshot", self.snapshot), datetime.now(UTC))
            ExportOptions(**{name: constants[name] for name in _OPTIONS if name in constants})

    def execute(self, context: Context) -> Manifest | list[Manifest]:
        """Export the plans; an empty context works as well, to try the operator in a Python shell.

        Raises:
            AirflowSkipException: All plans are unchanged and `if_unchanged` is `skip`, or the list of plans is empty.
            AirflowFailException: Trying again can't help: bad input, a refused key, drift, a guard.
            AchieveItError: Anything else that `api.errors` and `lake.errors` name.
        """
        from airflow_provider_achieveit._destination import open_sink
        from airflow_provider_achieveit.lake.portfolio import export_plans
        from airflow_provider_achieveit.lake.tries import Tries

        started = datetime.now(UTC)
        with as_task_errors():
            plan_ids = self._plan_ids()
            given = {name: read(getattr(self, name)) for name, read in _ARGUMENTS.items()}
            options = ExportOptions(**{name: templates.rendered(name, getattr(self, name)) for name in _OPTIONS})
            label = make_label(given["snapshot"], started)
            conn_id = templates.destination_conn_id(self.destination_conn_id, given=self._has_conn_id)
            if not plan_ids:
                raise AirflowSkipException("plan_ids is empty: there is nothing to export.")
            formats = {name: given[name] for name in ("table_format", "iceberg_conn_id", "iceberg_namespace")}
            sink = open_sink(given["destination"], conn_id, **formats)
            assets = {plan_id: plan_asset(sink.store, plan_id) for plan_id in plan_ids}
            self._log_date(context, started, label)
            run = _run(context)
            tries = Tries(sink, run) if self._has_many and run.get("run_id") is not None else None
            self._client = AchieveItHook(given["achieveit_conn_id"]).get_conn()
            try:
                with self._client as client:
                    report = export_plans(client, sink, plan_ids, snapshot=label, options=options, run=run, tries=tries)
            finally:
                self._client = None  # it holds sockets and locks, with which a task cannot be copied
            took = datetime.now(UTC) - started
            manifests = list(report.manifests.values())
            if self._has_many:
                outcome.log_many(report, took)
                outcome.check_many(report, given["on_plan_failure"])
                outcome.push_failures(context, report)
            else:
                outcome.check_one(report)
                outcome.log_one(manifests[0], took)
                show_plan_name(context, manifests[0])
            send_events(context, self.outlets, [(assets[manifest["plan_id"]], manifest) for manifest in manifests])
            if tries is not None:
                tries.done()
        return manifests if self._has_many else manifests[0]

    def _plan_ids(self) -> list[str]:
        """Return the ids of the plans once they are rendered."""
        if self._has_many:
            return templates.plan_ids(self.plan_ids)
        return [templates.plan_id(self.plan_id)]

    def _log_date(self, context: Context, started: datetime, label: str) -> None:
        """Say when a run is for another day: a backfill does not bring back the values of that day."""
        moments = [context.get("logical_date"), context.get("data_interval_end")]
        days = [moment.astimezone(UTC).date() for moment in moments if isinstance(moment, datetime)]
        if days and started.date() not in days:
            log.warning(
                "This run is for %s, but the API has today's values only: these are exported, with the label %s",
                days[0], label,
            )  # fmt: skip

    def on_kill(self) -> None:
        """End the requests under way; what was published before stays as it is."""
        if self._client is not None:
            self._client.close()  # which a signal handler may call


def _run(context: Context) -> Run:
    """Return who asks for the export, as far as the context tells."""
    instance: Any = context.get("ti")
    names = ("dag_id", "run_id", "task_id", "map_index", "try_number")
    return cast("Run", {name: getattr(instance, name, None) for name in names})
