"""Where the columns of each table come from: those that hold a field of the API's items as it is."""

from __future__ import annotations

from functools import cache

from airflow_provider_achieveit.lake.layout import PLAN_ITEMS_TABLE
from airflow_provider_achieveit.lake.schema import ITEM_FIELDS, Field
from airflow_provider_achieveit.lake.tables.declared import CHANGES_TABLE, CHILD_TABLES, ChildTable


@cache
def origins(table: str) -> dict[str, str]:
    """Return the field of each column that has one, as the API spells it, with dots between nested names."""
    if table == PLAN_ITEMS_TABLE:
        return {field.column: field.api_name for field in ITEM_FIELDS}
    if table == CHANGES_TABLE:
        return {"item_id": "id", "item_name": "name"}
    return _of_child(next(child for child in CHILD_TABLES if child.name == table))


def _of_child(child: ChildTable) -> dict[str, str]:
    entry = _named(ITEM_FIELDS, child.column)
    path = entry.api_name
    found = {"item_id": "id"}
    if child.inner is not None:
        found["checklist_id"] = f"{path}.{_named(entry.fields, 'id').api_name}"
        entry = _named(entry.fields, child.inner)
        path = f"{path}.{entry.api_name}"
    columns = {field.name for field in child.fields}
    return found | {field.column: f"{path}.{field.api_name}" for field in entry.fields if field.column in columns}


def _named(fields: tuple[Field, ...], column: str) -> Field:
    return next(field for field in fields if field.column == column)
