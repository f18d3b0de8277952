"""One export: snapshot, guards, manifest, publish."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow_provider_achieveit import __version__
from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.plan_version import PlanVersion, format_timestamp
from airflow_provider_achieveit.lake import manifest as manifests
from airflow_provider_achieveit.lake.guards import check_guards
from airflow_provider_achieveit.lake.manifest import Manifest
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.read.snapshot import Snapshot, read_snapshot
from airflow_provider_achieveit.lake.schema import PLAN_ITEMS_TABLE, SCHEMA_HASH
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import publish_snapshot


def export_plan(
    client: AchieveItClient,
    store: Store,
    plan_id: str,
    *,
    snapshot: str | None = None,
    options: ExportOptions | None = None,
    run: Mapping[str, Any] | None = None,
) -> Manifest | None:
    """Land a plan as Parquet, complete or not at all.

    Args:
        client: Client of the API.
        store: Where to.
        plan_id: Id of the plan.
        snapshot: Label of the partition; None for the UTC date on which the export starts. The API has no history, so
            a label of the past could pass off today's values as old ones.
        options: What may be decided.
        run: More keys for the manifest: who asked for the export.

    Returns:
        The manifest; None if the plan is unchanged and `if_unchanged` is `skip`.

    Raises:
        AchieveItError: As in `api.errors`; nothing was published then.
    """
    options = options or ExportOptions()
    plan = client.plan(plan_id)
    started = datetime.now(UTC)
    label = manifests.check_label(f"{started:%Y-%m-%d}" if snapshot is None else snapshot)
    store.check()
    needs_latest = options.if_unchanged == "skip" or options.max_shrink is not None
    latest = manifests.read_latest(store, plan_id) if needs_latest else None
    if options.if_unchanged == "skip" and _holds(store, latest, plan_id, plan.version()):
        return None
    with scratch_directory() as directory:
        proven = read_snapshot(
            plan,
            directory,
            accept_inconsistent=options.on_inconsistent == "accept",
        )
        if options.if_unchanged == "skip" and _holds_content(store, latest, plan_id, proven):
            return None
        check_guards(proven, latest, options, plan_id)
        key = manifests.table_key(PLAN_ITEMS_TABLE, plan_id, label)
        manifest: Manifest = {
            "plan_id": plan_id,
            "plan_name": proven.plan_name,
            "snapshot": label,
            "rows": proven.items.rows,
            "version": proven.version.to_json(),
            "consistent": proven.consistent,
            "content_hash": proven.items.sha256,
            "schema_hash": SCHEMA_HASH,
            "rescued_values": sum(proven.rescued.values()),
            "files": [
                {
                    "table": PLAN_ITEMS_TABLE,
                    "path": store.uri(key),
                    "rows": proven.items.rows,
                    "bytes": proven.items.bytes,
                    "sha256": proven.items.sha256,
                }
            ],
            "started_at": format_timestamp(started),
            "finished_at": format_timestamp(datetime.now(UTC)),
            "requests": plan.requests,
            "attempts": proven.attempts,
            "provider_version": __version__,
            **(run or {}),
        }
        publish_snapshot(store, manifest, [(proven.items.path, key)], directory, client.cancellation)
    return manifest


def _holds(store: Store, latest: Manifest | None, plan_id: str, version: PlanVersion) -> bool:
    """Return whether the latest snapshot is of this version and whole."""
    return latest is not None and manifests.landed_version(latest) == version and _is_whole(store, latest, plan_id)


def _holds_content(store: Store, latest: Manifest | None, plan_id: str, proven: Snapshot) -> bool:
    """Return whether the latest snapshot has the content that was just read, as where the plan version is unknown."""
    return (
        latest is not None
        and latest["consistent"]
        and proven.consistent
        and latest.get("content_hash") == proven.items.sha256
        and _is_whole(store, latest, plan_id)
    )


def _is_whole(store: Store, latest: Manifest, plan_id: str) -> bool:
    """Return whether the files of a manifest are there: a killed export may have torn them."""
    sizes = {manifests.table_key(file["table"], plan_id, latest["snapshot"]): file["bytes"] for file in latest["files"]}
    return all(store.size(key) == size for key, size in sizes.items())
