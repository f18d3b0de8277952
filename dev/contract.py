"""`python -m dev.contract`: write the data contract that the wheel ships, from the declared columns of all tables."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency for one call

from airflow_provider_achieveit import __version__
from airflow_provider_achieveit.lake.tables.declared import DESCRIPTIONS, SCHEMAS

PATH = Path(__file__).parents[1] / "airflow_provider_achieveit" / "achieveit.odcs.yaml"
#: The contract's word, and DuckDB's, with which tools check Parquet files.
TYPES = {
    "string": ("string", "VARCHAR"),
    "int32": ("integer", "INTEGER"),
    "bool": ("boolean", "BOOLEAN"),
    "double": ("number", "DOUBLE"),
    "decimal128(38, 9)": ("number", "DECIMAL(38,9)"),
    "timestamp[us, tz=UTC]": ("timestamp", "TIMESTAMP WITH TIME ZONE"),
}


def data_contract() -> dict[str, Any]:
    """Return the contract, in the Open Data Contract Standard."""
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "airflow-provider-achieveit",
        "name": "AchieveIt plans",
        "version": __version__,
        "status": "active",
        "description": {
            "purpose": "Plans of AchieveIt in a data lake: a file for each table, plan and snapshot.",
            "usage": "A snapshot counts once its manifest is there: _manifests/plan=<plan id>/snapshot=<label>.json.",
        },
        "schema": [_table(name, schema) for name, schema in SCHEMAS.items()],
    }


def _table(name: str, schema: pa.Schema) -> dict[str, Any]:
    return {
        "name": name,
        "logicalType": "object",
        "physicalType": "table",
        "description": DESCRIPTIONS[name],
        "properties": [_property(field) for field in schema],
    }


def _property(field: pa.Field) -> dict[str, Any]:
    """Describe a column: every one may be null."""
    return {"name": field.name, **_type(field.type), "required": False}


def _type(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        return {"logicalType": "array", "physicalType": _physical(kind), "items": _type(kind.value_type)}
    if pa.types.is_struct(kind):
        properties = [_property(field) for field in kind]
        return {"logicalType": "object", "physicalType": _physical(kind), "properties": properties}
    logical, physical = TYPES[str(kind)]
    return {"logicalType": logical, "physicalType": physical}


def _physical(kind: pa.DataType) -> str:
    """Spell a type as DuckDB takes it."""
    if pa.types.is_list(kind):
        return f"{_physical(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{field.name} {_physical(field.type)}' for field in kind)})"
    return TYPES[str(kind)][1]


def render() -> str:
    """Return the text of the file."""
    text: str = yaml.safe_dump(data_contract(), sort_keys=False, allow_unicode=True, width=120)
    return f"# Written by `python -m dev.contract`.\n{text}"


if __name__ == "__main__":
    PATH.write_text(render())
