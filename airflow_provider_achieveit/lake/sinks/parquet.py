"""A verified snapshot becomes visible: its tables, then its manifest, whoever else publishes the same one meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.retry import backoff
from airflow_provider_achieveit.lake import manifest as manifests
from airflow_provider_achieveit.lake.errors import AchieveItContendedError
from airflow_provider_achieveit.lake.manifest import Manifest
from airflow_provider_achieveit.lake.sinks.objects import Store

log = logging.getLogger(__name__)

#: How often a snapshot is published when another export keeps overwriting it.
_PUBLISHES = 4


def publish_snapshot(
    store: Store,
    manifest: Manifest,
    tables: Sequence[tuple[Path, str]],
    directory: Path,
    cancellation: Cancellation,
) -> None:
    """Publish tables, then their manifest, and look whether another export of the same snapshot came in between.

    Whoever writes the manifest last finds out here whether the tables are still its own, so that when all of several
    concurrent exports succeed, the manifest matches its files.

    Args:
        store: Where to.
        manifest: The snapshot's manifest.
        tables: Pairs of a local file and its key, in the order of the manifest's `files`.
        directory: A spool for what is written and read on the way.
        cancellation: Ends the wait for another export.

    Raises:
        AchieveItStoreError: The store refused, or another export overwrote the tables again and again.
        AchieveItClosedError: The client was closed while it waited for another export.
    """
    plan_id, label = manifest["plan_id"], manifest["snapshot"]
    for pattern in (f"*/plan={plan_id}/snapshot=*", f"_manifests/plan={plan_id}"):
        store.sweep(pattern)
    manifest_key, latest_key = manifests.manifest_key(plan_id, label), manifests.latest_key(plan_id)
    body = manifests.encode(manifest)
    written = directory / "manifest.json"
    written.write_bytes(body)

    def settled() -> bool:
        if store.read(manifest_key) != body:
            log.warning("Plan %s: another export published snapshot %s after this one", plan_id, label)
            _mend_latest(store, manifest_key, latest_key, written)
            return True
        digests = [store.sha256(key, directory / "check") for _, key in tables]
        return digests == [file["sha256"] for file in manifest["files"]]

    for tries in range(1, _PUBLISHES + 1):
        store.publish([*tables, (written, manifest_key), (written, latest_key)])
        log.info("Plan %s: published %d rows as %s", plan_id, manifest["rows"], store.uri(tables[0][1]))
        if settled():
            return
        log.warning("Plan %s: another export is publishing snapshot %s as well", plan_id, label)
        # It is about to write its manifest, which settles the matter, or it is dead. Two exports in step, which wait
        # equally long or not at all, could undo each other's work for ever.
        cancellation.sleep(backoff(tries))
        if settled():
            return
    what = f"snapshot {label} was overwritten by another export {_PUBLISHES} times"
    raise AchieveItContendedError(what, plan_id=plan_id)


def _mend_latest(store: Store, manifest_key: str, latest_key: str, written: Path) -> None:
    """Make `latest.json`, while it holds what was written here, follow the manifest that replaced ours."""
    while (newer := store.read(manifest_key)) is not None and newer != (ours := written.read_bytes()):
        if store.read(latest_key) != ours:
            return
        written.write_bytes(newer)
        store.publish([(written, latest_key)])
