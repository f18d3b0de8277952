"""A year of a portfolio in one table format: `year_lake.py build FORMAT DAY ROOT DAYS`, `… ask FORMAT ENGINE QUESTION ROOT`.

DAY is a lake of plain files in which every plan has landed once, by a real export. Each further day holds the same rows
again: plain files are copied; the table formats get one commit a day, by the code that a task commits with, from rows that
were gathered once. Manifests are left out: queries read `plan_items` alone.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FIRST = date(2025, 1, 1)


def labels(days: int) -> list[str]:
    return [str(FIRST + timedelta(days=day)) for day in range(days)]


def catalog(root: Path) -> Any:
    from pyiceberg.catalog import load_catalog

    root.mkdir(parents=True, exist_ok=True)
    return load_catalog("lake", type="sql", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}/warehouse")


def build(table_format: str, day: Path, root: Path, days: int) -> dict[str, Any]:
    """Build the year; return what lies there."""
    files = sorted((day / "plan_items").glob("plan=*/snapshot=day-0/*.parquet"))
    (build_files if table_format == "parquet" else build_table)(table_format, files, root, days)
    found = [path for path in root.rglob("*") if path.is_file()]
    data = [path for path in found if path.suffix == ".parquet" and "_delta_log" not in path.parts]
    return {
        "files": len(data),
        "other_files": len(found) - len(data),
        "bytes": sum(path.stat().st_size for path in found),
        "plans": len(files),
    }


def build_files(_: str, files: list[Path], root: Path, days: int) -> None:
    for file in files:
        for label in labels(days):
            folder = root / "plan_items" / file.parts[-3] / f"snapshot={label}"
            folder.mkdir(parents=True)
            shutil.copyfile(file, folder / file.name)


def build_table(table_format: str, files: list[Path], root: Path, days: int) -> None:
    import pyarrow as pa
    from fsspec.implementations.local import LocalFileSystem

    from airflow_provider_achieveit.lake.sinks.data_files import DataFileWriter, landed_schema
    from airflow_provider_achieveit.lake.sinks.delta import open_delta_sink
    from airflow_provider_achieveit.lake.sinks.iceberg import open_iceberg_sink
    from airflow_provider_achieveit.lake.sinks.objects import Store

    store = Store(LocalFileSystem(), str(root))
    sink = open_delta_sink(store) if table_format == "delta" else open_iceberg_sink(store, catalog(root), "achieveit")
    table = sink.table("plan_items")
    table.create()
    gathered = list(_gathered(files))
    place = landed_schema("plan_items").get_field_index("snapshot")
    for label in labels(days):
        table.load()
        with TemporaryDirectory() as directory:
            with DataFileWriter(Path(directory), "plan_items", label, label_column=sink.label_column) as writer:
                for rows in gathered:
                    column = pa.repeat(pa.scalar(label), rows.num_rows)
                    writer.copy([rows.set_column(place, "snapshot", column)])
                written = writer.finish()
            table.replace(label, [], written)


def _gathered(files: list[Path]) -> Iterator[Any]:
    """Yield the rows of all plans as a table format has them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from airflow_provider_achieveit.lake.sinks.data_files import landed_schema

    schema = landed_schema("plan_items")
    tables = []
    for file in files:
        items = pq.read_table(file, partitioning=None)
        count = items.num_rows
        plan = pa.repeat(pa.scalar(file.parts[-3].removeprefix("plan=")), count)
        added = (plan, pa.nulls(count, pa.string()), pa.array(range(count), pa.int32()))
        tables.append(pa.Table.from_arrays([*items.columns, *added], schema=schema))
    yield from pa.concat_tables(tables).combine_chunks().to_batches(1_500)


SQL = {
    "count": "select count(*) from items",
    "day": "select status_name, count(*) from items where snapshot = '{label}' group by 1",
    "plan": "select snapshot, count(*) filter (where is_past_due) from items where plan = '{plan}' group by 1",
}


def ask(table_format: str, engine: str, question: str, root: Path) -> dict[str, Any]:
    """Ask one question; return the number of rows that the answer counts, or has."""
    where = {"label": labels(3)[-1], "plan": "bench-007"}
    engines = {"duckdb": ask_duckdb, "polars": ask_polars, "pyarrow": ask_pyarrow, "spark": ask_spark}
    return {"answer": engines[engine](table_format, question, root, where)}


def iceberg_filter(question: str, where: dict[str, str]) -> str:
    return {"count": "true", "day": f"snapshot == '{where['label']}'", "plan": f"plan == '{where['plan']}'"}[question]


COLUMNS = {"count": ("plan",), "day": ("snapshot", "status_name"), "plan": ("plan", "snapshot", "is_past_due")}


def iceberg_arrow(root: Path, question: str, where: dict[str, str]) -> Any:
    table = catalog(root).load_table("achieveit.plan_items")
    return table.scan(iceberg_filter(question, where), selected_fields=COLUMNS[question]).to_arrow()


def ask_duckdb(table_format: str, question: str, root: Path, where: dict[str, str]) -> int:
    import duckdb

    query = SQL[question].format(**where)
    connection = duckdb.connect()
    if table_format == "parquet":
        items = f"read_parquet('{root}/plan_items/*/*/*.parquet', hive_partitioning=true, hive_types_autocast=false)"
        query = query.replace("from items", f"from {items}")
    elif table_format == "delta":
        from deltalake import DeltaTable

        connection.register("items", DeltaTable(str(root / "plan_items")).to_pyarrow_dataset())
    else:
        connection.register("items", iceberg_arrow(root, question, where))
    rows = connection.execute(query).fetchall()
    return rows[0][0] if question == "count" else len(rows)


def ask_polars(table_format: str, question: str, root: Path, where: dict[str, str]) -> int:
    import polars as pl

    if table_format == "parquet":
        items = pl.scan_parquet(root / "plan_items", hive_partitioning=True, try_parse_hive_dates=False)
    elif table_format == "delta":
        items = pl.scan_delta(str(root / "plan_items"))
    else:
        items = pl.scan_iceberg(catalog(root).load_table("achieveit.plan_items"))
    if question == "count":
        return items.select(pl.len()).collect().item()
    if question == "day":
        return items.filter(pl.col("snapshot") == where["label"]).group_by("status_name").len().collect().height
    of_plan = items.filter(pl.col("plan") == where["plan"])
    return of_plan.group_by("snapshot").agg(pl.col("is_past_due").sum()).collect().height


def ask_pyarrow(table_format: str, question: str, root: Path, where: dict[str, str]) -> int:
    import pyarrow as pa
    import pyarrow.dataset as ds

    if table_format == "iceberg":
        rows = iceberg_arrow(root, question, where)
    else:
        if table_format == "delta":
            from deltalake import DeltaTable

            items = DeltaTable(str(root / "plan_items")).to_pyarrow_dataset()
        else:
            text = pa.schema([("plan", pa.string()), ("snapshot", pa.string())])
            items = ds.dataset(root / "plan_items", partitioning=ds.partitioning(text, flavor="hive"))
        if question == "count":
            return items.count_rows()
        wanted = {"day": ds.field("snapshot") == where["label"], "plan": ds.field("plan") == where["plan"]}[question]
        rows = items.to_table(columns=list(COLUMNS[question]), filter=wanted)
    if question == "count":
        return rows.num_rows
    group = "status_name" if question == "day" else "snapshot"
    return rows.group_by(group).aggregate([([], "count_all")]).num_rows


def ask_spark(table_format: str, question: str, root: Path, where: dict[str, str]) -> int:
    import snowpark_connect_deps_iceberg as iceberg
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.jars": str(iceberg.get_jar_path("iceberg-spark-runtime-3.5_2.12-1.10.2.jar")),
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
        "spark.ui.enabled": "false",
    }
    spark = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    if table_format == "parquet":
        items = spark.read.parquet(str(root / "plan_items"))
    else:
        items = spark.read.format("iceberg").load(catalog(root).load_table("achieveit.plan_items").metadata_location)
    items.createOrReplaceTempView("items")
    rows = spark.sql(SQL[question].format(**where)).collect()
    virtual_machine = spark.sparkContext._gateway.proc
    spark.stop()
    virtual_machine.stdin.close()  # it ends, and is waited for, so that its CPU is counted
    virtual_machine.wait()
    return int(rows[0][0]) if question == "count" else len(rows)


if __name__ == "__main__":
    what, table_format, *rest = sys.argv[1:]
    if what == "build":
        print(json.dumps(build(table_format, Path(rest[0]), Path(rest[1]), int(rest[2]))))
    else:
        print(json.dumps(ask(table_format, rest[0], rest[1], Path(rest[2]))))
