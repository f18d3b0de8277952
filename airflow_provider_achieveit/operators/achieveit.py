"""The export operator: one plan, landed as typed Parquet, complete or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_achieveit._compat import (
    AirflowSkipException,
    Asset,
    AssetAlias,
    BaseOperator,
    Context,
    alias_extra,
)
from airflow_provider_achieveit.exceptions import as_task_errors
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.retry_policy import with_retry_policy

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.lake.manifest import Manifest, Run
    from airflow_provider_achieveit.lake.sinks.objects import Store

#: The alias through which every export emits the event of its plan's asset.
LANDED_PLANS = "achieveit_landed_plans"


class AchieveItExportOperator(BaseOperator):
    """Export a plan to object storage, proven complete, all or nothing.

    Returns the manifest, which is also the `extra` of the asset event. The asset's URI and name are
    `<destination>/plan_items/plan=<plan id>`, without a connection id.

    Args:
        plan_id: Id of the plan (templated).
        destination: Where to: `file://`, `s3://`, `gs://`, `abfs://` or any other path that Airflow's
            `ObjectStoragePath` knows (templated).
        destination_conn_id: Airflow connection of the store (templated); None for its own default credentials.
        achieveit_conn_id: Airflow connection of AchieveIt (templated).
        snapshot: Label of the partition (templated); None for the UTC date on which the export starts. The same label
            replaces the same objects.
        if_unchanged: `export`, or `skip`: when the destination already holds this plan version, the task ends as
            skipped after one request, so that tasks behind it, which have nothing new to work on, are skipped as well.
        on_drift: `rescue` keeps values that do not fit their column in `_rescued_data`; `fail` fails.
        on_inconsistent: `fail`, or `accept`: publish what could not be proven, marked `consistent: false`.
        min_rows: Fewest rows that are published.
        max_shrink: Largest fraction of the latest snapshot's rows that may be gone; 0.3 refuses 69 after 100.

    Raises:
        AchieveItConfigError: An option is none of those above.
    """

    template_fields: Sequence[str] = (
        "plan_id",
        "destination",
        "destination_conn_id",
        "achieveit_conn_id",
        "snapshot",
    )
    ui_color = "#dcedf7"

    def __init__(
        self,
        *,
        plan_id: str,
        destination: str,
        destination_conn_id: str | None = None,
        achieveit_conn_id: str = AchieveItHook.default_conn_name,
        snapshot: str | None = None,
        if_unchanged: Literal["export", "skip"] = "export",
        on_drift: Literal["rescue", "fail"] = "rescue",
        on_inconsistent: Literal["fail", "accept"] = "fail",
        min_rows: int | None = None,
        max_shrink: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**with_retry_policy(kwargs))
        self.plan_id = plan_id
        # As text: copies of an ObjectStoragePath drop its connection.
        self.destination = destination if destination is None else str(destination)
        self.destination_conn_id = destination_conn_id
        self.achieveit_conn_id = achieveit_conn_id
        self.snapshot = snapshot
        self.if_unchanged = if_unchanged
        self.on_drift = on_drift
        self.on_inconsistent = on_inconsistent
        self.min_rows = min_rows
        self.max_shrink = max_shrink
        self._options()
        self.outlets = [*self.outlets, AssetAlias(LANDED_PLANS)]
        self._client: AchieveItClient | None = None

    def _options(self) -> ExportOptions:
        return ExportOptions(
            if_unchanged=self.if_unchanged,
            on_drift=self.on_drift,
            on_inconsistent=self.on_inconsistent,
            min_rows=self.min_rows,
            max_shrink=self.max_shrink,
        )

    def execute(self, context: Context) -> Manifest:
        """Export the plan; an empty context works as well, to try the operator in a Python shell.

        Raises:
            AirflowSkipException: The plan is unchanged and `if_unchanged` is `skip`.
            AirflowFailException: Trying again can't help: bad input, a refused key, drift, a guard.
            AchieveItError: Anything else that `api.errors` names; nothing was published then.
        """
        from airflow_provider_achieveit._destination import open_sink
        from airflow_provider_achieveit.lake.export import export_plan

        with as_task_errors(), _skipped_when_outdated():
            sink = open_sink(self.destination, self.destination_conn_id)
            self._client = AchieveItHook(self.achieveit_conn_id).get_conn()
            with self._client as client:
                manifest = export_plan(
                    client, sink, self.plan_id, snapshot=self.snapshot, options=self._options(), run=_run(context)
                )
        if manifest is None:
            raise AirflowSkipException(f"Plan {self.plan_id} is unchanged: {sink.store} holds its current version.")
        self._emit(context, sink.store, manifest)
        return manifest

    def _emit(self, context: Context, store: Store, manifest: Manifest) -> None:
        """Say that the plan has landed: through the alias, and with every asset that the DAG declares as an outlet."""
        from airflow_provider_achieveit._destination import plan_asset

        events: Any = context.get("outlet_events")
        if events is None:
            return
        landed = plan_asset(store, self.plan_id)
        declared = [outlet for outlet in self.outlets if isinstance(outlet, Asset)]
        for outlet in declared:
            events[outlet].extra = manifest
        if landed not in declared:  # else it would have two events
            events[AssetAlias(LANDED_PLANS)].add(landed, extra=alias_extra(manifest))

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


def _run(context: Context) -> Run:
    """Return who asks for the export, as far as the context tells."""
    instance: Any = context.get("ti")
    names = ("dag_id", "run_id", "task_id", "map_index", "try_number")
    return cast("Run", {name: getattr(instance, name, None) for name in names})
