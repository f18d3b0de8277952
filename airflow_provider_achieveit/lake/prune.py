"""Removal of old snapshots, in an order that never leaves a manifest without its tables."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.manifest import Manifest, read_time
from airflow_provider_achieveit.lake.sinks.base import Sink

log = logging.getLogger(__name__)


def prune(sink: Sink, *, older_than: datetime) -> Iterator[Manifest]:
    """Remove the snapshots of all plans that were read before a time, and yield the manifest of each when it is gone.

    The latest snapshot of each plan stays, however old it is. What was compared with a snapshot that is removed keeps
    its changes, which cannot be verified any more. No export may land one of these labels meanwhile.

    Args:
        sink: The lake.
        older_than: The time, with its zone.

    Raises:
        AchieveItManifestError: A manifest cannot be read; nothing of its plan or of later ones was removed.
        AchieveItStoreError: The store refused.
    """
    for key in sink.manifest_keys():
        plan_id = key.split("/")[1].removeprefix("plan=")
        label = key.rpartition("/snapshot=")[2].removesuffix(".json")
        manifest = sink.landed(plan_id, label)
        if manifest is None or read_time(manifest) >= older_than or _is_latest(sink, plan_id, label):
            continue
        remove_snapshot(sink, plan_id, label)
        yield manifest


def remove_snapshot(sink: Sink, plan_id: str, label: str) -> None:
    """Remove a snapshot: its manifest, and only then its tables.

    Whoever is killed in between leaves tables without a manifest, which verification calls orphans: calling this again
    removes them.

    Args:
        sink: The lake.
        plan_id: Id of the plan.
        label: Label of the snapshot.

    Raises:
        AchieveItConfigError: It is the plan's latest snapshot, or these are no plan and label.
        AchieveItManifestError: `latest.json` cannot be read, so that nobody knows which one is the latest.
        AchieveItStoreError: The store refused.
    """
    if not layout.is_plan_id(plan_id) or not layout.is_readable_label(label):
        raise AchieveItConfigError(f"there can be no snapshot {label!r:.150} of a plan {plan_id!r:.80}")
    if _is_latest(sink, plan_id, label):
        what = f"snapshot {label} of plan {plan_id} is the latest: the next export compares with it, so it stays"
        raise AchieveItConfigError(what)
    sink.store.remove(layout.manifest_key(plan_id, label))
    sink.remove_tables(plan_id, label)
    log.info("Plan %s: snapshot %s is removed", plan_id, label)


def _is_latest(sink: Sink, plan_id: str, label: str) -> bool:
    latest = sink.latest(plan_id)
    return latest is not None and latest["snapshot"] == label
