"""The documentation is complete, and its links lead somewhere."""

from __future__ import annotations

import inspect
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_achieveit.get_provider_info import conn_fields, get_provider_info
from airflow_provider_achieveit.lake.schema import PLAN_ITEMS
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.sensors.achieveit import AchieveItPlanChangeSensor
from airflow_provider_achieveit.triggers.achieveit import AchieveItPlanChangeTrigger
from tests.operators.test_export import KEYS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SOURCE = "https://github.com/airflow-provider-achieveit/airflow-provider-achieveit/blob/main/"
RAW = "https://raw.githubusercontent.com/airflow-provider-achieveit/airflow-provider-achieveit/main/"
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def first_cells(page: str) -> list[str]:
    """Everything in backticks in the first cells of a page's tables."""
    return [
        name
        for line in (ROOT / "docs" / page).read_text().splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]


def arguments(kind: type) -> list[str]:
    """The arguments of a class, without those that Airflow's base classes take."""
    return [name for name in inspect.signature(kind).parameters if name != "kwargs"]


def test_every_extra_of_the_connection_is_explained() -> None:
    """With its default, where it has one."""
    assert sorted(first_cells("connection.md")) == sorted(conn_fields())


def test_every_argument_of_the_operator_is_explained() -> None:
    """In the order in which the operator has them."""
    assert first_cells("operator.md") == arguments(AchieveItExportOperator)


def test_every_key_of_the_manifest_is_named() -> None:
    """What a task returns is the interface of whatever comes after it."""
    assert sorted(first_cells("manifest.md")) == sorted(KEYS)


def test_every_column_is_listed_with_its_type() -> None:
    """As pyarrow spells the type, but for the names of list elements."""
    shown = {}
    for line in (ROOT / "docs/columns.md").read_text().splitlines():
        if line.startswith("| `"):
            columns, kind = line.strip("| ").split(" | ")
            for column in re.findall(r"`([^`]+)`", columns):
                shown[column] = re.findall(r"`([^`]+)`", kind)[0]
    real = {field.name: str(field.type).replace("tz=UTC", "UTC").replace("item: ", "") for field in PLAN_ITEMS}
    assert shown == real


@pytest.mark.parametrize("kind", [AchieveItPlanChangeSensor, AchieveItPlanChangeTrigger])
def test_every_argument_of_sensor_and_trigger_is_in_their_docstring(kind: type) -> None:
    """From there it comes into the Python reference."""
    text = inspect.getdoc(kind) or ""
    assert [name for name in arguments(kind) if f"{name}:" not in text] == []


def test_everything_public_is_in_the_reference() -> None:
    """What a DAG imports, and the classes that the front doors of `api` and `lake` hand out."""
    text = (ROOT / "docs/reference.md").read_text()
    shown = re.findall(r"^::: airflow_provider_achieveit\.([\w.]+)$", text, re.MULTILINE)
    modules = {module for info in get_provider_info().values() if isinstance(info, list) for module in named(info)}
    assert [module for module in sorted(modules) if not any(name.startswith(module) for name in shown)] == []


def named(info: list[Any]) -> Iterator[str]:
    """The modules of ours that a part of the provider's description names."""
    for entry in info:
        if isinstance(entry, dict):
            yield from (
                module.removeprefix("airflow_provider_achieveit.") for module in entry.get("python-modules", [])
            )


def test_every_page_is_in_the_navigation() -> None:
    """Once, and no other is."""
    text = (ROOT / "zensical.toml").read_text()
    assert sorted(re.findall(r'"([\w-]+\.md)"', text)) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a page, or by its full address to another file of the project."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if target.startswith((SOURCE, RAW)):
            assert (ROOT / target.removeprefix(SOURCE).removeprefix(RAW)).exists(), target
        else:
            assert target.startswith("https://") or (page.parent / target).exists(), target


def test_links_of_the_readme_work_on_pypi() -> None:
    """There it stands without the project around it."""
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith(("https://", "#")), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_leads_out_of_the_docs_by_a_relative_link(page: Path) -> None:
    """The site holds `docs/` alone."""
    assert "](../" not in page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    """A promise is as good as the test that tries to break it."""
    for target in re.findall(r"`((?:tests|benchmarks|example_dags|docs|constraints)/[\w./-]*)`", page.read_text()):
        assert (ROOT / target).exists(), target


def listed_targets() -> set[str]:
    """The targets that `make` lists."""
    listed = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"^  make ([\w-]+)", listed, re.MULTILINE))


def test_every_make_target_that_is_named_is_there() -> None:
    """As `make help` lists them."""
    pages = [*PAGES, ROOT / "CONTRIBUTING.md"]
    named = {name for page in pages for name in re.findall(r"(?:^|`)make ([\w-]+)", page.read_text(), re.MULTILINE)}
    assert {"demo", "test", "airflow"} <= named <= listed_targets()


def test_workflows_call_make_targets_that_are_there() -> None:
    """They can't run here, but what they call can."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
    targets = {*workflow["jobs"]["make"]["strategy"]["matrix"]["target"], "release-check"}
    assert targets <= listed_targets()
    supported = re.search(r"^AIRFLOWS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert supported is not None
    assert workflow["jobs"]["airflow"]["strategy"]["matrix"]["airflow"] == supported[1].split()
