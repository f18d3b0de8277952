"""One export: snapshot, guards, manifest, publish."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.lake.errors import AchieveItDriftError, AchieveItGuardError
from airflow_provider_achieveit.lake.layout import make_label
from airflow_provider_achieveit.lake.manifest import Manifest, Run, build_manifest, landed_version
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.read.snapshot import Snapshot, read_snapshot
from airflow_provider_achieveit.lake.schema import SCHEMA_HASH
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.sinks.base import Sink

log = logging.getLogger(__name__)

#: How many fields a message about drift names.
_NAMED = 20


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
    version = None
    if options.if_unchanged == "skip":
        version = plan.version()
        if _holds(sink, latest, version):
            return None
    with scratch_directory() as directory:
        proven = read_snapshot(
            plan,
            directory,
            accept_inconsistent=options.on_inconsistent == "accept",
            before=version,
        )
        _guard(proven, options, plan_id, latest)
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


def _guard(proven: Snapshot, options: ExportOptions, plan_id: str, latest: Manifest | None) -> None:
    """Refuse a snapshot before it replaces a better one."""
    if proven.rescued:
        fields = _named(proven.rescued)
        if options.on_drift == "fail":
            raise AchieveItDriftError(f"values do not fit the schema: {fields}", plan_id=plan_id)
        log.warning("Plan %s: values that do not fit the schema were kept in _rescued_data: %s", plan_id, fields)
    if options.min_rows is not None and proven.items.rows < options.min_rows:
        raise AchieveItGuardError(
            f"{proven.items.rows} rows are fewer than min_rows={options.min_rows}", plan_id=plan_id
        )
    if options.max_shrink is not None and latest is not None:
        gone = latest["rows"] - proven.items.rows
        # The tolerance keeps 30 of 100 within 0.3, whatever binary fractions make of it.
        if gone > latest["rows"] * options.max_shrink + 1e-9:
            what = (
                f"{gone} of the {latest['rows']} rows of snapshot {latest['snapshot']} are gone, "
                f"more than max_shrink={options.max_shrink:g} allows"
            )
            raise AchieveItGuardError(what, plan_id=plan_id)


def _named(rescued: dict[str, int]) -> str:
    """Name the paths of rescued values, the most frequent ones: made-up keys can be many and long."""
    most = sorted(rescued.items(), key=lambda item: (-item[1], item[0]))[:_NAMED]
    named = ", ".join(f"{path[:100]} ({count})" for path, count in most)
    return named if len(rescued) <= _NAMED else f"{named} and {len(rescued) - _NAMED} more"
