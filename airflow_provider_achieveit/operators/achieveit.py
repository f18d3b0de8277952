"""The export operator: one plan or many, landed as typed tables, each complete or not at all."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

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
from airflow_provider_achieveit._export_arguments import (
    OPTIONS,
    READERS,
    ExportArguments,
    check_constants,
    read_arguments,
)
from airflow_provider_achieveit.exceptions import as_task_errors
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.layout import make_label
from airflow_provider_achieveit.lake.options import (
    IfUnchanged,
    OnDrift,
    OnInconsistent,
    OnPlanFailure,
    TableFormat,
    Tables,
)
from airflow_provider_achieveit.links.achieveit import (
    AchieveItPlanLink,
    AchieveItSnapshotLink,
    note_plan,
    note_snapshots,
)
from airflow_provider_achieveit.retry_policy import with_retry_policy

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.lake.manifest import Manifest, Run
    from airflow_provider_achieveit.lake.portfolio import Report

log = logging.getLogger(__name__)


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
        destination: Where to: an absolute path, or a URI of a store that swaps whole objects: `file://`, `s3://`,
            `gs://` or `abfs://`. An `ObjectStoragePath` of such a URI is taken as well.
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

    template_fields: Sequence[str] = ("plan_id", "plan_ids", *READERS, "destination_conn_id", *OPTIONS)
    operator_extra_links = (AchieveItSnapshotLink(), AchieveItPlanLink())
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
        values = {name: getattr(self, name) for name in self.template_fields}
        self._given = frozenset(name for name, value in values.items() if value is not None)
        with as_task_errors():
            check_constants(values, self._given)
        self.outlets = with_alias(self.outlets)
        self._client: AchieveItClient | None = None
        self._report: Report | None = None

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Map the operator: as for a single task, its alias is an outlet, so that Airflow shows it as a producer."""
        mapped = super().partial(**kwargs)
        mapped.kwargs["outlets"] = with_alias(mapped.kwargs.get("outlets"))
        mapped.kwargs["map_index_template"] = mapped.kwargs.get("map_index_template") or MAP_INDEX_TEMPLATE
        return mapped

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
            arguments = self._arguments()
            plan_ids, has_many = arguments.plan_ids, "plan_ids" in self._given
            label = make_label(arguments.snapshot, started)
            if not plan_ids:
                raise AirflowSkipException("plan_ids is empty: there is nothing to export.")
            sink = open_sink(
                arguments.destination,
                arguments.destination_conn_id,
                table_format=arguments.table_format,
                iceberg_conn_id=arguments.iceberg_conn_id,
                iceberg_namespace=arguments.iceberg_namespace,
            )
            assets = {plan_id: plan_asset(sink.store, plan_id) for plan_id in plan_ids}
            self._log_date(context, started, label)
            run = _run(context)
            tries = Tries(sink, run) if has_many and run.get("run_id") is not None else None
            hook = AchieveItHook(arguments.achieveit_conn_id)
            self._client = hook.get_conn()
            note_plan(context, hook, plan_ids)
            try:
                with self._client as client:
                    report = self._report = export_plans(
                        client, sink, plan_ids, snapshot=label, options=arguments.options, run=run, tries=tries
                    )
            finally:
                self._client = None  # it holds sockets and locks, with which a task cannot be copied
            took = datetime.now(UTC) - started
            manifests = list(report.manifests.values())
            note_snapshots(context, sink.store, manifests)
            if has_many:
                outcome.log_many(report, took)
                outcome.check_many(report, arguments.on_plan_failure)
                outcome.push_failures(context, report)
            else:
                outcome.check_one(report)
                outcome.log_one(manifests[0], took)
                show_plan_name(context, manifests[0])
            send_events(context, self.outlets, [(assets[manifest["plan_id"]], manifest) for manifest in manifests])
            if tries is not None:
                tries.done()
        return manifests if has_many else manifests[0]

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """Tell Airflow's OpenLineage provider what the task is going to read and write."""
        return self._lineage()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Tell Airflow's OpenLineage provider what the task has read and written, also after a failure or a skip.

        Args:
            task_instance: Not used: `execute` has kept what became of the plans.
        """
        return self._lineage()

    def _lineage(self) -> OperatorLineage[Any, Any]:
        from airflow_provider_achieveit._lineage import export_lineage

        return export_lineage(self._arguments(), self._report)

    def _arguments(self) -> ExportArguments:
        return read_arguments({name: getattr(self, name) for name in self.template_fields}, self._given)

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
