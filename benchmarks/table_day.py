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

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.portfolio import export_plans
from airflow_provider_achieveit.lake.sinks.base import Sink
from airflow_provider_achieveit.lake.sinks.delta import open_delta_sink
from airflow_provider_achieveit.lake.sinks.iceberg import open_iceberg_sink
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink


def sinks(root: Path) -> dict[str, Sink]:
    def store(name: str) -> Store:
        return Store(LocalFileSystem(), str(root / name))

    return {
        "parquet": ParquetSink(store("day")),
        "delta": open_delta_sink(store("day-delta")),
        "iceberg": open_iceberg_sink(store("day-iceberg"), catalog(root / "day-iceberg"), "achieveit"),
    }


def control(url: str, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/_sandbox{path}", data, method=method)) as response:
        return json.load(response)


def main(url: str, root: str, days: str) -> None:
    plans = {plan["id"]: plan["items"] for plan in control(url, "GET", "/plans")}
    client = AchieveItClient("sandbox-key", ClientSettings(base_url=url))
    chosen = random.Random(1)
    costs: dict[str, list[float]] = {}
    for sink in sinks(Path(root) / "warm").values():  # not counted: imports
        export_plans(client, sink, list(plans)[:1], snapshot="warm")
    lakes = sinks(Path(root))
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
