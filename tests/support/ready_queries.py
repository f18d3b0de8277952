"""The queries of docs/queries.md, and a lake in which each of them has an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plans
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from airflow_provider_achieveit.sandbox import Sandbox

Row = dict[str, Any]

PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text()


def _sections() -> dict[str, dict[str, str]]:
    """The code of each section, by language."""
    found = {}
    for section in PAGE.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        found[title] = dict(re.findall(r"```(sql|python|sql spark)\n(.*?)```", text, re.DOTALL))
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
            connection.execute(self.here(SETUP["sql"]))
            cursor = connection.execute(self.here(SECTIONS[title]["sql"]))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def polars(self, title: str) -> list[Row]:
        """The rows that a section's Polars gives."""
        names: dict[str, Any] = {}
        exec(self.here(SETUP["python"] + SECTIONS[title]["python"]), names)
        rows: list[Row] = names["result"].to_dicts()
        return rows

    def here(self, code: str) -> str:
        """Code of the page for this lake."""
        return code.replace("/data/lake", str(self.root))


def make_lake(root: Path) -> Lake:
    """Land three plans on up to three days: items slip, change hands, are renamed, dropped and come back."""
    with Sandbox({"alpha": 40, "beta": 12, "none": 0}) as sandbox:
        client = AchieveItClient(sandbox.key, ClientSettings(base_url=sandbox.url))
        sink = ParquetSink(Store(LocalFileSystem(), str(root)))

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
