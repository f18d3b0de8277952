"""CPU of a day's portfolio in each table format: `table_day.py URL ROOT DAYS` exports all plans of a sandbox, day by day.

Between two days 2 % of the items are edited. Changes are made, as by default. What the first day left in plain files is
what `year_lake.py` builds a year of. The last line that is printed is JSON: seconds of CPU, for each format and day.
"""

import json
import random
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from year_lake import catalog
from year_table import FORMATS

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.portfolio import export_plans
from airflow_provider_achieveit.lake.sinks.base import Sink
from airflow_provider_achieveit.lake.sinks.delta import open_delta_sink
from airflow_provider_achieveit.lake.sinks.iceberg import open_iceberg_sink
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink


def open_sink(root: Path, table_format: str) -> Sink:
    """Return the lake of a format, in a folder of its own."""
    if table_format == "parquet":
        return ParquetSink(Store(LocalFileSystem(), str(root / "day")))
    folder = root / f"day-{table_format}"
    store = Store(LocalFileSystem(), str(folder))
    return open_delta_sink(store) if table_format == "delta" else open_iceberg_sink(store, catalog(folder), "achieveit")


def control(url: str, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/_sandbox{path}", data, method=method)) as response:
        return json.load(response)


def main(url: str, root: str, days: str) -> None:
    plans = {plan["id"]: plan["items"] for plan in control(url, "GET", "/plans")}
    client = AchieveItClient("sandbox-key", ClientSettings(base_url=url))
    chosen = random.Random(1)
    costs: dict[str, list[float]] = {}
    for table_format in FORMATS:  # not counted: imports
        export_plans(client, open_sink(Path(root) / "warm", table_format), list(plans)[:1], snapshot="warm")
    lakes = {table_format: open_sink(Path(root), table_format) for table_format in FORMATS}
    for day in range(int(days)):
        for number in range(sum(plans.values()) // 50 if day else 0):
            plan = chosen.choice(list(plans))
            edit = {"item": chosen.randrange(plans[plan]), "fields": {"name": f"edit {number} of day {day}"}}
            control(url, "POST", f"/plans/{plan}/edit", edit)
        for name, sink in lakes.items():
            start = time.process_time()
            report = export_plans(client, sink, list(plans), snapshot=f"day-{day}")
            costs.setdefault(name, []).append(time.process_time() - start)
            assert len(report.manifests) == len(plans)
    print(json.dumps({"days": costs}))


if __name__ == "__main__":
    main(*sys.argv[1:])
