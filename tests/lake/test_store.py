"""What a store does with objects, the same for local files, S3 and GCS; and what is the matter with a destination."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.scratch import try_lock
from airflow_provider_achieveit.lake.sinks.objects import Store
from tests.lake.stores import BUCKET, LocalStores, S3Stores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lake.stores import GcsStores, Stores

SYSTEM_TEMP = tempfile.gettempdir()
KEY = "table/plan=p/snapshot=2026-11-23T10:02:03+00:00/table.parquet"


@pytest.fixture
def local(tmp_path: Path) -> LocalStores:
    """Local files only."""
    return LocalStores(tmp_path / "lake")


def written(path: Path, body: bytes) -> Path:
    """A local file with this content."""
    path.write_bytes(body)
    return path


def test_an_object_is_read_back_as_it_was_published(stores: Stores, tmp_path: Path) -> None:
    """Bytes, size and hash, also right after another process replaced it."""
    store = stores.store()
    for body in (b"first", b"second, and longer"):
        store.publish([(written(tmp_path / "local", body), KEY)])
        assert stores.objects() == {KEY: body}
        assert store.read(KEY) == body
        assert store.size(KEY) == len(body)
        assert store.sha256(KEY, tmp_path / "scratch") == hashlib.sha256(body).hexdigest()
        assert not (tmp_path / "scratch").exists()
    stores.put(KEY, b"somebody else's")
    assert store.read(KEY) == b"somebody else's"
    assert store.size(KEY) == len(b"somebody else's")


def test_what_is_not_there_is_none(stores: Stores, tmp_path: Path) -> None:
    """No object is no error."""
    store = stores.store()
    assert store.read(KEY) is store.size(KEY) is store.sha256(KEY, tmp_path / "scratch") is None


def test_a_uri_names_the_whole_place(stores: Stores) -> None:
    """With its protocol, as readers of the lake open it."""
    assert stores.store().uri("a/b=c") == f"{stores.uri}/a/b=c"
    assert str(stores.store()) == stores.uri


def test_a_destination_that_can_be_written_to_passes_unchanged(stores: Stores) -> None:
    """Looking creates nothing."""
    stores.store().check()
    assert stores.objects() == {}
    assert not isinstance(stores, LocalStores) or not stores.root.exists()


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_a_bucket_that_does_not_exist_is_named(kind: str, request: pytest.FixtureRequest) -> None:
    """Nothing creates buckets."""
    remote: S3Stores | GcsStores = request.getfixturevalue(f"running_{kind}")
    store = Store(remote.store()._fs, "no-such-bucket/lake")
    with pytest.raises(AchieveItStoreError, match="no bucket or container 'no-such-bucket' that"):
        store.check()


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_rights_on_what_lies_under_the_destination_are_enough(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Such as a role whose policy names a prefix: the bucket can't be looked at, and what is missing is forbidden."""
    remote: S3Stores | GcsStores = request.getfixturevalue(f"running_{kind}")
    remote.empty()
    remote.narrow = True
    try:
        store = remote.store()
        store.check()
        assert store.read("a/b.json") is None
        assert store.size("a/b.json") is None
        assert store.sha256("a/b.json", tmp_path / "scratch") is None
        store.publish([(written(tmp_path / "file", b"body"), "a/b.json")])
        store.check()
        assert store.read("a/b.json") == b"body"
        assert store.read("a/c.json") is None
        assert store.size("a/b.json") == 4
    finally:
        remote.narrow = False


def test_a_bucket_that_is_forbidden_is_named(running_s3: S3Stores) -> None:
    """A role for another part of it can't write here."""
    running_s3.narrow = True
    try:
        with pytest.raises(AchieveItStoreError, match=r"looking at s3://lake-bucket/else.* PermissionError"):
            Store(running_s3.store()._fs, f"{BUCKET}/elsewhere").check()
    finally:
        running_s3.narrow = False


@pytest.fixture
def nobody_writes() -> Iterator[Path]:
    """A directory that this process can look into and not write to, even if root started it."""
    with tempfile.TemporaryDirectory(dir=SYSTEM_TEMP) as directory:
        Path(directory).chmod(0o555)
        as_root = os.geteuid() == 0
        if as_root:
            os.setresuid(65534, 65534, 0)
        try:
            yield Path(directory)
        finally:
            if as_root:
                os.setresuid(0, 0, 0)
            Path(directory).chmod(0o755)


def test_a_read_only_directory_is_named(nobody_writes: Path) -> None:
    """Before the work, and not after the last page."""
    with pytest.raises(AchieveItStoreError, match=f"{nobody_writes} is no directory that can be written to"):
        Store(LocalFileSystem(), str(nobody_writes / "lake")).check()


def test_a_file_where_the_destination_should_be_is_named(tmp_path: Path) -> None:
    """At the destination, and above it."""
    written(tmp_path / "file", b"")
    for root in (tmp_path / "file", tmp_path / "file" / "lake"):
        with pytest.raises(AchieveItStoreError, match=f"{tmp_path}/file is no directory"):
            Store(LocalFileSystem(), str(root)).check()


def test_a_relative_destination_means_the_directory_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And stays there when the process moves on."""
    monkeypatch.chdir(tmp_path)
    store = Store(LocalFileSystem(), "lake")
    monkeypatch.chdir("/")
    assert store.uri("x") == f"file://{tmp_path}/lake/x"


def test_objects_are_swapped_in_the_order_given(stores: Stores, tmp_path: Path) -> None:
    """The manifest comes last, so the data it speaks of is there."""
    if isinstance(stores, LocalStores):
        (stores.root / "b").mkdir(parents=True)
    else:
        stores.before_write = lambda number: number >= 2
    files = [(written(tmp_path / name, name.encode()), name) for name in "abc"]
    with pytest.raises(AchieveItStoreError, match=f"writing {stores.uri}/b failed"):
        stores.store().publish(files)
    assert stores.objects() == {"a": b"a"}


def test_nothing_is_swapped_when_a_later_object_cannot_even_be_copied(local: LocalStores, tmp_path: Path) -> None:
    """Local files are all copied beside their targets first."""
    local.put("x", b"a file in the way")
    files = [(written(tmp_path / "f", b"new"), key) for key in ("a", "x/b")]
    with pytest.raises(AchieveItStoreError, match=f"writing {local.uri}/x/b failed: (NotADirectory|FileExists)Error"):
        local.store().publish(files)
    assert local.objects() == {"x": b"a file in the way"}


def test_a_held_upload_shows_nothing_until_it_is_done(running_s3: S3Stores, tmp_path: Path) -> None:
    """Readers see the earlier object while the new one is on its way."""
    running_s3.empty()
    running_s3.put(KEY, b"earlier")
    held, go = threading.Event(), threading.Event()

    def hold(_: int) -> bool:
        held.set()
        assert go.wait(30)
        return False

    running_s3.before_write = hold
    file = written(tmp_path / "f", b"later")
    publishing = threading.Thread(target=lambda: running_s3.store().publish([(file, KEY)]))
    publishing.start()
    assert held.wait(30)
    assert running_s3.objects() == {KEY: b"earlier"}
    go.set()
    publishing.join()
    assert running_s3.objects() == {KEY: b"later"}


def test_a_large_object_is_uploaded_in_parts_and_a_failed_one_leaves_no_part(
    running_s3: S3Stores, tmp_path: Path
) -> None:
    """Above 100 MB s3fs uploads in parts: refused half-way, the earlier object stays, and no upload is left open."""
    running_s3.empty()
    running_s3.put("big", b"earlier")
    with (tmp_path / "big").open("wb") as file:
        file.truncate(110 * 2**20)
    running_s3.before_write = lambda number: number == 3
    with pytest.raises(AchieveItStoreError, match=r"writing s3://.*/big failed"):
        running_s3.store().publish([(tmp_path / "big", "big")])
    running_s3.before_write = None
    assert running_s3.objects() == {"big": b"earlier"}
    assert running_s3.open_uploads() == []


def test_temporary_files_beside_a_target_are_swept_unless_somebody_writes_them(local: LocalStores) -> None:
    """A killed run's are nobody's any more; those of a run in another process are left alone, and so is all else."""
    leftovers = "table/plan=p/snapshot=a/.table.parquet.0123abcd.achieveit-tmp", "_m/plan=p/.x.json.0.achieveit-tmp"
    others = "table/plan=q/snapshot=a/.table.parquet.0.achieveit-tmp", "table/plan=p/snapshot=a/.hidden", "mine.tmp"
    held = "table/plan=p/snapshot=b/.table.parquet.1.achieveit-tmp"
    for key in (*leftovers, *others, held):
        local.put(key, b"half")
    hold = try_lock(local.root / held)
    assert hold is not None
    local.store().sweep("*/plan=p/snapshot=*")
    local.store().sweep("_m/plan=p")
    assert set(local.objects()) == {*others, held}
    os.close(hold)
    local.store().sweep("*/plan=p/snapshot=*")
    assert set(local.objects()) == {*others}


def test_readers_skip_temporary_files(local: LocalStores, tmp_path: Path) -> None:
    """Engines ignore names that start with a dot, so what a killed run left beside a file does no harm."""
    pq.write_table(pa.table({"x": [1]}), tmp_path / "f")
    local.store().publish([(tmp_path / "f", KEY)])
    local.put(f"{Path(KEY).parent}/.table.parquet.0.achieveit-tmp", b"half a Parquet file")
    assert ds.dataset(local.root / "table", format="parquet").to_table().num_rows == 1


def test_errors_name_the_object_and_what_the_store_said(running_s3: S3Stores, tmp_path: Path) -> None:
    """An exception of any store's own becomes one of ours, which Airflow retries."""
    running_s3.empty()
    running_s3.before_write = lambda _: True
    with pytest.raises(AchieveItStoreError) as caught:
        running_s3.store().publish([(written(tmp_path / "f", b""), KEY)])
    running_s3.before_write = None
    assert str(caught.value).startswith(f"writing {running_s3.uri}/{KEY} failed: PermissionError: Access Denied.")
    assert caught.value.retry_task
    assert isinstance(caught.value.__cause__, PermissionError)
