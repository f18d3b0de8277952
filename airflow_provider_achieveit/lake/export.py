"""One export: snapshot, guards, manifest, publish."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow_provider_achieveit import __version__
from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.plan_version import PlanVersion, format_timestamp
from airflow_provider_achieveit.api.validate import check_plan_id
from airflow_provider_achieveit.lake import manifest as manifests
from airflow_provider_achieveit.lake.errors import AchieveItDriftError, AchieveItGuardError
from airflow_provider_achieveit.lake.manifest import Manifest
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.read.snapshot import Snapshot, read_snapshot
from airflow_provider_achieveit.lake.schema import PLAN_ITEMS_TABLE, SCHEMA_HASH
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import publish_snapshot

log = logging.getLogger(__name__)

#: How many fields a message about drift names.
_NAMED = 20


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
    check_plan_id(plan_id)
    started = datetime.now(UTC)
    label = manifests.check_label(f"{started:%Y-%m-%d}" if snapshot is None else snapshot)
    store.check()
    needs_latest = options.if_unchanged == "skip" or options.max_shrink is not None
    latest = manifests.read_latest(store, plan_id) if needs_latest else None
    sent_before = client.requests_sent
    version = None
    if options.if_unchanged == "skip":
        version = client.get_plan_version(plan_id)
        if _holds(store, latest, plan_id, version):
            return None
    with scratch_directory() as directory:
        proven = read_snapshot(
            client,
            plan_id,
            directory,
            accept_inconsistent=options.on_inconsistent == "accept",
            before=version,
        )
        _guard(proven, options, plan_id, latest)
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
            "requests": client.requests_sent - sent_before,
            "attempts": proven.attempts,
            "provider_version": __version__,
            **(run or {}),
        }
        publish_snapshot(store, manifest, [(proven.items.path, key)], directory, client.sleep)
    return manifest


def _holds(store: Store, latest: Manifest | None, plan_id: str, version: PlanVersion) -> bool:
    """Whether the latest snapshot is of this version, and its files are there: a killed export may have torn them."""
    if latest is None or manifests.landed_version(latest) != version:
        return False
    sizes = {manifests.table_key(file["table"], plan_id, latest["snapshot"]): file["bytes"] for file in latest["files"]}
    return all(store.size(key) == size for key, size in sizes.items())


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
