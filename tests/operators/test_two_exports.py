"""Two exports of one plan to one label at the same time: when both succeed, the manifest matches its files."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.export import export_plan
from airflow_provider_achieveit.lake.layout import FORMAT_KEY, PLAN_ITEMS_TABLE, latest_key, manifest_key, table_key
from tests.support.faulty_sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lake.stores import Stores

DATA = table_key(PLAN_ITEMS_TABLE, "p1", "now")
MANIFEST = manifest_key("p1", "now")
LATEST = latest_key("p1")


@pytest.fixture
def tenants() -> Iterator[list[Sandbox]]:
    """Two servers whose plans have the same id and other items, so the exports' files differ."""
    with Sandbox({"p1": 25}, seed=1) as first, Sandbox({"p1": 30}, seed=2) as second:
        yield [first, second]


@pytest.mark.parametrize("kind", ["lake", "s3"])
def test_the_manifest_matches_its_files_whoever_came_last(
    kind: str, request: pytest.FixtureRequest, tenants: list[Sandbox]
) -> None:
    """Ten races; whichever export wins, a reader finds one of the two snapshots and its own manifest.

    An export that loses every time may say so instead, which is rare.
    """
    stores: Stores = request.getfixturevalue(kind)
    start = Barrier(len(tenants))

    def export(sandbox: Sandbox) -> dict[str, Any] | None:
        client = AchieveItClient(sandbox.key, ClientSettings(base_url=sandbox.url))
        start.wait()
        try:
            return export_plan(client, stores.sink(), "p1", snapshot="now")
        except AchieveItStoreError as error:
            assert "snapshot now was overwritten by another export" in str(error)
            return None

    decided = 0
    with ThreadPoolExecutor(len(tenants)) as threads:
        for _ in range(10):
            manifests = list(threads.map(export, tenants))
            if None in manifests:
                continue
            decided += 1
            objects = stores.objects()
            assert set(objects) == {DATA, MANIFEST, LATEST, FORMAT_KEY}
            manifest = json.loads(objects[MANIFEST])
            assert manifest in manifests
            assert json.loads(objects[LATEST]) == manifest
            assert hashlib.sha256(objects[DATA]).hexdigest() == manifest["content_hash"]
    assert decided > 6
