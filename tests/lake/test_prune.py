"""Removal of old snapshots: at every step, each manifest that is there has its tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.errors import AchieveItManifestError
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plans
from airflow_provider_achieveit.lake.prune import prune, remove_snapshot
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS
from airflow_provider_achieveit.lake.verify import verify
from tests.lake.formats.lakes import DeltaLake, IcebergLake
from tests.lake.stores import LocalStores

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.lake.sinks.base import Sink

FUTURE = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture(params=["parquet", "delta", pytest.param("iceberg", marks=pytest.mark.slow)])
def sink(request: pytest.FixtureRequest, tmp_path: Path, client: AchieveItClient) -> Sink:
    """A lake of two plans and three labels, in each format."""
    lakes = {"parquet": LocalStores, "delta": DeltaLake, "iceberg": IcebergLake}
    sink: Sink = lakes[request.param](tmp_path / "lake").sink()
    fill(sink, client)
    return sink


def fill(sink: Sink, client: AchieveItClient) -> None:
    """Land `p1` and `one` three times."""
    for label in ("mon", "tue", "wed"):
        export_plans(client, sink, ["p1", "one"], snapshot=label, options=ExportOptions(tables="normalized"))


def labels(sink: Sink) -> list[tuple[str, str]]:
    """Plans and labels that have a manifest."""
    return [(manifest["plan_id"], manifest["snapshot"]) for manifest in sink.manifests()]


def test_all_but_the_latest_are_removed(sink: Sink) -> None:
    """Nothing is left of them, and what stays is whole, but for the note that nobody can check its changes."""
    removed = [(manifest["plan_id"], manifest["snapshot"]) for manifest in prune(sink, older_than=FUTURE)]
    assert removed == [("one", "mon"), ("one", "tue"), ("p1", "mon"), ("p1", "tue")]
    assert labels(sink) == [("one", "wed"), ("p1", "wed")]
    assert {finding.kind for finding in verify(sink, grace=timedelta(0))} == {"note"}
    assert list(prune(sink, older_than=FUTURE)) == []


def test_younger_ones_stay(sink: Sink) -> None:
    """By the time at which the plan was read, whatever the label says."""
    assert list(prune(sink, older_than=FUTURE - timedelta(days=2))) == []
    assert len(labels(sink)) == 6


def test_the_latest_is_refused(sink: Sink) -> None:
    """Also where it is not known which one that is."""
    with pytest.raises(AchieveItConfigError, match="latest"):
        remove_snapshot(sink, "p1", "wed")
    with pytest.raises(AchieveItConfigError, match="no snapshot"):
        remove_snapshot(sink, "p1", "../wed")
    (sink.store.fs).pipe_file(f"{sink.store._root}/{layout.latest_key('p1')}", b"{")
    with pytest.raises(AchieveItManifestError):
        remove_snapshot(sink, "p1", "mon")
    assert len(labels(sink)) == 6


class DyingStore(Store):
    """A store whose process dies before it removes one object more."""

    left = 0

    def remove(self, key: str) -> None:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        super().remove(key)


def test_whoever_is_killed_leaves_no_manifest_without_its_tables(tmp_path: Path, client: AchieveItClient) -> None:
    """At any object; what is left are orphans, and removing the snapshot again removes them."""
    lake = LocalStores(tmp_path / "lake")
    fill(lake.sink(), client)
    for killed_at in range(1 + len(SCHEMAS)):
        store = DyingStore(LocalFileSystem(), str(lake.root))
        store.left = killed_at
        with pytest.raises(KeyboardInterrupt):
            remove_snapshot(ParquetSink(store), "p1", "mon")
        kinds = {finding.kind for finding in verify(lake.sink(), grace=timedelta(0))}
        assert kinds <= {"orphan", "note"}
    remove_snapshot(lake.sink(), "p1", "mon")
    assert not [key for key in lake.objects() if "plan=p1/snapshot=mon" in key]
