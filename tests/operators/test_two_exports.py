"""Two exports of one plan to one label at the same time: the later read wins, and its manifest matches its files."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event
from typing import TYPE_CHECKING

import pytest

from airflow_provider_achieveit._compat import AirflowSkipException
from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.plan_version import format_timestamp
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.layout import FORMAT_KEY, PLAN_ITEMS_TABLE, latest_key, manifest_key, table_key
from airflow_provider_achieveit.lake.portfolio import export_plan
from tests.lake.stores import CONNECTED
from tests.support.faulty_sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_achieveit.lake.manifest import Manifest
    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
    from tests.lake.stores import LocalStores, RemoteStores, Stores

DATA = table_key(PLAN_ITEMS_TABLE, "p1", "now")
CHANGES = table_key("plan_item_changes", "p1", "now")
MANIFEST = manifest_key("p1", "now")
LATEST = latest_key("p1")


@pytest.fixture
def tenants() -> Iterator[list[Sandbox]]:
    """Two servers whose plans have the same id and other items, so the exports' files differ."""
    with Sandbox({"p1": 25}, seed=1) as first, Sandbox({"p1": 30}, seed=2) as second:
        yield [first, second]


@pytest.mark.parametrize(
    "stores",
    ["files", *(pytest.param(kind, marks=pytest.mark.slow) for kind in CONNECTED)],
    indirect=True,
)
def test_the_later_read_wins_whole(stores: Stores, tenants: list[Sandbox]) -> None:
    """Ten races; whichever export has read later, a reader finds its file and its manifest.

    The other one landed before it, or left the plan out because it came too late.
    """
    start = Barrier(len(tenants))

    def export(sandbox: Sandbox) -> Manifest | None:
        start.wait()
        with AchieveItClient(sandbox.key, ClientSettings(base_url=sandbox.url)) as client:
            return export_plan(client, stores.sink(), "p1", snapshot="now")

    with ThreadPoolExecutor(len(tenants)) as threads:
        for _ in range(10):
            landed = [manifest for manifest in threads.map(export, tenants) if manifest is not None]
            objects = stores.objects()
            assert set(objects) == {DATA, CHANGES, MANIFEST, LATEST, FORMAT_KEY}
            manifest = json.loads(objects[MANIFEST])
            assert manifest == max(landed, key=lambda manifest: manifest["version_read_at"])
            assert json.loads(objects[LATEST]) == manifest
            assert hashlib.sha256(objects[DATA]).hexdigest() == manifest["content_hash"]


@pytest.mark.parametrize("remote", CONNECTED, indirect=True)
def test_an_export_that_uploads_slowly_does_not_undo_a_later_one(remote: RemoteStores, sandbox: Sandbox) -> None:
    """Measured on a real cluster before writers were ordered: both succeeded, and the lake ended at the older state."""
    held, go = Event(), Event()

    def hold_the_first_table(number: int) -> bool:
        if number == 2:  # the first one is the note of the format
            held.set()
            assert go.wait(30)
        return False

    def export() -> Manifest | None:
        with AchieveItClient(sandbox.key, ClientSettings(base_url=sandbox.url)) as client:
            return export_plan(client, remote.sink(), "p1", snapshot="now")

    remote.before_write = hold_the_first_table
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(export)
        assert held.wait(30)
        sandbox.plan("p1").edit()
        later = export()
        before = remote.objects()
        go.set()
        assert slow.result(30) is None
    assert remote.objects() == before
    assert json.loads(before[MANIFEST]) == json.loads(before[LATEST]) == later
    assert hashlib.sha256(before[DATA]).hexdigest() == json.loads(before[MANIFEST])["content_hash"]


def test_an_export_that_came_too_late_is_skipped(
    lake: LocalStores, export: Callable[..., AchieveItExportOperator], sandbox: Sandbox
) -> None:
    """The destination holds the later state, so the task has nothing left to do, and its DAG does not fail for ever."""
    export().execute({})
    before = lake.objects()
    manifest = json.loads(before[MANIFEST])
    soon = format_timestamp(datetime.now(UTC) + timedelta(minutes=1))
    for key in (MANIFEST, LATEST):
        lake.put(key, json.dumps({**manifest, "version_read_at": soon}).encode())
    with pytest.raises(AirflowSkipException, match="another export has landed"):
        export().execute({})
    assert lake.objects()[DATA] == before[DATA]
