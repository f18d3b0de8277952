"""The queries of docs/queries.md, in DuckDB and in Polars, on a lake that real exports made."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.ready_queries import QUERIES, Lake, comparable, make_lake

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.ready_queries import Row


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake in which each query has an answer."""
    return make_lake(tmp_path_factory.mktemp("queries"))


@pytest.mark.parametrize("title", QUERIES)
def test_both_engines_give_the_same_rows(lake: Lake, title: str) -> None:
    """And some at all: every query has an answer in this lake."""
    rows = lake.duckdb(title)
    assert rows
    assert comparable(rows) == comparable(lake.polars(title))


@pytest.fixture
def ask(lake: Lake) -> Callable[[str], list[Row]]:
    """Runs the one query whose title begins so."""

    def ask(beginning: str) -> list[Row]:
        [title] = [title for title in QUERIES if title.startswith(beginning)]
        return lake.duckdb(title)

    return ask


def test_the_current_state_is_that_of_the_latest_manifests(ask: Callable[[str], list[Row]], lake: Lake) -> None:
    """Not of a file without a manifest, and of a plan that did not land lately its last state."""
    rows = ask("The current state")
    assert len(rows) == 39 + 12
    assert {row["plan_id"] for row in ask("Which plans")} == {"alpha", "beta", "none"}
    assert [row["name"] for row in rows if row["id"] == lake.items["has entities"]["id"]] == [
        "R&amp;D &lt;new&gt; &amp;lt;"
    ]


def test_a_day_without_a_snapshot_has_the_state_before_it(ask: Callable[[str], list[Row]]) -> None:
    """On 2026-11-04 nothing landed: alpha is as on the 3rd, beta as on the 2nd; a day's own state has alpha alone."""
    assert len(ask("The state as of")) == 40 + 12
    assert {row["plan_id"] for row in ask("A day's own")} == {"alpha"}


def test_what_people_did_is_told(ask: Callable[[str], list[Row]], lake: Lake) -> None:
    """One due date slipped by 30 days, one item changed hands, one was dropped."""
    slips, hands, dropped = (lake.items[name] for name in ("slips", "changes hands", "is dropped"))
    [slipped] = ask("Slipped")
    assert slipped == {"plan_id": "alpha", "item_name": slips["name"], "to_snapshot": "2026-11-03", "days": 30}
    owners = {row["id"]: (row["owner"], row["since"]) for row in ask("Who owns")}
    assert owners[hands["id"]] == ("Ada", "2026-11-03")
    assert owners[slips["id"]] == (slips["assignedToFullName"], "2026-11-02")
    [row] = ask("What was dropped")
    assert (row["id"], row["name"], row["to_snapshot"]) == (dropped["id"], dropped["name"], "2026-11-05")
    history = {(row["to_snapshot"], row["field"]) for row in ask("History")}
    assert {("2026-11-02", None), ("2026-11-03", "due")} <= history


def test_every_label_counts_every_plan(ask: Callable[[str], list[Row]]) -> None:
    """Also those that did not land under it."""
    items: Counter[str] = Counter()
    for row in ask("Status over time, all"):
        items[row["snapshot"]] += row["items"]
    assert items == {"2026-11-02": 40 + 12, "2026-11-03": 40 + 12, "2026-11-05": 39 + 12}


def test_the_week_counts_each_edited_item_once(ask: Callable[[str], list[Row]]) -> None:
    """What a plan's first snapshot holds is nothing that changed."""
    [alpha] = ask("What changed in the last")
    counts = {"added": 0, "removed": 1, "edited": 3, "status_moved": 0, "slipped": 1, "reassigned": 1}
    assert alpha == {"plan_id": "alpha", **counts}


def test_the_week_ends_with_the_newest_snapshot(lake: Lake, tmp_path: Path) -> None:
    """Eight days later a plan that is still exported has changed nothing, and the others are old."""
    later = Lake(Path(shutil.copytree(lake.root, tmp_path / "later")), lake.items)
    path = later.root / "_manifests/plan=none/latest.json"
    manifest = json.loads(path.read_bytes())
    moment = datetime.fromisoformat(manifest["version_read_at"]) + timedelta(days=8)
    path.write_text(json.dumps({**manifest, "version_read_at": moment.isoformat()}))
    for engine in (later.duckdb, later.polars):
        assert engine("What changed in the last seven days") == []
        plans = engine("Which plans there are, and which have not been exported for a week")
        assert {row["plan_id"]: row["is_old"] for row in plans} == {"alpha": True, "beta": True, "none": False}


def test_scd2_rows_follow_each_other(ask: Callable[[str], list[Row]], lake: Lake) -> None:
    """What changed has two rows, what was dropped ends, what never changed has one."""
    rows = ask("Slowly")

    def ends(name: str) -> list[tuple[str, str | None]]:
        found = [row for row in rows if row["id"] == lake.items[name]["id"]]
        return sorted((row["valid_from"], row["valid_to"]) for row in found)

    assert ends("slips") == [("2026-11-02", "2026-11-03"), ("2026-11-03", None)]
    assert ends("has entities") == [("2026-11-02", "2026-11-05"), ("2026-11-05", None)]
    assert ends("is dropped") == [("2026-11-02", "2026-11-05")]
    assert len(rows) == 40 + 12 + 3


def test_the_tree_has_every_item_of_a_proven_plan(ask: Callable[[str], list[Row]]) -> None:
    """Each but the roots has a parent one level above, and its path ends with its name."""
    rows = {row["id"]: row for row in ask("The tree")}
    assert len(rows) == 39 + 12
    for row in rows.values():
        if row["depth"] > 1:
            assert row["path"].startswith(f"{rows[row['parent_id']]['path']} / ")
        else:
            assert row["parent_id"] is None


@pytest.mark.parametrize("numbers", [("1", "1"), ("1", "99.1"), ("1", "A")], ids=["repeated", "no parent", "no number"])
def test_the_tree_leaves_out_a_plan_that_proves_none(lake: Lake, tmp_path: Path, numbers: tuple[str, str]) -> None:
    """A plan whose numbers are no outline is left out as a whole; the others stay."""
    odd = Lake(Path(shutil.copytree(lake.root, tmp_path / "odd")), lake.items)
    file = odd.root / "plan_items/plan=beta/snapshot=2026-11-02/plan_items.parquet"
    table = pq.ParquetFile(file).read()
    index = table.schema.get_field_index("sequence_id")
    column = pa.array([*numbers, *(str(number) for number in range(2, table.num_rows))])
    pq.write_table(table.set_column(index, table.schema.field(index), column), file)
    for engine in (odd.duckdb, odd.polars):
        assert {row["plan_id"] for row in engine("The tree, where outline numbers prove it")} == {"alpha"}


def test_names_lose_their_entities_once(ask: Callable[[str], list[Row]], lake: Lake) -> None:
    """What was escaped twice stays escaped once."""
    names = {row["id"]: row["name"] for row in ask("Names without")}
    assert names[lake.items["has entities"]["id"]] == "R&D <new> &lt;"
