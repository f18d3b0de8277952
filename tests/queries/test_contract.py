"""The data contract that the wheel ships: what tools expect of the lake is what lies in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
import yaml

from airflow_provider_achieveit.lake.table_file import TableWriter
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS, table_schema
from dev.contract import PATH, TYPES, render

if TYPE_CHECKING:
    from pathlib import Path

CONTRACT = yaml.safe_load(PATH.read_text())
TABLES = {table["name"]: table for table in CONTRACT["schema"]}


def test_the_file_is_up_to_date() -> None:
    """After a change of the columns or of the version: `python -m dev.contract`."""
    assert PATH.read_text() == render()
    assert list(TABLES) == list(SCHEMAS)


def spelled(described: dict[str, Any]) -> str:
    """The type that a property has by its innermost ones."""
    if described["logicalType"] == "array":
        return f"{spelled(described['items'])}[]"
    if described["logicalType"] == "object":
        fields = (f'"{field["name"]}" {spelled(field)}' for field in described["properties"])
        return f"STRUCT({', '.join(fields)})"
    assert (described["logicalType"], described["physicalType"]) in TYPES.values()
    return str(described["physicalType"])


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_type_is_what_duckdb_finds_in_a_file(table: str, tmp_path: Path) -> None:
    """Nested ones too, in their order: by the column's own type, and by those of its fields."""
    schema, path = table_schema(table, "p"), tmp_path / f"{table}.parquet"
    with TableWriter(path, schema, dictionary=[], statistics=[]) as writer:
        writer.add(pa.RecordBatch.from_pylist([dict.fromkeys(schema.names)], schema=schema))
    with duckdb.connect() as connection:

        def canonical(kind: str) -> str:
            [[name]] = connection.execute(f"select typeof(null::{kind})").fetchall()
            return str(name)

        described = connection.execute("describe select * from read_parquet(?)", [str(path)]).fetchall()
        properties = TABLES[table]["properties"]
        for kind in (spelled, lambda column: column["physicalType"]):
            found = [(column["name"], canonical(kind(column))) for column in properties]
            assert found == [(name, kind) for name, kind, *_ in described]
