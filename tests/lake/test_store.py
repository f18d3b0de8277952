"""What a store does with objects, the same for local files, S3 and GCS; and what is the matter with a destination."""

from __future__ import annotations

import hashlib
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.layout import STAGING_PREFIX, leftover_patterns
from airflow_provider_achieveit.lake.scratch import try_lock
from airflow_provider_achieveit.lake.sinks.object_state import SwappedMeanwhileError
from airflow_provider_achieveit.lake.sinks.objects import Store
from tests.lake.stores import BUCKET, CONNECTED, LocalStores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.lake.stores import RemoteStores, S3Stores, Stores

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


def size(store: Store, key: str) -> int:
    """The size of an object that is there."""
    state = store.look(key)
    assert state is not None
    return state.size


def publish(store: Store, files: Sequence[tuple[Path, str]]) -> None:
    """Swap objects in, one after the other, whatever was there."""
    with store.prepared(files) as copies:
        for copy, key in copies:
            store.swap(copy, key, store.look(key))


def test_an_object_is_read_back_as_it_was_published(stores: Stores, tmp_path: Path) -> None:
    """Bytes, size and hash, also right after another process replaced it."""
    store = stores.store()
    for body in (b"first", b"second, and longer"):
        publish(store, [(written(tmp_path / "local", body), KEY)])
        assert stores.objects() == {KEY: body}
        assert store.read(KEY) == body
        assert size(store, KEY) == len(body)
        assert store.sha256(KEY) == hashlib.sha256(body).hexdigest()
        assert store.download(KEY, tmp_path / "copy") == store.sha256(KEY)
        assert (tmp_path / "copy").read_bytes() == body
    stores.put(KEY, b"somebody else's")
    assert store.read(KEY) == b"somebody else's"
    assert size(store, KEY) == len(b"somebody else's")


def test_what_is_not_there_is_none(stores: Stores, tmp_path: Path) -> None:
    """No object is no error."""
    store = stores.store()
    assert store.read(KEY) is store.look(KEY) is store.sha256(KEY) is store.download(KEY, tmp_path / "copy") is None


def test_a_uri_names_the_whole_place(stores: Stores) -> None:
    """With its protocol, as readers of the lake open it."""
    assert stores.store().uri("a/b=c") == f"{stores.uri}/a/b=c"
    assert str(stores.store()) == stores.uri


def test_a_destination_that_can_be_written_to_passes_unchanged(stores: Stores) -> None:
    """Looking creates nothing."""
    stores.store().check()
    assert stores.objects() == {}
    assert not isinstance(stores, LocalStores) or not stores.root.exists()


def test_a_bucket_that_does_not_exist_is_named(remote: RemoteStores) -> None:
    """Nothing creates buckets."""
    store = Store(remote.store().fs, "no-such-bucket/lake")
    with pytest.raises(AchieveItStoreError, match="no bucket or container 'no-such-bucket' that"):
        store.check()


def test_rights_on_what_lies_under_the_destination_are_enough(remote: RemoteStores, tmp_path: Path) -> None:
    """Such as a role whose policy names a prefix: the bucket can't be looked at, and what is missing is forbidden."""
    remote.narrow = True
    try:
        store = remote.store()
        store.check()
        assert store.read("a/b.json") is None
        assert store.look("a/b.json") is None
        assert store.sha256("a/b.json") is None
        publish(store, [(written(tmp_path / "file", b"body"), "a/b.json")])
        store.check()
        assert store.read("a/b.json") == b"body"
        assert store.read("a/c.json") is None
        assert size(store, "a/b.json") == 4
    finally:
        remote.narrow = False


def test_a_bucket_that_is_forbidden_is_named(running_s3: S3Stores) -> None:
    """A role for another part of it can't write here."""
    running_s3.narrow = True
    try:
        with pytest.raises(AchieveItStoreError, match=r"looking at s3://lake-bucket/else.* PermissionError"):
            Store(running_s3.store().fs, f"{BUCKET}/elsewhere").check()
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
    with pytest.raises(AchieveItStoreError, match=f"{nobody_writes} is not a writable directory"):
        Store(LocalFileSystem(), str(nobody_writes / "lake")).check()


def test_a_file_where_the_destination_should_be_is_named(tmp_path: Path) -> None:
    """At the destination, and above it."""
    written(tmp_path / "file", b"")
    for root in (tmp_path / "file", tmp_path / "file" / "lake"):
        with pytest.raises(AchieveItStoreError, match=f"{tmp_path}/file is not a writable directory"):
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
        publish(stores.store(), files)
    assert stores.objects() == {"a": b"a"}


def test_nothing_is_copied_before_it_goes_to_a_store(
    remote: RemoteStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies beside the targets are for local destinations; no directory has the name of a bucket afterwards."""
    (tmp_path / "working").mkdir()
    monkeypatch.chdir(tmp_path / "working")
    files = [(written(tmp_path / "f", b"new"), KEY)]
    with remote.store().prepared(files) as copies:
        assert copies == files
    publish(remote.store(), files)
    assert list((tmp_path / "working").iterdir()) == []


def test_nothing_is_swapped_when_a_later_object_cannot_even_be_copied(local: LocalStores, tmp_path: Path) -> None:
    """Local files are all copied beside their targets first."""
    local.put("x", b"a file in the way")
    files = [(written(tmp_path / "f", b"new"), key) for key in ("a", "x/b")]
    with pytest.raises(AchieveItStoreError, match=f"writing {local.uri}/x/b failed: (NotADirectory|FileExists)Error"):
        publish(local.store(), files)
    assert local.objects() == {"x": b"a file in the way"}


@pytest.mark.parametrize("remote", CONNECTED, indirect=True)
def test_a_held_upload_shows_nothing_until_it_is_done(remote: RemoteStores, tmp_path: Path) -> None:
    """Readers see the earlier object while the new one is on its way."""
    remote.put(KEY, b"earlier")
    held, go = threading.Event(), threading.Event()

    def hold(_: int) -> bool:
        held.set()
        assert go.wait(30)
        return False

    remote.before_write = hold
    file = written(tmp_path / "f", b"later")
    publishing = threading.Thread(target=lambda: publish(remote.store(), [(file, KEY)]))
    publishing.start()
    assert held.wait(30)
    assert remote.objects() == {KEY: b"earlier"}
    go.set()
    publishing.join()
    assert remote.objects() == {KEY: b"later"}


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
        publish(running_s3.store(), [(tmp_path / "big", "big")])
    running_s3.before_write = None
    assert running_s3.objects() == {"big": b"earlier"}
    assert running_s3.open_uploads() == []


def test_what_killed_exports_left_is_swept_unless_somebody_holds_it(local: LocalStores) -> None:
    """Also where version 0.1.0 left it; what a run in another process holds is left alone, and so is all else."""
    old = "table/plan=p/snapshot=a/.table.parquet.0123abcd.achieveit-tmp", "_manifests/plan=p/.x.json.0.achieveit-tmp"
    staged, held = f"{STAGING_PREFIX}killed/0", f"{STAGING_PREFIX}alive/0"
    others = "table/plan=q/snapshot=a/.table.parquet.0.achieveit-tmp", "table/plan=p/snapshot=a/.hidden", "mine.tmp"
    for key in (*old, staged, *others, held):
        local.put(key, b"half")
    hold = try_lock((local.root / held).parent)
    assert hold is not None
    local.store().sweep(leftover_patterns("p"))
    assert set(local.objects()) == {*others, held}
    os.close(hold)
    local.store().sweep(leftover_patterns("p"))
    assert set(local.objects()) == {*others}


def test_copies_that_are_about_to_be_swapped_in_lie_outside_the_tables(local: LocalStores, tmp_path: Path) -> None:
    """Some engines read every file in a table's folder, whatever its name."""
    with local.store().prepared([(written(tmp_path / "f", b"new"), KEY)]):
        assert [Path(key).parent.parent.name for key in local.objects()] == [""]
        assert next(path.name for path in local.root.iterdir() if path.name != "table").startswith(STAGING_PREFIX)
    assert local.objects() == {}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o600])
def test_a_file_that_is_replaced_keeps_its_permissions(local: LocalStores, tmp_path: Path, mode: int) -> None:
    """Somebody chose them."""
    publish(local.store(), [(written(tmp_path / "f", b"old"), KEY)])
    (local.root / KEY).chmod(mode)
    publish(local.store(), [(written(tmp_path / "f", b"new"), KEY)])
    assert (local.root / KEY).stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_a_new_file_follows_the_umask(local: LocalStores, tmp_path: Path, umask: int, mode: int) -> None:
    """As any other program's would."""
    before = os.umask(umask)
    try:
        publish(local.store(), [(written(tmp_path / "f", b"new"), KEY)])
    finally:
        os.umask(before)
    assert (local.root / KEY).stat().st_mode & 0o777 == mode


def test_an_object_that_was_swapped_meanwhile_is_not_overwritten(stores: Stores, tmp_path: Path) -> None:
    """Whether there was one before or not."""
    store = stores.store()
    for seen, body in ((None, b"first"), (store.look(KEY), b"second")):
        with store.prepared([(written(tmp_path / "f", b"ours"), KEY)]) as [(copy, _)]:
            stores.put(KEY, body)
            with pytest.raises(SwappedMeanwhileError):
                store.swap(copy, KEY, seen)
        assert stores.objects() == {KEY: body}


@pytest.mark.parametrize("remote", CONNECTED, indirect=True)
def test_an_upload_that_takes_long_does_not_land_over_a_later_one(remote: RemoteStores, tmp_path: Path) -> None:
    """The store itself looks whether the object still is what it was when the upload was decided on."""
    for earlier in (None, b"earlier"):
        remote.put(KEY, earlier)
        store = remote.store()
        seen = store.look(KEY)

        def replaced_on_the_way(_: int) -> bool:
            remote.put(KEY, b"somebody else's")
            return False

        remote.before_write = replaced_on_the_way
        with pytest.raises(SwappedMeanwhileError):
            store.swap(written(tmp_path / "f", b"ours"), KEY, seen)
        remote.before_write = None
        assert remote.objects() == {KEY: b"somebody else's"}


@pytest.mark.parametrize("remote", CONNECTED, indirect=True)
def test_a_store_without_conditions_is_written_to_all_the_same(remote: RemoteStores, tmp_path: Path) -> None:
    """What refuses a condition although nothing has changed does not know conditions."""
    remote.conditions = False
    try:
        for body in (b"first", b"second"):
            publish(remote.store(), [(written(tmp_path / "f", body), KEY)])
            assert remote.objects() == {KEY: body}
    finally:
        remote.conditions = True


@pytest.mark.parametrize("size", [3, 8 * 2**20, 8 * 2**20 + 1])
def test_large_objects_are_read_in_pieces(stores: Stores, tmp_path: Path, size: int) -> None:
    """However many there are, also if the last one is full."""
    body = os.urandom(size)
    stores.put("big", body)
    assert stores.store().sha256("big") == hashlib.sha256(body).hexdigest()
    assert stores.store().download("big", tmp_path / "copy") == hashlib.sha256(body).hexdigest()
    assert stores.store().read("big", 2) == body[:2]


@pytest.mark.parametrize("stores", ["files", "s3"], indirect=True)  # the emulator of GCS takes no empty object
def test_an_empty_object_is_read(stores: Stores) -> None:
    """It has no byte that could be asked for."""
    stores.put("empty", b"")
    assert stores.store().read("empty") == b""
    assert stores.store().sha256("empty") == hashlib.sha256(b"").hexdigest()


class Interrupted(BaseException):
    """As Airflow raises it in a task's main thread."""


@pytest.mark.parametrize("remote", CONNECTED, indirect=True)
def test_an_interrupted_upload_ends_before_the_interrupt_goes_on(remote: RemoteStores, tmp_path: Path) -> None:
    """Else it would go on in fsspec's thread, and land over what comes next."""
    held, go = threading.Event(), threading.Event()

    def hold(_: int) -> bool:
        held.set()
        return not go.wait(30)

    def interrupt(*_: object) -> None:
        raise Interrupted

    def interrupt_when_held() -> None:
        assert held.wait(30)
        os.kill(os.getpid(), signal.SIGUSR1)

    remote.before_write = hold
    before = signal.signal(signal.SIGUSR1, interrupt)
    killer = threading.Thread(target=interrupt_when_held)
    killer.start()
    started = time.monotonic()
    try:
        with pytest.raises(Interrupted):
            publish(remote.store(), [(written(tmp_path / "f", b"interrupted"), KEY)])
    finally:
        signal.signal(signal.SIGUSR1, before)
        killer.join()
    assert time.monotonic() - started < 20
    remote.put(KEY, b"the next export's")
    remote.before_write = None
    go.set()
    remote.wait_until_idle()
    assert remote.objects() == {KEY: b"the next export's"}


def test_errors_name_the_object_and_what_the_store_said(running_s3: S3Stores, tmp_path: Path) -> None:
    """An exception of any store's own becomes one of ours, which Airflow retries."""
    running_s3.empty()
    running_s3.before_write = lambda _: True
    with pytest.raises(AchieveItStoreError) as caught:
        publish(running_s3.store(), [(written(tmp_path / "f", b""), KEY)])
    running_s3.before_write = None
    assert str(caught.value).startswith(f"writing {running_s3.uri}/{KEY} failed: PermissionError: Access Denied.")
    assert caught.value.retry_task
    assert isinstance(caught.value.__cause__, PermissionError)
