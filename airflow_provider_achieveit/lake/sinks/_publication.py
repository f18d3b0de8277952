"""Publish one snapshot's Parquet files and its manifest, whoever else publishes the same label meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.retry import backoff
from airflow_provider_achieveit.lake.errors import AchieveItContendedError, AchieveItStoreError
from airflow_provider_achieveit.lake.layout import manifest_key
from airflow_provider_achieveit.lake.manifest import Manifest, encode, file_keys
from airflow_provider_achieveit.lake.sinks.manifest_folder import ManifestFolder, refuse_older
from airflow_provider_achieveit.lake.sinks.object_state import ObjectState, SwappedMeanwhileError

log = logging.getLogger(__name__)

#: How often a snapshot is published, or waited for, when another export of it comes in between.
_TRIES = 4
#: A table without its manifest is another export's that is under way, unless it is older than this.
_UNDER_WAY = timedelta(seconds=60)


@dataclass(frozen=True)
class _Seen:
    """A snapshot's objects as they were before an attempt to replace them."""

    states: Mapping[str, ObjectState | None]
    manifest: Manifest | None


class Publication:
    """The publication of one snapshot, safe against others of the same label.

    Each object is swapped only if it is what it was when the attempt began. So an export that was held up, before or
    during an upload, cannot overwrite what came in between; it looks again, and finds the later manifest.

    Args:
        folder: Where to.
        manifest: The snapshot's manifest.
        tables: Files of the tables, and their keys, in the order of the manifest's `files`.
        body: The manifest, encoded.
        cancellation: Ends the publication, unless its first object is swapped.
    """

    def __init__(
        self,
        folder: ManifestFolder,
        manifest: Manifest,
        tables: Sequence[tuple[Path, str]],
        body: Path,
        cancellation: Cancellation,
    ) -> None:
        self._folder = folder
        self._store = folder.store
        self._manifest = manifest
        self._tables = tables
        self._key = manifest_key(manifest["plan_id"], manifest["snapshot"])
        self._files = [*tables, (body, self._key)]
        self._written = body.read_bytes()
        self._cancellation = cancellation
        self._committed = False
        self._manifests_seen: set[bytes] = set()

    def publish(self) -> None:
        """Swap the tables, then the manifest, and make sure that they belong together.

        Raises:
            AchieveItOutdatedError: A later read of the plan has landed under this label.
            AchieveItContendedError: Other exports came in between each time.
            AchieveItStoreError: The store refused, or does not keep what was written.
        """
        plan_id, label = self._manifest["plan_id"], self._manifest["snapshot"]
        for tries in range(1, _TRIES + 1):
            if self._attempt(last=tries == _TRIES):
                return
            log.warning("Plan %s: something else is writing snapshot %s as well", plan_id, label)
            # Wait a random time: exports with equal delays could come in between each other for ever.
            self._cancellation.sleep(backoff(tries))
            if self._is_settled():
                return
        if len(self._manifests_seen) > 1:
            what = f"snapshot {label} was overwritten by another export {_TRIES} times"
            raise AchieveItContendedError(what, plan_id=plan_id)
        what = f"{self._store.uri(self._key)} and its tables were written {_TRIES} times, and are read back otherwise"
        raise AchieveItStoreError(what, plan_id=plan_id)

    def _attempt(self, *, last: bool) -> bool:
        """Publish once; False if somebody else is at work."""
        seen = self._look()
        refuse_older(self._manifest, seen.manifest)
        if self._is_under_way(seen) and not last:
            return False
        try:
            with self._store.prepared(self._files) as copies:
                self._cancellation.check()
                for file, key in copies:
                    self._store.swap(file, key, seen.states[key])
        except SwappedMeanwhileError:
            return False
        self._committed = True
        self._remove_what_is_no_longer_named(seen.manifest)
        log.debug(
            "Plan %s: published %d rows as %s", self._manifest["plan_id"], self._manifest["rows"],
            self._store.uri(self._tables[0][1]),
        )  # fmt: skip
        return self._is_settled()

    def _look(self) -> _Seen:
        # The tables first: what somebody publishes between two looks is then noticed when it is swapped.
        states = {key: self._store.look(key) for _, key in self._files}
        manifest = self._folder.landed_if_readable(self._manifest["plan_id"], self._manifest["snapshot"])
        if manifest != self._manifest:
            self._manifests_seen.add(encode(manifest) if manifest else b"")
        return _Seen(states, manifest)

    def _is_under_way(self, seen: _Seen) -> bool:
        """Return whether a table is newer than its manifest: then another export is between the two, or was killed."""
        committed = seen.states[self._key]
        tables = [state for key, state in seen.states.items() if key != self._key and state is not None]
        recent = datetime.now(UTC) - _UNDER_WAY
        return any(
            state.modified > recent and (committed is None or state.modified > committed.modified) for state in tables
        )

    def _is_settled(self) -> bool:
        """Read everything back: whether the tables are this export's, or another one has replaced all of it since."""
        if not self._committed:
            return False
        if self._store.read(self._key) != self._written:
            # Only a later read replaces a manifest, and whoever does that makes sure of the tables.
            log.warning(
                "Plan %s: another export published snapshot %s after this one", self._manifest["plan_id"],
                self._manifest["snapshot"],
            )  # fmt: skip
            return True
        digests = [self._store.sha256(key) for _, key in self._tables]
        return digests == [entry["sha256"] for entry in self._manifest["files"]]

    def _remove_what_is_no_longer_named(self, earlier: Manifest | None) -> None:
        """Remove tables that the label's earlier manifest names and this one does not: other options were chosen."""
        if earlier is not None:
            for key in sorted(set(file_keys(earlier)) - {key for _, key in self._tables}):
                self._store.remove(key)
