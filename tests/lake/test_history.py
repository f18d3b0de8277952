"""The snapshot before: with what the changes of a snapshot are compared, whatever happened to the lake since."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.lake.layout import manifest_key, table_key
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plan
from airflow_provider_achieveit.lake.prune import remove_snapshot
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from airflow_provider_achieveit.lake.verify import verify

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.lake.sinks.object_state import ObjectState
    from tests.support.faulty_sandbox import Sandbox

PLAN = "p1"


class Lake:
    """A destination, the plan that lands there, and what its table of changes says."""

    def __init__(self, client: AchieveItClient, sandbox: Sandbox, root: Path) -> None:
        self.client, self.sandbox, self.plan, self.root = client, sandbox, sandbox.plan(PLAN), root
        self.sink = ParquetSink(Store(LocalFileSystem(), str(root)))

    def export(self, label: str, **options: Any) -> Any:
        """Export the plan, and return its manifest."""
        return export_plan(self.client, self.sink, PLAN, snapshot=label, options=ExportOptions(**options))

    def path(self, table: str, label: str) -> Path:
        """Return the path of a table's file."""
        return self.root / table_key(table, PLAN, label)

    def changes(self, label: str) -> list[dict[str, Any]]:
        """Return the rows of the changes, without the time."""
        rows = pq.ParquetFile(self.path("plan_item_changes", label)).read().to_pylist()
        return [{key: value for key, value in row.items() if key != "detected_at"} for row in rows]


@pytest.fixture
def lake(connect: Callable[..., AchieveItClient], sandbox: Sandbox, tmp_path: Path) -> Lake:
    """A local lake for the plan `p1` of 25 items, which fits on one page."""
    return Lake(connect(), sandbox, tmp_path / "lake")


def test_in_the_first_snapshot_all_items_are_added(lake: Lake) -> None:
    """There is nothing to compare with."""
    manifest = lake.export("a")
    assert (manifest["previous"], manifest["changes"]) == (None, {"added": 25, "removed": 0, "changed": 0})
    assert {(row["change"], row["from_snapshot"], row["to_snapshot"]) for row in lake.changes("a")} == {
        ("added", None, "a")
    }


def test_a_new_label_is_compared_with_the_latest_snapshot(lake: Lake) -> None:
    """The manifest names it, by its label and its content."""
    first = lake.export("a")
    lake.plan.edit(3, name="New")
    manifest = lake.export("b")
    assert manifest["previous"] == {"snapshot": "a", "content_hash": first["content_hash"], "rows": 25}
    assert manifest["changes"] == {"added": 0, "removed": 0, "changed": 1}
    (name,) = (row for row in lake.changes("b") if row["field"] == "name")
    assert (name["new_value"], name["from_snapshot"], name["to_snapshot"]) == ('"New"', "a", "b")


def test_exporting_a_label_again_gives_the_same_changes(lake: Lake) -> None:
    """It is compared with what it was compared with before, and not with itself."""
    lake.export("a")
    lake.plan.edit(3, name="New")
    first = lake.export("b")
    rows = lake.changes("b")
    again = lake.export("b")
    assert (again["previous"], again["changes"], lake.changes("b")) == (first["previous"], first["changes"], rows)


def test_replacing_a_label_that_is_not_the_latest_is_a_warning(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    """Today's values now stand under it, and what was compared with it no longer is."""
    lake.export("a")
    lake.export("b")
    caplog.clear()
    lake.export("b")
    assert "is replaced by today's values" not in caplog.text
    with caplog.at_level(logging.WARNING):
        lake.export("a")
    assert "snapshot a is replaced by today's values, although b landed after it" in caplog.text


def test_an_unproven_snapshot_tells_of_no_changes_and_is_nobodys_previous(lake: Lake, sandbox: Sandbox) -> None:
    """Its table of changes has no rows."""
    first = lake.export("a")
    sandbox.max_take = 10
    sandbox.before_request = lambda _: lake.plan.edit(0)
    unproven = lake.export("b", on_inconsistent="accept")
    assert (unproven["consistent"], unproven["changes"], lake.changes("b")) == (False, None, [])
    sandbox.before_request = None
    assert lake.export("c")["previous"] == {"snapshot": "a", "content_hash": first["content_hash"], "rows": 25}


@pytest.mark.parametrize("damage", ["gone", "cut", "another", "without its manifest", "other columns"])
def test_a_damaged_snapshot_is_passed_over_with_a_warning(
    lake: Lake, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """The nearest whole one behind it is compared with; its hash is what tells."""
    lake.export("a")
    lake.plan.edit(1, name="Second")
    lake.export("b")
    path = lake.path("plan_items", "b")
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "another":
        path.write_bytes(lake.path("plan_items", "a").read_bytes())
    elif damage == "without its manifest":
        (lake.root / manifest_key(PLAN, "b")).unlink()
        (lake.root / "_manifests" / f"plan={PLAN}" / "latest.json").unlink()
    else:
        table = pq.ParquetFile(path).read().drop_columns(["tags"])
        pq.write_table(table, path)
        _repair_hashes(lake, path)
    manifest = lake.export("c")
    if damage == "without its manifest":
        # Nothing says that there was anything before.
        assert manifest["previous"] is None
        return
    assert manifest["previous"]["snapshot"] == "a"
    assert manifest["changes"] == {"added": 0, "removed": 0, "changed": 1}
    assert "the one before it is taken" in caplog.text or "The snapshot before it is compared with" in caplog.text


def remove(lake: Lake, label: str) -> None:
    """Remove a snapshot that is not the latest, as pruning does."""
    remove_snapshot(lake.sink, PLAN, label)


def damage_manifest(lake: Lake, label: str) -> None:
    """Let something stand in the place of a manifest that is none."""
    (lake.root / manifest_key(PLAN, label)).write_text("{}")


def replace(lake: Lake, label: str) -> None:
    """Let today's values stand under an earlier label."""
    lake.plan.edit(9, name="Today")
    lake.export(label)


@pytest.mark.parametrize("lose", [remove, damage_manifest, replace])
def test_a_label_whose_previous_is_no_more_is_compared_with_what_was_read_before_it(
    lake: Lake, caplog: pytest.LogCaptureFixture, lose: Callable[[Lake, str], None]
) -> None:
    """Neither with what stands in its place, nor with what was read later; by the time of the read, not by label."""
    for position, label in enumerate(["x", "c", "m", "k", "e"]):
        lake.plan.edit(position, name=label)
        lake.export(label)
    lose(lake, "m")
    manifest = lake.export("k")
    assert manifest["previous"]["snapshot"] == "c"
    assert "snapshot m, with which k was compared, is gone or was replaced; the one before it is taken" in caplog.text
    assert lake.export("k")["previous"] == manifest["previous"]


class StaleStore(Store):
    """A store that lists a manifest which was removed meanwhile."""

    def find(self, prefix: str) -> Iterator[tuple[str, ObjectState]]:
        for key, state in super().find(prefix):
            yield key, state
            yield key.replace("snapshot=", "snapshot=removed-"), state


def test_a_manifest_that_is_removed_while_one_looks_for_it_is_passed_over(lake: Lake) -> None:
    """Somebody prunes the lake at the same time."""
    for label in ("x", "m", "k", "e"):
        lake.export(label)
    remove(lake, "m")
    lake.sink = ParquetSink(StaleStore(LocalFileSystem(), str(lake.root)))
    assert lake.export("k")["previous"]["snapshot"] == "x"
    assert [manifest["snapshot"] for manifest in lake.sink.manifests()] == ["e", "k", "x"]
    assert list(verify(lake.sink)) == []


def test_a_snapshot_without_changes_knows_nothing_of_what_was_before_it(lake: Lake) -> None:
    """It names the one before all the same; where none was named, the latest read before it counts."""
    lake.export("x", changes=False)
    lake.export("c", changes=False)
    path = lake.root / manifest_key(PLAN, "c")
    path.write_text(json.dumps({**json.loads(path.read_text()), "previous": None}))
    lake.export("e", changes=False)
    assert lake.export("c")["previous"]["snapshot"] == "x"
    assert lake.export("x")["previous"] is None


def test_a_label_that_landed_first_stays_the_first(lake: Lake) -> None:
    """Nothing was before it, whatever has landed since, and however often it is exported."""
    lake.export("m")
    lake.export("c")
    for _ in range(2):
        manifest = lake.export("m")
        assert (manifest["previous"], manifest["changes"]["added"]) == (None, 25)


class BusyStore(Store):
    """A store in which another export lands as soon as ours has read the snapshot before."""

    def __init__(self, root: Path, others: list[Callable[[], object]]) -> None:
        super().__init__(LocalFileSystem(), str(root))
        self.others, self.downloads = others, 0

    def download(self, key: str, into: Path) -> str | None:
        self.downloads += 1
        digest = super().download(key, into)
        if self.others:
            self.others.pop(0)()
        return digest


@pytest.mark.parametrize(("others", "downloads", "previous"), [(0, 1, "a"), (1, 2, "b0"), (2, 3, "b1"), (9, 3, "b1")])
def test_changes_are_made_anew_where_another_export_lands_meanwhile(
    lake: Lake, others: int, downloads: int, previous: str
) -> None:
    """They are those since the snapshot that is the latest just before ours lands; a few times, and not for ever."""
    lake.export("a")
    lake.plan.edit(3, name="Mine")
    other = Lake(lake.client, lake.sandbox, lake.root)
    store = BusyStore(lake.root, [partial(other.export, f"b{number}") for number in range(others)])
    lake.sink = ParquetSink(store)
    manifest = lake.export("c")
    assert manifest["previous"]["snapshot"] == previous
    assert manifest["changes"]["changed"] == (previous == "a")
    assert store.downloads == downloads


def _repair_hashes(lake: Lake, path: Path) -> None:
    """Let the manifests of `b` describe the file that is there now."""
    import hashlib

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for key in (manifest_key(PLAN, "b"), f"_manifests/plan={PLAN}/latest.json"):
        manifest = lake.root / key
        earlier = lake.sink.latest(PLAN)
        assert earlier is not None
        text = manifest.read_text().replace(earlier["content_hash"], digest)
        size = earlier["files"][0]["bytes"]
        manifest.write_text(text.replace(f'"bytes": {size}', f'"bytes": {path.stat().st_size}'))
