"""The manifests below a destination, which are alike in every table format."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.errors import AchieveItManifestError, AchieveItOutdatedError
from airflow_provider_achieveit.lake.manifest import MAX_BYTES, Manifest, NotAManifestError, decode, read_time
from airflow_provider_achieveit.lake.options import TableFormat
from airflow_provider_achieveit.lake.sinks.object_state import SwappedMeanwhileError
from airflow_provider_achieveit.lake.sinks.objects import Store

log = logging.getLogger(__name__)

#: A manifest from further in the future than this has a wrong clock, and must not keep every later export out.
_CLOCK_SKEW = timedelta(minutes=5)


class ManifestFolder:
    """The manifests below a destination, which are alike in every table format.

    Args:
        store: The destination.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def latest(self, plan_id: str) -> Manifest | None:
        """Return the latest manifest of a plan, or None if nothing has landed.

        Raises:
            AchieveItManifestError: There is something else in its place.
            AchieveItStoreError: It can't be read.
        """
        return self._read(layout.latest_key(plan_id), plan_id)

    def landed(self, plan_id: str, label: str) -> Manifest | None:
        """Return the manifest of a label, or None if it has not landed.

        Raises:
            AchieveItManifestError: There is something else in its place.
            AchieveItStoreError: It can't be read.
        """
        return self._read(layout.manifest_key(plan_id, label), plan_id)

    def manifests(self, plan_id: str | None = None) -> Iterator[Manifest]:
        """Yield the manifests of all snapshots, or of one plan's, in the order of their keys.

        Raises:
            AchieveItManifestError: One is not a manifest.
            AchieveItStoreError: The store refused.
        """
        for key in self.manifest_keys(plan_id):
            manifest = self._read(key, plan_id)
            if manifest is not None:
                yield manifest

    def readable_manifests(self, plan_id: str) -> Iterator[Manifest]:
        """Yield the manifests of a plan's snapshots, without what is not a manifest.

        Raises:
            AchieveItStoreError: The store refused.
        """
        for key in self.manifest_keys(plan_id):
            with suppress(AchieveItManifestError):
                manifest = self._read(key, plan_id)
                if manifest is not None:
                    yield manifest

    def manifest_keys(self, plan_id: str | None = None) -> list[str]:
        """Return the keys of the manifests of all snapshots, or of one plan's."""
        prefix = layout.MANIFESTS if plan_id is None else layout.manifests_prefix(plan_id)
        return sorted(key for key, _ in self.store.find(prefix) if "/snapshot=" in key and key.endswith(".json"))

    def _read(self, key: str, plan_id: str | None) -> Manifest | None:
        body = self.store.read(key, MAX_BYTES)
        if body is None:
            return None
        try:
            return decode(body, plan_id)
        except NotAManifestError as error:
            what = f"{self.store.uri(key)} is not a manifest written by this package: {error}"
            raise AchieveItManifestError(what, plan_id=plan_id) from None

    def table_format(self) -> TableFormat | None:
        """Return the table format that the destination is noted to have; None if there is no note.

        Raises:
            AchieveItConfigError: It is one that this version does not know.
        """
        body = self.store.read(layout.FORMAT_KEY, MAX_BYTES)
        if body is None:
            return None
        found: Any = None
        with suppress(ValueError, RecursionError, KeyError, TypeError):
            found = json.loads(body)["table_format"]
        if found not in ("parquet", "delta", "iceberg"):
            what = f"{self.store.uri(layout.FORMAT_KEY)} names the table format {found!r:.50}, which is not known here"
            raise AchieveItConfigError(what)
        known: TableFormat = found
        return known

    def latest_if_readable(self, plan_id: str) -> Manifest | None:
        """Return the latest manifest of a plan; None if nothing has landed, or something else is in its place."""
        return self._read_if_readable(layout.latest_key(plan_id), plan_id)

    def landed_if_readable(self, plan_id: str, label: str) -> Manifest | None:
        """Return the manifest of a label; None if it has not landed, or something else is in its place."""
        return self._read_if_readable(layout.manifest_key(plan_id, label), plan_id)

    def _read_if_readable(self, key: str, plan_id: str) -> Manifest | None:
        with suppress(AchieveItManifestError):
            return self._read(key, plan_id)
        return None

    def put_latest(self, manifest: Manifest, copy: Path) -> None:
        """Make a manifest that has landed the latest one, unless a later read has landed under another label.

        Args:
            manifest: The manifest.
            copy: The same, encoded, in a file that the store's `prepared` gave.
        """
        plan_id, key = manifest["plan_id"], layout.latest_key(manifest["plan_id"])
        while True:
            state, there = self.store.look(key), self._read_if_readable(key, plan_id)
            if there is not None and is_later(there, manifest):
                what = "Plan %s: latest.json stays with snapshot %s, which was read later"
                log.info(what, plan_id, there["snapshot"])
                return
            with suppress(SwappedMeanwhileError):
                self.store.swap(copy, key, state)
                return


def is_later(there: Manifest, ours: Manifest) -> bool:
    """Return whether the manifest that is there tells of a later read of the plan."""
    moment = read_time(there)
    return moment > read_time(ours) and moment < datetime.now(UTC) + _CLOCK_SKEW


def refuse_older(ours: Manifest, there: Manifest | None) -> None:
    """Refuse a snapshot where a later read of the plan has landed under its label.

    Raises:
        AchieveItOutdatedError: One has.
    """
    if there is not None and is_later(there, ours):
        what = (
            f"snapshot {ours['snapshot']} was read at {ours['version_read_at']}, and another export has landed there "
            f"what it read at {there['version_read_at']}"
        )
        raise AchieveItOutdatedError(what, plan_id=ours["plan_id"])
