"""What lies in our own folders and belongs to no manifest: left by killed or failed tasks, or put there by others."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import chain

from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.sinks.base import Sink
from airflow_provider_achieveit.lake.sinks.object_state import ObjectState


def orphans(sink: Sink, newest: datetime, unreadable: Collection[str]) -> Iterator[tuple[str, datetime]]:
    """Yield the keys of what belongs to no manifest, and when it was written.

    Args:
        sink: The lake.
        newest: What was written later is left out: an export may be under way.
        unreadable: Keys of manifests that cannot be read. Nothing of their snapshots is an orphan.
    """
    kept = set(map(_partition, unreadable))
    for key, state in chain(_among_manifests(sink), _of_tasks(sink), sink.orphans()):
        if state.modified <= newest and _partition(key) not in kept:
            yield key, state.modified


def _among_manifests(sink: Sink) -> Iterator[tuple[str, ObjectState]]:
    """Yield the objects among the manifests that are none."""
    ours = {layout.FORMAT_KEY, *sink.manifest_keys()}
    for key, state in sink.store.find(layout.MANIFESTS):
        if key not in ours and not key.endswith("/latest.json"):
            yield key, state


def _of_tasks(sink: Sink) -> Iterator[tuple[str, ObjectState]]:
    """Yield what tasks remove when they end well: notes about their tries, and copies that were to be swapped in."""
    for folder in (layout.RUNS, *sink.store.staging_folders()):
        yield from sink.store.find(folder)


def _partition(key: str) -> str:
    """Return the part of a key that names plan and snapshot, which the key of their manifest has as well."""
    return "/".join(key.removesuffix(".json").split("/")[1:3])
