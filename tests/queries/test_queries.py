"""The queries of docs/queries.md, in DuckDB and in Polars, on a lake that real exports made."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plans
from airflow_provider_achieveit.sandbox import Sandbox
from tests.lake.stores import LocalStores

if TYPE_CHECKING:
    from collections.abc import Callable

    Row = dict[str, Any]

PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text()


def _sections() -> dict[str, dict[str, str]]:
    """The code of each section, by language."""
    found = {}
    for section in PAGE.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        found[title] = dict(re.findall(r"```(sql|python)\n(.*?)```", text, re.DOTALL))
    return found


SECTIONS = _sections()
SETUP = SECTIONS.pop("Setup")
QUERIES = [title for title, code in SECTIONS.items() if "sql" in code]


@dataclass
class Lake:
    """A lake, and what its people did.

    Attributes:
        root: Where it lies.
        items: The items that were touched, as they were on 2026-11-02.
    """

    root: Path
    items: dict[str, Row]

    def duckdb(self, title: str) -> list[Row]:
        """The rows that a section's SQL gives."""
        with duckdb.connect() as connection:
            connection.execute("set timezone='UTC'")
            connection.execute(self._here(SETUP["sql"]))
            cursor = connection.execute(self._here(SECTIONS[title]["sql"]))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def polars(self, title: str) -> list[Row]:
        """The rows that a section's Polars gives."""
        names: dict[str, Any] = {}
        exec(self._here(SETUP["python"] + SECTIONS[title]["python"]), names)
        rows: list[Row] = names["result"].to_dicts()
        return rows

    def _here(self, code: str) -> str:
        return code.replace("/data/lake", str(self.root))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Three plans on up to three days: items slip, change hands, are renamed, dropped and come back."""
    root = tmp_path_factory.mktemp("queries")
    with Sandbox({"alpha": 40, "beta": 12, "none": 0}) as sandbox:
        client = AchieveItClient(sandbox.key, ClientSettings(base_url=sandbox.url))
        sink = LocalStores(root).sink()

        def land(label: str, *plans: str) -> None:
            report = export_plans(client, sink, plans, snapshot=label, options=ExportOptions())
            assert not report.failures

        alpha = sandbox.plans["alpha"]
        alpha.edit(0, due="2026-12-01T00:00:00Z")
        touched = dict(zip(("slips", "changes hands", "has entities", "is dropped"), alpha.items(), strict=False))
        land("2026-11-02", "alpha", "beta", "none")
        alpha.edit(touched["slips"]["id"], due="2026-12-31T00:00:00Z")
        alpha.edit(touched["changes hands"]["id"], assignedToId="ada", assignedToFullName="Ada")
        land("2026-11-03", "alpha")
        alpha.edit(touched["has entities"]["id"], name="R&amp;D &lt;new&gt; &amp;lt;")
        alpha.delete(touched["is dropped"]["id"])
        land("2026-11-05", "alpha", "none")
        client.close()
    (root / "plan_items/plan=alpha/snapshot=2026-11-06").mkdir()
    torn = root / "plan_items/plan=alpha/snapshot=2026-11-06/plan_items.parquet"
    torn.write_bytes((root / "plan_items/plan=alpha/snapshot=2026-11-03/plan_items.parquet").read_bytes())
    return Lake(root, touched)


def comparable(rows: list[Row]) -> list[str]:
    """Rows in an order of their own, with dates as text."""
    return sorted(repr(sorted((name, str(value)) for name, value in row.items())) for row in rows)


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


def test_names_lose_their_entities_once(ask: Callable[[str], list[Row]], lake: Lake) -> None:
    """What was escaped twice stays escaped once."""
    names = {row["id"]: row["name"] for row in ask("Names without")}
    assert names[lake.items["has entities"]["id"]] == "R&D <new> &lt;"
