"""Options of an export. Imports nothing heavy: DAG files are parsed every few seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal, get_args

from airflow_provider_achieveit.api import validate
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.plan_version import parse_timestamp
from airflow_provider_achieveit.api.validate import shown

Detect = Literal["version", "content"]
IfUnchanged = Literal["export", "skip"]
OnDrift = Literal["auto", "rescue", "fail"]
OnInconsistent = Literal["fail", "accept"]
OnPlanFailure = Literal["fail", "warn"]
Tables = Literal["nested", "normalized"]
TableFormat = Literal["parquet", "delta", "iceberg"]


#: The packages of each table format, by the name of our extra.
_FORMAT_PACKAGES = {"delta": ("deltalake",), "iceberg": ("pyiceberg", "airflow.providers.apache.iceberg")}


def require_format(table_format: str) -> None:
    """Make sure that the packages of a table format are installed, without importing them.

    Raises:
        AchieveItConfigError: One is missing.
    """
    for package in _FORMAT_PACKAGES.get(table_format, ()):
        try:
            found = find_spec(package)
        except ModuleNotFoundError:  # of a package within a package
            found = None
        if found is None:
            raise AchieveItConfigError(
                f"table_format {table_format!r} needs the package {package}: "
                f"pip install 'airflow-provider-achieveit[{table_format}]'"
            )


def one_of(alias: Any) -> Callable[[str, Any], str]:
    """Return the parser of an option that is a `Literal`."""
    return partial(validate.choice, choices=get_args(alias))


_ROWS = partial(validate.integer, minimum=0, maximum=2**63)
_FRACTION = partial(validate.number, minimum=0, maximum=1)


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export. Text that a template rendered is taken for numbers as well; empty text is the default.

    Attributes:
        if_unchanged: `export`, or `skip`: when the destination already holds this plan version, the task ends as
            skipped after one request, so that tasks behind it, which have nothing new to work on, are skipped as well.
        on_drift: What happens to values that do not fit their column, which `_rescued_data` keeps. `auto` fails where
            every value of a column, 10 at least, does not fit; `rescue` never fails; `fail` always does.
        on_inconsistent: `fail`, or `accept`: publish what could not be proven, marked `consistent: false`.
        min_rows: Fewest rows that are published.
        max_shrink: Largest fraction of the latest snapshot's rows that may be gone; 0.3 refuses 69 after 100.
        tables: `nested`, or `normalized`: the lists of `plan_items` as tables of their own as well.
        changes: Whether the table of what changed since the latest snapshot is written.

    Raises:
        AchieveItConfigError: A value is none of these.
    """

    if_unchanged: IfUnchanged = field(default="export", metadata={"parse": one_of(IfUnchanged)})
    on_drift: OnDrift = field(default="auto", metadata={"parse": one_of(OnDrift)})
    on_inconsistent: OnInconsistent = field(default="fail", metadata={"parse": one_of(OnInconsistent)})
    min_rows: int | None = field(default=None, metadata={"parse": _ROWS})
    max_shrink: float | None = field(default=None, metadata={"parse": _FRACTION})
    tables: Tables = field(default="nested", metadata={"parse": one_of(Tables)})
    changes: bool = field(default=True, metadata={"parse": validate.boolean})

    def __post_init__(self) -> None:
        validate.check_fields(self)


def parse_since(text: str) -> datetime:
    """Read the `since` of a sensor or trigger; empty or `None` is what templates render before the first run.

    Raises:
        AchieveItConfigError: It is not an ISO 8601 date or time.
    """
    try:
        return parse_timestamp(text.strip()) if validate.is_given(text) else datetime.min.replace(tzinfo=UTC)
    except (AttributeError, ValueError):
        raise AchieveItConfigError(f"since {shown(text)} is not an ISO 8601 date or time") from None
