"""One export: snapshot, guards, manifest, publish."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.lake.guards import check_guards
from airflow_provider_achieveit.lake.layout import make_label
from airflow_provider_achieveit.lake.manifest import Manifest, Run, build_manifest, landed_version
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.read.snapshot import Snapshot, read_snapshot
from airflow_provider_achieveit.lake.schema import SCHEMA_HASH
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.sinks.base import Sink


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
        options: What may be decided.
        run: The Airflow task that asks for the export.

    Returns:
        The manifest; None if the plan is unchanged and `if_unchanged` is `skip`.

    Raises:
        AchieveItOutdatedError: Another export has read the plan later, and landed first.
        AchieveItError: As in `api.errors` and `lake.errors`; nothing was published then.
    """
    options = options or ExportOptions()
    plan = client.plan(plan_id)
    started = datetime.now(UTC)
    label = make_label(snapshot, started)
    sink.check()
    needs_latest = options.if_unchanged == "skip" or options.max_shrink is not None
    latest = sink.latest(plan_id) if needs_latest else None
    if options.if_unchanged == "skip" and _holds(sink, latest, plan.version()):
        return None
    with scratch_directory() as directory:
        proven = read_snapshot(
            plan,
            directory,
            accept_inconsistent=options.on_inconsistent == "accept",
        )
        if options.if_unchanged == "skip" and _holds_content(sink, latest, proven):
            return None
        check_guards(proven, latest, options, plan_id)
        manifest = build_manifest(
            plan_id=plan_id,
            plan_name=proven.plan_name,
            label=label,
            rows=proven.items.rows,
            version=proven.version,
            consistent=proven.consistent,
            content_hash=proven.items.sha256,
            schema_hash=SCHEMA_HASH,
            rescued_values=sum(proven.rescued.values()),
            table_format=sink.format,
            read_at=proven.read_at,
            started=started,
            finished=datetime.now(UTC),
            requests=plan.requests,
            attempts=proven.attempts,
            run=run,
        )
        with sink.begin(client.cancellation) as commit:
            commit.add(manifest, [proven.items])
            [manifest] = commit.finish()
    return manifest


def _holds(sink: Sink, latest: Manifest | None, version: PlanVersion) -> bool:
    """Whether the latest snapshot is of this version, and its files are there: a killed export may have torn them."""
    return latest is not None and landed_version(latest) == version and sink.is_whole(latest)


def _holds_content(sink: Sink, latest: Manifest | None, proven: Snapshot) -> bool:
    """Return whether the latest snapshot has the content that was just read, as where the plan version is unknown."""
    return (
        latest is not None
        and latest["consistent"]
        and proven.consistent
        and latest["content_hash"] == proven.items.sha256
        and sink.is_whole(latest)
    )
