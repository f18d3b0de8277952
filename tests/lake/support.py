"""Small things that several of these tests need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from airflow_provider_achieveit.lake.read.snapshot import read_snapshot
from airflow_provider_achieveit.lake.sinks.objects import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.lake.read.snapshot import Snapshot
    from airflow_provider_achieveit.lake.sinks.object_state import ObjectState

    #: Makes a client of the sandbox with these settings.
    Connect = Callable[..., AchieveItClient]

#: When the other exports of these tests have read the plan.
OLDER = "2001-01-01T00:00:00.000000Z"


def read(client: AchieveItClient, directory: Path, *, accept: bool = False) -> tuple[Snapshot, pa.Table]:
    """Take a snapshot of the plan `p`, and read its file."""
    taken = read_snapshot(client.plan("p"), directory, accept_inconsistent=accept)
    return taken, pq.read_table(taken.items.path)


class ContendedStore(Store):
    """A store in which another export lands its manifest each time before ours would.

    Attributes:
        landed: How often it has.
        alike: Whether that is the same manifest each time.
    """

    landed = 0
    alike = False

    def swap(self, file: Path, key: str, expected: ObjectState | None) -> None:
        if key.endswith(".json") and "/snapshot=" in key:
            self.landed += 1
            theirs = {**json.loads(file.read_bytes()), "started_at": OLDER, "version_read_at": OLDER}
            target = Path(self._path(key))
            target.write_text(json.dumps({**theirs, "requests": 1 if self.alike else self.landed}))
        super().swap(file, key, expected)
