"""What the documentation shows runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import airflow.sdk
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api import ClientSettings
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake import ParquetSink, Store, export_plan
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.sandbox import DEMO_PLANS, Sandbox

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
#: `tests/queries` runs the blocks of the other pages.
PAGES = sorted(page.name for page in (ROOT / "docs").glob("*.md") if page.name != "queries.md")


def blocks(page: str) -> list[str]:
    """All Python of a page."""
    text = README if page == "README.md" else (ROOT / "docs" / page).read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The plans of the documentation, and the connection that leads to them."""
    with Sandbox(DEMO_PLANS) as sandbox:
        connection = {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key}
        monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", json.dumps(connection))
        yield sandbox


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_blocks_of_a_page_run_one_after_the_other(page: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """In a DAG file that has imported the usual names; what a page calls `plan_id` and so on is there."""
    plan_id, *others = sandbox.plans
    names: dict[str, Any] = {name: getattr(airflow.sdk, name) for name in ("DAG", "Asset", "AssetWatcher", "task")}
    names |= {"AchieveItExportOperator": AchieveItExportOperator, "hook": AchieveItHook()}
    names |= {"datetime": datetime, "UTC": UTC, "timedelta": timedelta}
    names |= {"plan_id": plan_id, "plan_ids": [plan_id], "strategy_plans": [plan_id], "operating_plans": others}
    names |= {"destination": tmp_path.as_uri(), "key": sandbox.key, "url": sandbox.url}
    names["sink"] = ParquetSink(Store(LocalFileSystem(), str(tmp_path / "lake")))
    for label in ("2024-11-02", "2024-11-03"):
        export_plan(names["hook"].get_conn(), names["sink"], plan_id, snapshot=label)
    for number, block in enumerate(blocks(page)):
        with airflow.sdk.DAG(f"block_{number}"):
            if "export.output" in block:
                partial = AchieveItExportOperator.partial(task_id="export", destination=tmp_path.as_uri())
                names["export"] = partial.expand(plan_id=[plan_id])
            exec(block.replace("/data/achieveit", str(tmp_path)).replace("/tmp/achieveit-lake", str(tmp_path)), names)


def test_the_tutorial_shows_what_an_edit_changes(sandbox: Sandbox, tmp_path: Path) -> None:
    """Two exports and the edit between them, with the answers that are shown."""
    first, second = (block for block in blocks("tutorial.md"))
    *setup, call = first.strip().splitlines()
    names: dict[str, Any] = {}
    # Two exports in one second would have one label.
    exec("\n".join(setup).replace("/tmp/achieveit-lake", str(tmp_path)).replace("%SZ", "%S.%fZ"), names)
    _, _, text = (ROOT / "docs/tutorial.md").read_text().partition("/_sandbox/plans/")
    plan_id, edit = re.match(r"([\w-]+)/edit -d '(.*)'", text).groups()  # type: ignore[union-attr]
    for number, line in enumerate((call, second.strip())):
        if number:
            arguments = json.loads(edit)
            sandbox.plan(plan_id).edit(arguments["item"], **arguments["fields"])
        expression, _, shown = line.partition("  # ")
        assert str(eval(expression, names)) == shown


def test_the_dag_that_is_shown_first_runs_on_the_sandbox_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight lines, of the README alone; only the lake lies elsewhere."""
    (block,) = blocks("README.md")
    assert len([line for line in block.splitlines() if line.strip()]) <= 8
    assert "file:///tmp/achieveit-lake" in block
    block = block.replace("file:///tmp/achieveit-lake", tmp_path.as_uri())
    names: dict[str, Any] = {}
    exec(re.sub(r"(with DAG\(.*\)):", r"\1 as dag:", block), names)
    with Sandbox(DEMO_PLANS) as sandbox:
        connection = {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key}
        monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", json.dumps(connection))
        manifests = names["dag"].get_task("export").execute({})
    assert {manifest["plan_id"]: manifest["rows"] for manifest in manifests}.items() <= DEMO_PLANS.items()
    assert all(Path(urlsplit(manifest["files"][0]["path"]).path).exists() for manifest in manifests)


def test_the_connections_that_are_shown_have_the_key_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """In both forms: a key that is not encoded in a URI would arrive as another one."""
    text = (ROOT / "docs/connection.md").read_text()
    shown = re.findall(r"^AIRFLOW_CONN_ACHIEVEIT_DEFAULT='(.*)'$", text, re.MULTILINE)
    assert len(shown) == 2
    assert all(line in README for line in shown)
    for connection in shown:
        monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", connection)
        key, settings = AchieveItHook()._client_arguments()
        assert f"for the key `{key}`" in text
        assert settings == ClientSettings(page_size=1000)


def test_labels_compare_as_text_as_the_page_says(tmp_path: Path) -> None:
    """Also where they look like dates or numbers."""
    line = next(line for line in (ROOT / "docs/labels.md").read_text().splitlines() if line.startswith("| pyarrow"))
    expression = re.findall(r"`partitioning=(.*)`", line)[0]
    for label in ("2026-11-25", "20261125", "2026-11-25T100000Z"):
        folder = tmp_path / f"plan_items/plan=17/snapshot={label}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"id": ["a"]}), folder / "plan_items.parquet")
    table = ds.dataset(tmp_path / "plan_items", partitioning=eval(expression, {"ds": ds, "pa": pa})).to_table()
    assert set(table.column("snapshot").to_pylist()) == {"2026-11-25", "20261125", "2026-11-25T100000Z"}
    assert set(table.column("plan").to_pylist()) == {"17"}
