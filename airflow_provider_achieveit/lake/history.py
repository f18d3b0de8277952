"""The snapshot before: what the changes and `max_shrink` of a new snapshot compare with."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_achieveit.lake.errors import AchieveItManifestError
from airflow_provider_achieveit.lake.manifest import Manifest, read_time
from airflow_provider_achieveit.lake.sinks.manifest_folder import ManifestFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Before:
    """What a destination held of a plan before a snapshot landed, as far as it could be read.

    Attributes:
        latest: The snapshot that had landed last.
        replaced: The snapshot of the same label.
    """

    latest: Manifest | None
    replaced: Manifest | None


def snapshots_before(folder: ManifestFolder, plan_id: str, label: str) -> Iterator[Manifest]:
    """Yield the proven snapshots that a snapshot of this label may be compared with, the nearest first.

    A label that has landed before is compared with what it was compared with then, so that exporting it again gives the
    same changes. Any other label is compared with the latest snapshot.

    Args:
        folder: The manifests of the destination.
        plan_id: Id of the plan.
        label: Label of the snapshot that is about to land.
    """
    manifest = folder.landed_if_readable(plan_id, label)
    if manifest is None:
        manifest = _latest(folder, plan_id)
        if manifest is not None and manifest["consistent"]:
            yield manifest
    seen = {label}
    while manifest is not None and manifest["snapshot"] not in seen - {label}:
        seen.add(manifest["snapshot"])
        behind, is_what_was_meant = _behind(folder, manifest, seen)
        if behind is not None and behind["consistent"] and is_what_was_meant:
            yield behind
        manifest = behind


def look_before(folder: ManifestFolder, plan_id: str, label: str) -> Before:
    """Return what the destination holds of a plan that is about to land.

    Warns where a label is about to be replaced that is not the latest: later snapshots were compared with it.
    """
    latest = _latest(folder, plan_id)
    if latest is None or latest["snapshot"] == label:
        return Before(latest, latest)
    replaced = folder.landed_if_readable(plan_id, label)
    if replaced is not None:
        log.warning(
            "Plan %s: snapshot %s is replaced by today's values, although %s landed after it: the changes of the "
            "snapshots after it were made from what stood there before",
            plan_id, label, latest["snapshot"],
        )  # fmt: skip
    return Before(latest, replaced)


def _latest(folder: ManifestFolder, plan_id: str) -> Manifest | None:
    try:
        return folder.latest(plan_id)
    except AchieveItManifestError as error:
        log.warning("%s", error)
        return None


def _behind(folder: ManifestFolder, manifest: Manifest, seen: set[str]) -> tuple[Manifest | None, bool]:
    """Return the snapshot before one, and whether it still is what that one was compared with."""
    plan_id, previous = manifest["plan_id"], manifest["previous"]
    if previous is None:
        # Only a manifest that tells of changes knows that nothing was before it.
        return (None if manifest["changes"] else _read_before(folder, manifest, seen)), True
    behind = folder.landed_if_readable(plan_id, previous["snapshot"])
    if behind is not None and behind["content_hash"] == previous["content_hash"]:
        return behind, True
    log.warning(
        "Plan %s: snapshot %s, with which %s was compared, is gone or was replaced; the one before it is taken",
        plan_id, previous["snapshot"], manifest["snapshot"],
    )  # fmt: skip
    return (behind, False) if behind is not None else (_read_before(folder, manifest, seen), True)


def _read_before(folder: ManifestFolder, manifest: Manifest, seen: set[str]) -> Manifest | None:
    """Return the latest snapshot that was read before another one, where no `previous` names it."""
    moment = read_time(manifest)
    found: Manifest | None = None
    for other in folder.readable_manifests(manifest["plan_id"]):
        is_before = other["snapshot"] not in seen and read_time(other) < moment
        if is_before and (found is None or read_time(other) > read_time(found)):
            found = other
    return found
