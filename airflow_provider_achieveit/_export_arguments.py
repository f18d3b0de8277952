"""The arguments of the export operator once they are rendered, checked like values that stand in the DAG file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import partial
from typing import Any, get_args

from airflow_provider_achieveit import _templates as templates
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.layout import make_label
from airflow_provider_achieveit.lake.options import ExportOptions, OnPlanFailure, TableFormat, require_format

OPTIONS = tuple(option.name for option in fields(ExportOptions))

#: How each argument is read once it is rendered; the options are read together.
READERS: dict[str, Callable[[Any], Any]] = {
    "destination": partial(templates.text, "destination"),
    "achieveit_conn_id": partial(templates.text, "achieveit_conn_id", default=AchieveItHook.default_conn_name),
    "snapshot": partial(templates.optional_text, "snapshot"),
    "table_format": partial(templates.choice, "table_format", choices=get_args(TableFormat), default="parquet"),
    "iceberg_conn_id": partial(templates.text, "iceberg_conn_id", default="iceberg_default"),
    "iceberg_namespace": partial(templates.text, "iceberg_namespace", default="achieveit"),
    "on_plan_failure": partial(templates.choice, "on_plan_failure", choices=get_args(OnPlanFailure), default="fail"),
}

#: Of use only for Iceberg.
_CATALOG = ("iceberg_conn_id", "iceberg_namespace")


@dataclass(frozen=True)
class ExportArguments:
    """What the operator was asked for; its docstring says what each argument means."""

    plan_ids: list[str]
    destination: str
    destination_conn_id: str | None
    achieveit_conn_id: str
    snapshot: str | None
    table_format: TableFormat
    iceberg_conn_id: str
    iceberg_namespace: str
    on_plan_failure: OnPlanFailure
    options: ExportOptions


def read_arguments(values: Mapping[str, Any], given: Collection[str]) -> ExportArguments:
    """Read the rendered arguments.

    Args:
        values: All arguments, rendered.
        given: Names of those that were given before they were rendered.

    Raises:
        AchieveItConfigError: One cannot be used.
    """
    known = {name: read(values[name]) for name, read in READERS.items()}
    _check_format(known)
    return ExportArguments(
        plan_ids=_plan_ids(values, given),
        destination_conn_id=templates.destination_conn_id(
            values["destination_conn_id"], given="destination_conn_id" in given
        ),
        options=ExportOptions(**{name: templates.rendered(name, values[name]) for name in OPTIONS}),
        **known,
    )


def check_constants(values: Mapping[str, Any], given: Collection[str]) -> None:
    """Check what is known when the DAG file is parsed; the rest is checked when the task runs.

    Args:
        values: All arguments, as they were given.
        given: Names of those that are not None.

    Raises:
        AchieveItConfigError: An argument that is not a template cannot be used.
    """
    constants = {name: value for name, value in values.items() if not templates.is_template(value)}
    if ("plan_id" in given) == ("plan_ids" in given):
        raise AchieveItConfigError(
            f"plan_id {shown(values['plan_id'])} and plan_ids {shown(values['plan_ids'])}: give exactly one of the two"
        )
    if ("plan_ids" if "plan_ids" in given else "plan_id") in constants:
        _plan_ids(values, given)
    known = {name: read(constants[name]) for name, read in READERS.items() if name in constants}
    if "table_format" in known:
        _check_format(known)
    if "snapshot" in constants:
        make_label(templates.optional_text("snapshot", constants["snapshot"]), datetime.now(UTC))
    ExportOptions(**{name: constants[name] for name in OPTIONS if name in constants})


def _check_format(known: Mapping[str, Any]) -> None:
    """Make sure that the table format can be written, and that no argument is given which it has no use for."""
    table_format = known["table_format"]
    for name in _CATALOG if table_format != "iceberg" else ():
        if name in known and known[name] != READERS[name](None):
            what = f"{name} {shown(known[name])} is for table_format 'iceberg', but table_format is {table_format!r}"
            raise AchieveItConfigError(f"{what}: leave {name} out, or choose 'iceberg'")
    require_format(table_format)


def _plan_ids(values: Mapping[str, Any], given: Collection[str]) -> list[str]:
    return templates.plan_ids(values["plan_ids"]) if "plan_ids" in given else [templates.plan_id(values["plan_id"])]
