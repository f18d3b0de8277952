"""The documentation is complete, and what it shows runs."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.get_provider_info import conn_fields
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.schema import PLAN_ITEMS
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.sandbox import DEMO_PLANS, Sandbox
from airflow_provider_achieveit.sensors.achieveit import AchieveItPlanChangeSensor
from airflow_provider_achieveit.triggers.achieveit import AchieveItPlanChangeTrigger
from tests.operators.test_export import KEYS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def section(title: str) -> str:
    """A section of the README, without its title."""
    _, _, rest = README.partition(f"\n### {title}\n")
    assert rest, title
    return rest.partition("\n### ")[0].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """Everything in backticks in the first cells of a section's tables."""
    return [
        name
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]


def arguments(kind: type) -> list[str]:
    """The arguments of a class, without those that Airflow's base classes take."""
    return [name for name in inspect.signature(kind).parameters if name != "kwargs"]


def test_every_extra_of_the_connection_is_explained() -> None:
    """With its default, where it has one."""
    text = section("The connection")
    assert sorted(first_cells(text)) == sorted(conn_fields())


def test_every_argument_of_the_operator_is_explained() -> None:
    """In the order in which the operator has them."""
    assert first_cells(section("The operator")) == arguments(AchieveItExportOperator)


def test_every_key_of_the_manifest_is_named() -> None:
    """What a task returns is the interface of whatever comes after it."""
    text = section("What lands")
    assert [key for key in KEYS if f"`{key}`" not in text] == []


def test_every_column_is_listed_with_its_type() -> None:
    """As pyarrow spells the type, but for the names of list elements."""
    shown = {}
    for line in section("What lands").splitlines():
        if line.startswith("| `"):
            columns, kind = line.strip("| ").split(" | ")
            for column in re.findall(r"`([^`]+)`", columns):
                shown[column] = re.findall(r"`([^`]+)`", kind)[0]
    real = {field.name: str(field.type).replace("tz=UTC", "UTC").replace("item: ", "") for field in PLAN_ITEMS}
    assert shown == real


@pytest.mark.parametrize("kind", [AchieveItPlanChangeSensor, AchieveItPlanChangeTrigger])
def test_every_argument_of_sensor_and_trigger_is_in_their_docstring(kind: type) -> None:
    """The README shows only the common ones."""
    text = inspect.getdoc(kind) or ""
    assert [name for name in arguments(kind) if f"{name}:" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the project, where it is no address."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    """A promise is as good as the test that tries to break it."""
    for target in re.findall(r"`((?:tests|benchmarks|example_dags|docs|constraints)/[\w./-]*)`", page.read_text()):
        assert (ROOT / target).exists(), target


def test_every_make_target_that_is_named_is_there() -> None:
    """As `make help` lists them."""
    listed = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    targets = set(re.findall(r"^  make ([\w-]+)", listed, re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([\w-]+)", page.read_text(), re.MULTILINE)}
    assert {"demo", "test", "airflow"} <= named <= targets


def blocks() -> list[tuple[str, str]]:
    """All Python of the documentation."""
    return [
        (f"{page.name}-{number}", block)
        for page in PAGES
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
    ]


@pytest.mark.parametrize("block", [block for _, block in blocks()], ids=[name for name, _ in blocks()])
def test_python_that_is_shown_is_python(block: str) -> None:
    """Whoever copies it gets no syntax error."""
    compile(block, "block", "exec")


def test_the_dag_that_is_shown_first_runs_on_the_sandbox_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight lines, of the README alone; only the lake lies elsewhere."""
    block = next(block for _, block in blocks() if "plans_to_lake" in block)
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
    text = section("The connection")
    shown = re.findall(r"^AIRFLOW_CONN_ACHIEVEIT_DEFAULT='(.*)'$", text, re.MULTILINE)
    assert len(shown) == 2
    for connection in shown:
        monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", connection)
        key, settings = AchieveItHook().client_arguments()
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
