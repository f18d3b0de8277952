"""The operator's arguments: all are templates, and keep what they were given until they are rendered."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, AssetAlias, ObjectStoragePath, task
from jinja2 import Environment, StrictUndefined
from jinja2.nativetypes import NativeEnvironment

from airflow_provider_achieveit._assets import LANDED_PLANS, MAP_INDEX_TEMPLATE
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

FIELDS = AchieveItExportOperator.template_fields
ALIAS = AssetAlias(LANDED_PLANS)
PLACE = {"task_id": "export", "plan_id": "p1", "destination": "file:///lake"}


@task
def upstream() -> list[str]:
    """Give something."""
    return []


def test_every_argument_is_a_template() -> None:
    """But for the task's id, and what Airflow's base class takes."""
    parameters = inspect.signature(AchieveItExportOperator).parameters
    assert set(FIELDS) == set(parameters) - {"kwargs"}


def test_the_options_have_the_defaults_that_the_operator_shows() -> None:
    """An IDE shows the operator's signature, the lake uses its own."""
    parameters = inspect.signature(AchieveItExportOperator).parameters
    assert {name: parameters[name].default for name in vars(ExportOptions())} == vars(ExportOptions())


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("kind", ["output", "map", "item", "param", "jinja"])
def test_a_template_field_is_kept_as_given(field: str, kind: str) -> None:
    """Text made of another task's output would lose the edge to that task."""
    with DAG("dag", params={"x": "1"}) as dag:
        given = {
            "output": upstream,
            "map": lambda: upstream().map(str),
            "item": lambda: upstream()["x"],
            "param": lambda: dag.param("x"),
            "jinja": lambda: "{{ params.x }}",
        }[kind]()
        others = {"plan_id": None} if field == "plan_ids" else {}
        operator = AchieveItExportOperator(**{**PLACE, **others, field: given})
    assert getattr(operator, field) is given
    assert operator.upstream_task_ids == ({"upstream"} if kind in ("output", "map", "item") else set())


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (lambda: ObjectStoragePath("s3://b/{{ params.x }}", conn_id="aws_path"), "s3://aws_path@b/{{ params.x }}"),
        (lambda: ObjectStoragePath("s3://aws_path@bucket/x"), "s3://aws_path@bucket/x"),
        (lambda: ObjectStoragePath("s3://bucket/x"), "s3://bucket/x"),
        (lambda: ObjectStoragePath("/lake"), "/lake"),
    ],
)  # fmt: skip
def test_a_path_keeps_its_connection(path: Any, text: str) -> None:
    """Copies of an `ObjectStoragePath` lose it; its text has it."""
    assert AchieveItExportOperator(**{**PLACE, "destination": path()}).destination == text


@pytest.mark.parametrize(
    ("text", "conn_id"), [("{{ params.lake }}", "aws_path"), ("{{ params.lake }}", None), ("/lake", "x")]
)
def test_a_path_whose_connection_would_be_lost_is_refused(text: str, conn_id: str | None) -> None:
    """Another identity would write, or into another place."""
    path = ObjectStoragePath(text, conn_id=conn_id)
    with pytest.raises(AchieveItConfigError, match="give the text of the path, and its connection"):
        AchieveItExportOperator(**{**PLACE, "destination": path})


@pytest.mark.parametrize("outlets", [None, [Asset("mine")], Asset("mine")])
def test_an_export_is_a_producer_through_its_alias(outlets: Any) -> None:
    """A mapped one as well, in the DAG and as the single task that runs."""
    given = {} if outlets is None else {"outlets": outlets}
    expected = [*([] if outlets is None else [Asset("mine")]), ALIAS]
    with DAG("dag"):
        single = AchieveItExportOperator(**{**PLACE, "task_id": "single"}, **given)
        mapped = AchieveItExportOperator.partial(task_id="m", destination="file:///lake", **given).expand(
            plan_id=["p1"]
        )
    assert single.outlets == mapped.outlets == mapped.unmap({"plan_id": "p1"}).outlets == expected


def test_default_outlets_stay() -> None:
    """Those of the DAG's `default_args` are producers as well."""
    with DAG("dag", default_args={"outlets": [Asset("mine")]}):
        mapped = AchieveItExportOperator.partial(task_id="mapped", destination="file:///lake").expand(plan_id=["p1"])
    assert mapped.outlets == [Asset("mine"), ALIAS]


@pytest.mark.parametrize(("given", "used"), [({}, MAP_INDEX_TEMPLATE), ({"map_index_template": "mine"}, "mine")])
def test_a_mapped_export_is_shown_by_its_plan(given: dict[str, str], used: str) -> None:
    """Unless the DAG says otherwise."""
    with DAG("dag"):
        mapped = AchieveItExportOperator.partial(task_id="m", destination="file:///lake", **given).expand(
            plan_id=["p1"]
        )
    assert mapped.map_index_template == used


@pytest.mark.parametrize("environment", [Environment, NativeEnvironment])
@pytest.mark.parametrize("name", ["2026", "-", "[1]", "'x'", "# x", "(1)", "1 +", "x" * 500, "if", "\\"])
def test_what_is_shown_is_short_text_whatever_the_plan_is_called(environment: type[Environment], name: str) -> None:
    """Airflow fails a task, its work done, whose shown name is a number, a list or longer than 250 characters."""
    template = environment(undefined=StrictUndefined).from_string(MAP_INDEX_TEMPLATE)
    task = SimpleNamespace(plan_id=None, plan_ids=[name] * 9)
    for known in ({}, {"achieveit_plan_name": name}):
        shown = template.render(task=task, **known)
        assert isinstance(shown, str)
        assert len(shown) <= 250
