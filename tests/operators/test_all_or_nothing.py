"""A fault at every step of an export: earlier objects stay as they were, and the next export repairs."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.layout import FORMAT_KEY, PLAN_ITEMS_TABLE, latest_key, manifest_key, table_key
from airflow_provider_achieveit.lake.portfolio import export_plan
from tests.lake.stores import CONNECTED, EVERY, REMOTE, LocalStores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lake.stores import RemoteStores, Stores
    from tests.support.faulty_sandbox import Sandbox

DATA = table_key(PLAN_ITEMS_TABLE, "p1", "now")
CHANGES = table_key("plan_item_changes", "p1", "now")
MANIFEST = manifest_key("p1", "now")
LATEST = latest_key("p1")


every_store = pytest.mark.parametrize("stores", EVERY, indirect=True)
every_remote_store = pytest.mark.parametrize("remote", REMOTE, indirect=True)


@pytest.fixture(autouse=True)
def spools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory of this test's own, in which nothing may be left."""
    directory = tmp_path / "spools"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory
    assert list(directory.iterdir()) == []


def export(sandbox: Sandbox, stores: Stores, **settings: Any) -> dict[str, Any]:
    """Export the plan of 25 items in pages of ten: six requests, four objects."""
    quick = {"page_size": 10, "max_concurrency": 1, "max_retry_seconds": 0, **settings}
    client = AchieveItClient(sandbox.key, ClientSettings(base_url=sandbox.url, **quick))
    try:
        manifest = export_plan(client, stores.sink(), "p1", snapshot="now")
    finally:
        client.close()
    assert manifest is not None
    return manifest


def assert_whole(stores: Stores, manifest: dict[str, Any]) -> None:
    """The objects lie there, match each other, and nothing else does."""
    objects = stores.objects()
    assert set(objects) == {DATA, CHANGES, MANIFEST, LATEST, FORMAT_KEY}
    assert json.loads(objects[MANIFEST]) == json.loads(objects[LATEST]) == manifest
    assert hashlib.sha256(objects[DATA]).hexdigest() == manifest["content_hash"]


@every_store
def test_a_plan_lands_the_same_in_every_store(stores: Stores, sandbox: Sandbox) -> None:
    """First export, and the one that replaces it."""
    assert_whole(stores, export(sandbox, stores))
    sandbox.plan("p1").edit()
    assert_whole(stores, export(sandbox, stores))


@pytest.mark.parametrize(
    "stores",
    [kind if kind == "files" else pytest.param(kind, marks=pytest.mark.slow) for kind in EVERY],
    indirect=True,
)
@pytest.mark.parametrize("request_number", range(1, 7))
@pytest.mark.parametrize("fault", [{"status": 403}, {"truncate": 200}, {"reset": True}], ids=["403", "cut", "reset"])
def test_a_fault_at_any_request_changes_nothing(
    stores: Stores, sandbox: Sandbox, request_number: int, fault: dict[str, Any]
) -> None:
    """Every earlier object is byte for byte what it was, and the next export succeeds."""
    export(sandbox, stores)
    before = stores.objects()
    sandbox.plan("p1").edit()
    sandbox.script({"at": request_number, "fault": fault})
    with pytest.raises(AchieveItError):
        export(sandbox, stores)
    assert stores.objects() == before
    sandbox.script()
    assert_whole(stores, export(sandbox, stores))


@every_remote_store
@pytest.mark.parametrize("write", range(1, 5))
def test_a_refused_upload_leaves_whole_objects_and_the_next_export_repairs(
    remote: RemoteStores, sandbox: Sandbox, write: int
) -> None:
    """Before the first upload nothing has changed; between two, a manifest that does not match shows it."""
    export(sandbox, remote)
    before = remote.objects()
    sandbox.plan("p1").edit()
    remote.targets.clear()
    remote.before_write = lambda _: len(remote.targets) >= write
    with pytest.raises(AchieveItStoreError, match="writing"):
        export(sandbox, remote)
    after = remote.objects()
    assert set(after) == set(before)
    changed = [key for key in (DATA, CHANGES, MANIFEST, LATEST) if after[key] != before[key]]
    assert changed == [DATA, CHANGES, MANIFEST, LATEST][: write - 1]
    assert pq.read_table(io.BytesIO(after[DATA])).num_rows == 25
    torn = hashlib.sha256(after[DATA]).hexdigest() != json.loads(after[MANIFEST])["content_hash"]
    assert torn == (write in (2, 3))
    remote.before_write = None
    assert_whole(remote, export(sandbox, remote))


@every_remote_store
def test_a_refused_first_export_leaves_nothing(remote: RemoteStores, sandbox: Sandbox) -> None:
    """A destination that was empty is empty."""
    remote.before_write = lambda _: True
    with pytest.raises(AchieveItStoreError):
        export(sandbox, remote)
    assert remote.objects() == {}


@pytest.mark.parametrize("remote", CONNECTED, indirect=True)
def test_a_role_that_may_write_and_not_read_is_found_before_the_first_swap(
    remote: RemoteStores, sandbox: Sandbox
) -> None:
    """It could publish everything, and then fail to read it back."""
    remote.write_only = True
    for _ in range(2):
        with pytest.raises(AchieveItStoreError, match=f"(reading|looking at) {remote.uri}/.*failed: .*Error: "):
            export(sandbox, remote)
    remote.write_only = False
    assert set(remote.objects()) <= {FORMAT_KEY}


@pytest.mark.parametrize("stores", ["files"], indirect=True)
@pytest.mark.parametrize("key", [DATA, CHANGES, MANIFEST, LATEST])
def test_a_local_target_that_cannot_be_replaced_leaves_whole_files(
    stores: LocalStores, sandbox: Sandbox, key: str
) -> None:
    """A directory in the place of any of the three objects; the copies beside the targets are removed again."""
    blocked = stores.root / key
    blocked.mkdir(parents=True)
    with pytest.raises(AchieveItStoreError, match="IsADirectoryError"):
        export(sandbox, stores)
    assert set(stores.objects()) <= {DATA, CHANGES, MANIFEST, FORMAT_KEY}
    blocked.rmdir()
    assert_whole(stores, export(sandbox, stores))


FULL_DISK = """
import json, resource, signal, sys, tempfile
from fsspec.implementations.local import LocalFileSystem
from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.errors import AchieveItScratchError
from airflow_provider_achieveit.lake.portfolio import export_plan
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
url, key, root, spools, limit = sys.argv[1:]
tempfile.tempdir = spools
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
client = AchieveItClient(key, ClientSettings(base_url=url))
try:
    export_plan(client, ParquetSink(Store(LocalFileSystem(), root)), "p1", snapshot="now")
except AchieveItScratchError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_a_full_disk_changes_nothing(stores: LocalStores, sandbox: Sandbox, spools: Path) -> None:
    """No file may grow past 20 kB in a process of its own: writing the spool fails, and leaves nothing."""
    export(sandbox, stores)
    before = stores.objects()
    sandbox.put_plan("p1", 200)
    command = [sys.executable, "-c", FULL_DISK, sandbox.url, sandbox.key, str(stores.root), str(spools), "20000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith(f"AchieveItScratchError {spools}: OSError: [Errno 27]"), done.stderr
    assert stores.objects() == before
