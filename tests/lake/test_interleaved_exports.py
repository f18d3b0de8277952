"""Exports of one plan to one label at the same time, step by step in every order that Hypothesis comes up with."""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec.implementations.local import LocalFileSystem
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.layout import PLAN_ITEMS_TABLE, latest_key, manifest_key, table_key
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import publish_snapshot
from tests.lake.support import ContendedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DATA = table_key(PLAN_ITEMS_TABLE, "p", "now")
MANIFEST = manifest_key("p", "now")
LATEST = latest_key("p")
#: Where no disk has to turn, if there is such a place.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Turns:
    """Lets one of several threads go on at a time; which one, is given."""

    def __init__(self, order: Sequence[int], threads: int) -> None:
        self._order = iter(order)
        self._alive = threads
        self._waiting: set[str] = set()
        self._turn: str | None = None
        self._changed = threading.Condition()

    def take(self, name: str) -> None:
        with self._changed:
            self._waiting.add(name)
            self._pass_on()
            assert self._changed.wait_for(lambda: self._turn == name, 30)
            self._turn = None
            self._waiting.remove(name)

    def leave(self) -> None:
        with self._changed:
            self._alive -= 1
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting and len(self._waiting) == self._alive:
            self._turn = sorted(self._waiting)[next(self._order, 0) % self._alive]
            self._changed.notify_all()


class TurningStore(Store):
    """A store whose every operation on an object waits for its turn; objects are swapped one by one, as on S3."""

    def __init__(self, root: Path, turns: Turns, name: str) -> None:
        super().__init__(LocalFileSystem(), str(root))
        self._turns, self._name = turns, name

    def publish(self, files: Sequence[tuple[Path, str]]) -> None:
        for file in files:
            self._turns.take(self._name)
            super().publish([file])

    def read(self, key: str) -> bytes | None:
        self._turns.take(self._name)
        return super().read(key)

    def sha256(self, key: str, scratch: Path) -> str | None:
        self._turns.take(self._name)
        return super().sha256(key, scratch)


class Sleeper(Cancellation):
    """Sleeps in its own way."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        super().__init__()
        self._sleep = sleep

    def sleep(self, seconds: float) -> None:
        self._sleep(seconds)


def publish(store: Store, name: str, sleep: Callable[[float], None]) -> bool:
    """Publish what only this export has read; whether that worked out."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as spool:
        data = Path(spool) / "plan_items.parquet"
        data.write_text(f"the items of {name}")
        file = {"table": "plan_items", "sha256": hashlib.sha256(data.read_bytes()).hexdigest()}
        manifest = {"plan_id": "p", "snapshot": "now", "rows": 1, "files": [file], "by": name}
        try:
            publish_snapshot(store, manifest, [(data, DATA)], Path(spool), Sleeper(sleep))
        except AchieveItStoreError as error:
            assert "was overwritten by another export 4 times" in str(error)
            return False
        return True


def publish_in_turn(root: Path, turns: Turns, name: str) -> bool:
    """Publish when it is this export's turn; a pause ends when its turn comes."""
    try:
        return publish(TurningStore(root, turns, name), name, lambda _: turns.take(name))
    finally:
        turns.leave()


def test_who_was_overwritten_waits_longer_each_time_and_differently_from_others(tmp_path: Path) -> None:
    """Exports in step would otherwise overwrite each other until all of them give up."""
    pauses: list[list[float]] = [[], []]
    for each in pauses:
        assert not publish(ContendedStore(LocalFileSystem(), str(tmp_path)), "a", each.append)
        assert len(each) == 4
        assert 0 < each[0] < each[1] < each[2] < each[3]
    assert pauses[0] != pauses[1]


def test_whose_table_is_back_after_the_pause_has_nothing_more_to_do(tmp_path: Path) -> None:
    """The other export may have had the same items, or have been published over in the meantime."""
    store = ContendedStore(LocalFileSystem(), str(tmp_path))
    pauses: list[float] = []

    def put_back(seconds: float) -> None:
        pauses.append(seconds)
        (tmp_path / DATA).write_text("the items of a")

    assert publish(store, "a", put_back)
    assert len(pauses) == 1


@settings(max_examples=400, deadline=None, database=None)
@given(order=st.lists(st.integers(0, 5), max_size=60), exports=st.integers(2, 3))
@example(order=[0, 2, 2, 0, 2, 2, 2, 2], exports=3)  # a third one comes in while the second mends what the first broke
def test_when_all_succeed_the_manifest_and_the_latest_one_match_the_file(order: list[int], exports: int) -> None:
    """Whoever wins, nobody is told of success while a reader finds one export's manifest with another one's file."""
    turns = Turns(order, exports)
    with tempfile.TemporaryDirectory(dir=MEMORY) as root, ThreadPoolExecutor(exports) as threads:
        succeeded = list(threads.map(lambda name: publish_in_turn(Path(root), turns, name), "abc"[:exports]))
        data, manifest, latest = ((Path(root) / key).read_bytes() for key in (DATA, MANIFEST, LATEST))
        left = [path for path in Path(root).rglob("*") if path.is_file()]
    assert any(succeeded)
    assert len(left) == 3
    if all(succeeded):
        landed: dict[str, Any] = json.loads(manifest)
        assert landed["files"][0]["sha256"] == hashlib.sha256(data).hexdigest()
        assert latest == manifest
