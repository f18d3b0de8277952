"""Another task lands in the same tables at the worst moments of ours, one by one; the races of processes are random."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit.lake.errors import AchieveItOutdatedError
from airflow_provider_achieveit.lake.layout import latest_key, manifest_key
from airflow_provider_achieveit.lake.sinks.objects import Store
from tests.lake.formats.conftest import FORMATS, HERE
from tests.lake.formats.lakes import BEGINNING, Lake, item, items_file, land, problems, snapshot_of
from tests.lake.turns import Pauses

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_achieveit.lake.manifest import Manifest
    from airflow_provider_achieveit.lake.sinks.object_state import ObjectState

MANIFEST, LATEST = manifest_key("a", "monday"), latest_key("a")
DAY = timedelta(days=1)
NOW = BEGINNING + 2 * DAY
#: What our task is about to do when the other one lands: an operation on the store, and the key.
MOMENTS = {
    "before the commit": ("read", MANIFEST),
    "before the manifest": ("look", MANIFEST),
    "while the manifest is swapped": ("swap", MANIFEST),
    "while latest.json is swapped": ("swap", LATEST),
}


class BusyStore(Store):
    """A store in which something happens just before an operation on an object."""

    moment: tuple[str, str] | None = None
    happens: Callable[[], object]

    def _reach(self, operation: str, key: str) -> None:
        if (operation, key) == self.moment:
            self.moment = None
            self.happens()

    def read(self, key: str, limit: int = 2**23) -> bytes | None:
        self._reach("read", key)
        body = super().read(key, limit)
        self._reach("has read", key)
        return body

    def look(self, key: str) -> ObjectState | None:
        self._reach("look", key)
        return super().look(key)

    def swap(self, file: Path, key: str, expected: ObjectState | None) -> None:
        self._reach("swap", key)
        super().swap(file, key, expected)


@pytest.fixture(params=[pytest.param(kind, marks=[pytest.mark.slow] * (kind != "delta")) for kind in HERE])
def lake(request: pytest.FixtureRequest, tmp_path: Path, iceberg_rest: str | None) -> Lake:
    """A destination in which nothing has landed."""
    return FORMATS[request.param](tmp_path / "lake")


class Ours:
    """Our task, which lands plan `a`."""

    def __init__(self, lake: Lake, directory: Path) -> None:
        self._lake, self._directory = lake, directory
        self.pauses = Pauses()

    def land(self, moment: tuple[str, str], happens: Callable[[], object]) -> Manifest:
        """Land while something happens."""
        sink = self._lake.sink()
        sink.store = store = BusyStore(self._lake.store().fs, str(self._lake.root))
        file = items_file(self._directory, "a", [item("ours-1"), item("ours-2")])
        with sink.begin(self.pauses) as commit:  # type: ignore[arg-type]  # it has the same methods
            commit.add(snapshot_of(sink, file, "a", "monday", NOW), [file])
            store.moment, store.happens = moment, happens
            try:
                [manifest] = commit.finish()
            finally:
                assert store.moment is None, "the moment has come"
        return manifest


@pytest.fixture
def ours(lake: Lake, tmp_path: Path) -> Ours:
    """Our task; another one has landed before."""
    land(lake.sink(), tmp_path, {"a": ["before"], "c": ["before"]}, read_at=BEGINNING)
    return Ours(lake, tmp_path)


def check(lake: Lake, directory: Path, *rows: tuple[str, str]) -> None:
    """The label has these rows, its manifests are theirs, and the latest one of each plan is it."""
    assert lake.ids() == [("monday", *row) for row in rows]
    sink = lake.sink()
    manifests = list(sink.manifests())
    assert [manifest["plan_id"] for manifest in manifests] == sorted({plan_id for plan_id, _ in rows})
    for manifest in manifests:
        assert problems(sink, manifest, directory) == []
        assert sink.latest(manifest["plan_id"]) == manifest
    assert list(sink.orphans()) == []


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_another_plan_of_the_label_lands_as_well(lake: Lake, ours: Ours, tmp_path: Path, moment: Any) -> None:
    """In the same tables, and in the place of what both have found there: nothing is lost."""
    ours.land(moment, lambda: land(lake.sink(), tmp_path, {"b": ["theirs"], "c": ["theirs"]}, read_at=NOW))
    check(lake, tmp_path, ("a", "ours-1"), ("a", "ours-2"), ("b", "theirs"), ("c", "theirs"))


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_an_earlier_read_of_the_plan_loses(lake: Lake, ours: Ours, tmp_path: Path, moment: Any) -> None:
    """Whoever commits last: ours is read later, so it stays, and none but ours is described."""

    def happen() -> None:
        with suppress(AchieveItOutdatedError):  # where our manifest is there already
            land(lake.sink(), tmp_path, {"a": ["theirs"]}, read_at=NOW - DAY)

    manifest = ours.land(moment, happen)
    check(lake, tmp_path, ("a", "ours-1"), ("a", "ours-2"), ("c", "before"))
    assert lake.sink().landed("a", "monday") == manifest


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_a_later_read_of_the_plan_wins(lake: Lake, ours: Ours, tmp_path: Path, moment: Any) -> None:
    """Ours is told that it is outdated, unless it had landed before; what is there is theirs alone."""

    def happen() -> None:
        land(lake.sink(), tmp_path, {"a": ["theirs"]}, read_at=NOW + DAY)

    if moment[1] == LATEST:
        ours.land(moment, happen)
    else:
        with pytest.raises(AchieveItOutdatedError, match="another export has landed there"):
            ours.land(moment, happen)
    check(lake, tmp_path, ("a", "theirs"), ("c", "before"))


def test_a_later_read_wins_whose_rows_were_there_before_its_manifest(lake: Lake, ours: Ours, tmp_path: Path) -> None:
    """Theirs are committed; ours look for manifests and find an old one; theirs write theirs; ours are committed.

    So ours stand in the place of theirs when they learn that they are outdated, and give the place back.
    """
    committed, looked = Event(), Event()

    def wait_for_ours() -> None:
        committed.set()
        assert looked.wait(60)

    def land_theirs() -> None:
        sink = lake.sink()
        sink.store = store = BusyStore(lake.store().fs, str(lake.root))
        store.moment, store.happens = ("look", MANIFEST), wait_for_ours
        land(sink, tmp_path, {"a": ["theirs-1", "theirs-2"], "c": ["theirs"]}, read_at=NOW + DAY)

    with ThreadPoolExecutor(1) as thread:
        theirs = thread.submit(land_theirs)
        assert committed.wait(60)

        def let_theirs_go_on() -> None:
            looked.set()
            theirs.result()

        with pytest.raises(AchieveItOutdatedError, match="another export has landed there"):
            ours.land(("has read", MANIFEST), let_theirs_go_on)
    check(lake, tmp_path, ("a", "theirs-1"), ("a", "theirs-2"), ("c", "theirs"))


def test_a_later_read_keeps_a_table_that_ours_does_not_have(lake: Lake, ours: Ours, tmp_path: Path) -> None:
    """Ours removes the rows of an earlier read from it, and theirs have landed there just before."""
    member = {"plan_id": "a", "item_id": "1", "position": 0, "id": "m", "name": "M", "type": "User"}
    derived = {"a": {"plan_item_members": [member, member]}}
    land(lake.sink(), tmp_path, {"a": ["before"]}, read_at=BEGINNING + DAY, derived=derived)
    ours.land(
        ("swap", LATEST), lambda: land(lake.sink(), tmp_path, {"a": ["theirs"]}, read_at=NOW + DAY, derived=derived)
    )
    assert lake.table("plan_item_members").num_rows == 2
    check(lake, tmp_path, ("a", "theirs"), ("c", "before"))
