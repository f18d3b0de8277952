"""The note about a task whose tries are under way, by which a later try goes on where an earlier one ended."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_achieveit.api.plan_version import format_timestamp, parse_timestamp
from airflow_provider_achieveit.lake.layout import is_readable_label, run_key
from airflow_provider_achieveit.lake.manifest import Manifest, Run
from airflow_provider_achieveit.lake.scratch import scratch_directory
from airflow_provider_achieveit.lake.sinks.base import Sink
from airflow_provider_achieveit.lake.sinks.manifest_folder import is_later

log = logging.getLogger(__name__)

#: A note that is older than this is of another day's work.
_LONGEST = timedelta(hours=24)
_MAX_BYTES = 4 * 2**20
_IDENTITY = ("dag_id", "run_id", "task_id", "map_index")


class Tries:
    """The tries of one Airflow task.

    The first try notes its label before its first snapshot lands, and the try that succeeds removes the note. A try
    that finds a note goes on under its label, and need not export what was landed under it.

    Args:
        sink: Where the task's snapshots land.
        run: The task; all of its keys but `try_number` tell it from others.
    """

    def __init__(self, sink: Sink, run: Run) -> None:
        self._sink = sink
        self._identity = {key: run.get(key) for key in _IDENTITY}
        map_index = run.get("map_index")
        self._key = run_key(
            str(run.get("dag_id")),
            str(run.get("run_id")),
            str(run.get("task_id")),
            -1 if map_index is None else map_index,
        )
        self._label = ""
        self._note: dict[str, Any] = {}
        self._goes_on = False
        self._is_written = False
        self._lock = threading.Lock()

    def begin(self, label: str, started: datetime, plan_ids: Sequence[str]) -> str:
        """Return the label of this try: that of the note, or the one given if there is no note to go on with.

        Raises:
            AchieveItStoreError: The store refused.
        """
        noted = self._read()
        if noted is not None:
            self._goes_on = self._is_written = True
            log.info("An earlier try of this task has begun snapshot %s; this one goes on with it", noted)
        self._label = noted or label
        self._note = {"label": label, "started_at": format_timestamp(started), "plans": list(plan_ids)}
        return self._label

    def landed(self, plan_id: str) -> Manifest | None:
        """Return the manifest of a plan that an earlier try of this task has landed as a whole, if it has."""
        if not self._goes_on:
            return None
        manifest = self._sink.landed_if_readable(plan_id, self._label)
        if manifest is None or any(manifest.get(key) != self._identity[key] for key in _IDENTITY):
            return None
        return manifest if self._is_announced(manifest) else None

    def _is_announced(self, manifest: Manifest) -> bool:
        # A worker can be lost between the manifest and `latest.json`, which readers and sensors look at.
        latest = self._sink.latest_if_readable(manifest["plan_id"])
        return latest is not None and (latest == manifest or is_later(latest, manifest))

    def write(self) -> None:
        """Write the note, before the first snapshot of the task lands.

        Raises:
            AchieveItStoreError: The store refused.
        """
        with self._lock:
            if not self._is_written:
                self._put()
                self._is_written = True

    def _read(self) -> str | None:
        """Return the label of the note, or None if there is none to go on with."""
        body = self._sink.store.read(self._key, _MAX_BYTES)
        with suppress(ValueError, RecursionError, KeyError, TypeError):
            note = json.loads(body or b"")
            is_recent = datetime.now(UTC) - parse_timestamp(note["started_at"]) < _LONGEST
            if is_recent and is_readable_label(note["label"]):
                return str(note["label"])
        return None

    def _put(self) -> None:
        store = self._sink.store
        with scratch_directory() as directory:
            file = directory / "run.json"
            file.write_text(json.dumps(self._note, indent=2) + "\n")
            with store.prepared([(file, self._key)]) as [(copy, key)]:
                store.swap(copy, key, store.look(key))

    def done(self) -> None:
        """Remove the note: the task has succeeded.

        Raises:
            AchieveItStoreError: The store refused.
        """
        if self._is_written:
            self._sink.store.remove(self._key)
