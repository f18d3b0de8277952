"""Guards of an export: refuse a snapshot before it replaces a better one."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pyarrow.compute as pc

from airflow_provider_achieveit.lake.errors import AchieveItDriftError, AchieveItGuardError
from airflow_provider_achieveit.lake.manifest import Manifest
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.read.pages import Snapshot
from airflow_provider_achieveit.lake.schema import ITEM_FIELDS, Field
from airflow_provider_achieveit.lake.table_file import TableFile, open_parquet

log = logging.getLogger(__name__)

#: Number of fields that a message about drift names.
_NAMED = 20
#: With `on_drift="auto"`, fewer values than this that do not fit are never a reason to fail.
_FEWEST = 10


def check_guards(snapshot: Snapshot, latest: Manifest | None, options: ExportOptions, plan_id: str) -> None:
    """Refuse a snapshot with too much drift or too few rows; log drift and an unknown version.

    Args:
        snapshot: What was read.
        latest: The latest manifest of the plan, which `max_shrink` compares with.
        options: The options of the export.
        plan_id: Id of the plan.

    Raises:
        AchieveItDriftError: Values do not fit their columns, and `on_drift` does not allow it.
        AchieveItGuardError: There are fewer rows than `min_rows` or `max_shrink` allow.
    """
    _check_drift(snapshot, options, plan_id)
    _check_rows(snapshot.items.rows, latest, options, plan_id)
    if not snapshot.version.is_known:
        log.warning(
            "Plan %s: its version is unknown (%s): that it is unchanged can only be told from its content",
            plan_id, snapshot.version.why_unknown,
        )  # fmt: skip


def _check_drift(snapshot: Snapshot, options: ExportOptions, plan_id: str) -> None:
    if not snapshot.rescued:
        return
    if options.on_drift == "fail":
        raise AchieveItDriftError(f"values do not fit the schema: {_named(snapshot.rescued)}", plan_id=plan_id)
    if options.on_drift == "auto":
        unfit = dict(_unfit_columns(snapshot.items, snapshot.rescued))
        if unfit:
            raise AchieveItDriftError(f"no value of these columns fits: {_named(unfit)}", plan_id=plan_id)
    log.warning(
        "Plan %s: values that do not fit the schema are in _rescued_data: %s", plan_id, _named(snapshot.rescued)
    )


def _check_rows(rows: int, latest: Manifest | None, options: ExportOptions, plan_id: str) -> None:
    if options.min_rows is not None and rows < options.min_rows:
        raise AchieveItGuardError(f"{rows} rows are fewer than min_rows={options.min_rows}", plan_id=plan_id)
    if options.max_shrink is not None and latest is not None:
        gone = latest["rows"] - rows
        # The tolerance keeps 30 of 100 within 0.3, whatever binary fractions make of it.
        if gone > latest["rows"] * options.max_shrink + 1e-9:
            what = (
                f"{gone} of the {latest['rows']} rows of snapshot {latest['snapshot']} are gone, "
                f"more than max_shrink={options.max_shrink:g} allows"
            )
            raise AchieveItGuardError(what, plan_id=plan_id)


def _unfit_columns(items: TableFile, rescued: dict[str, int]) -> Iterator[tuple[str, int]]:
    """Yield the paths of known fields of which every value was rescued, with the number of values."""
    for path, count in rescued.items():
        if count >= _FEWEST and not _has_values(items, path.split("[].")):
            yield path, count


def _has_values(items: TableFile, names: list[str]) -> bool:
    """Return whether a field has values in a file, or is not a field of the schema.

    Args:
        items: The file.
        names: The names of the field and of those around it, as the API spells them; the last one ends with `[]` where
            the objects of a list are meant and not the lists.
    """
    fields, known = ITEM_FIELDS, list[Field]()
    for name in names:
        field = next((field for field in fields if field.api_name == name.removesuffix("[]")), None)
        if field is None:
            return True
        known.append(field)
        fields = field.fields
    with open_parquet(items.path) as file:
        for group in range(file.num_row_groups):
            values = file.read_row_group(group, [known[0].column], use_threads=False).column(0)
            for field in known[1:]:
                values = pc.struct_field(pc.list_flatten(values), field.column)
            if names[-1].endswith("[]"):
                values = pc.list_flatten(values)
            if len(values) > values.null_count:
                return True
    return False


def _named(rescued: dict[str, int]) -> str:
    """Name the paths of rescued values, the most frequent ones: made-up keys can be many and long."""
    most = sorted(rescued.items(), key=lambda item: (-item[1], item[0]))[:_NAMED]
    named = ", ".join(f"{path[:100]} ({count})" for path, count in most)
    return named if len(rescued) <= _NAMED else f"{named} and {len(rescued) - _NAMED} more"
