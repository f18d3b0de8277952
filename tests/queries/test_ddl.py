"""docs/ddl: statements for warehouses, which are parsed and compared with the declared columns, and not run."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from airflow_provider_achieveit.lake.tables.declared import SCHEMAS

FOLDER = Path(__file__).parents[2] / "docs" / "ddl"
TABLES = ["plan_items", "plan_item_changes"]
#: What sqlglot calls the dialect of each file.
DIALECTS = {"athena": "hive", "bigquery": "bigquery", "databricks": "databricks", "snowflake": "snowflake",
            "spark": "spark", "trino": "trino"}  # fmt: skip
SCALARS = {
    "string": "STRING",
    "int32": "INT",
    "bool": "BOOLEAN",
    "double": "DOUBLE",
    "timestamp[us, tz=UTC]": "TIMESTAMP",
    "decimal128(38, 9)": "DECIMAL(38, 9)",
}


def spark_type(kind: pa.DataType) -> str:
    """A type as Spark spells it."""
    if pa.types.is_list(kind):
        return f"ARRAY<{spark_type(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"STRUCT<{', '.join(f'{field.name}: {spark_type(field.type)}' for field in kind)}>"
    return SCALARS[str(kind)]


def created(path: Path) -> dict[str, exp.Create]:
    """The tables that a file creates, by name."""
    # The one clause that sqlglot does not know, and would give up the whole statement for.
    text = path.read_text().replace("WITH PARTITION COLUMNS (plan STRING, snapshot STRING)\n", "")
    statements = sqlglot.parse(text, dialect=DIALECTS[path.stem], error_level=sqlglot.ErrorLevel.RAISE)
    return {statement.find(exp.Table).name: statement for statement in statements if isinstance(statement, exp.Create)}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_file_creates_the_two_tables(dialect: str) -> None:
    """As its own dialect is parsed; labels and plans are text in all of them."""
    assert sorted(path.stem for path in FOLDER.glob("*.sql")) == sorted(DIALECTS)
    assert list(created(FOLDER / f"{dialect}.sql")) == TABLES


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("dialect", ["athena", "databricks", "spark", "trino"])
def test_columns_and_types_are_the_declared_ones(dialect: str, table: str) -> None:
    """Nested ones too, in their order."""
    columns = created(FOLDER / f"{dialect}.sql")[table].this.find_all(exp.ColumnDef)
    found = [(column.name, column.kind.sql(DIALECTS[dialect])) for column in columns if column.parent.key == "schema"]
    expected = [
        (field.name, exp.DataType.build(spark_type(field.type), dialect="spark").sql(DIALECTS[dialect]))
        for field in SCHEMAS[table]
    ]
    assert [entry for entry in found if entry[0] not in ("plan", "snapshot")] == expected


@pytest.mark.parametrize("table", TABLES)
def test_snowflake_names_every_column(table: str) -> None:
    """Its external tables take each column from the row by name."""
    columns = created(FOLDER / "snowflake.sql")[table].this.expressions
    names = [column.name for column in columns if isinstance(column, exp.ColumnDef)]
    assert names == [*SCHEMAS[table].names, "plan", "snapshot"]


def test_bigquery_infers_lists_and_no_types_of_labels() -> None:
    """Else every list would be a record with a list in it, and a label a date."""
    text = (FOLDER / "bigquery.sql").read_text()
    assert text.count("WITH PARTITION COLUMNS (plan STRING, snapshot STRING)") == len(TABLES)
    assert text.count("enable_list_inference = TRUE") == len(TABLES)
