"""Small things that several of these tests need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from airflow_provider_achieveit.lake.read.snapshot import read_snapshot
from airflow_provider_achieveit.lake.sinks.objects import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.lake.read.snapshot import Snapshot

    #: Makes a client of the sandbox with these settings.
    Connect = Callable[..., AchieveItClient]


def read(client: AchieveItClient, directory: Path, *, accept: bool = False) -> tuple[Snapshot, pa.Table]:
    """Take a snapshot of the plan `p`, and read its file."""
    taken = read_snapshot(client.plan("p"), directory, accept_inconsistent=accept)
    return taken, pq.read_table(taken.items.path)


class ContendedStore(Store):
    """A store in which somebody else's table lies where ours was published."""

    def publish(self, files: Sequence[tuple[Path, str]]) -> None:
        super().publish(files)
        (_, table), (manifest, _) = files[:2]
        super().publish([(manifest, table)])  # any other bytes will do
