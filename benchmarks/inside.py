"""What can only be measured inside the process: `inside.py WHAT [URL PLAN...]` prints a JSON object.

WHAT is `imports` (of a DAG file), `small` (a small plan's own CPU), `stages` (where the time of an export goes) or
`rescued` (pages that need the slow path).
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

KEY = "sandbox-key"


def imports() -> dict[str, Any]:
    """CPU that a DAG file with an export task takes beyond importing Airflow and making a DAG of anything else."""
    from airflow.sdk import DAG, BaseOperator

    with DAG("another_dag"):
        BaseOperator(task_id="anything")
    before = set(sys.modules)
    start = time.process_time()
    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

    imported = time.process_time()
    with DAG("a_dag"):
        AchieveItExportOperator(task_id="export", plan_id="p", destination="s3://lake/achieveit")
    heavy = sorted({"pyarrow", "requests", "fsspec", "pandas"} & (set(sys.modules) - before))
    return {"import_ms": (imported - start) * 1e3, "dag_ms": (time.process_time() - imported) * 1e3, "heavy": heavy}


def small(url: str, plan: str, empty: str) -> dict[str, Any]:
    """CPU of the operator's `execute`, all threads, once everything has been imported by the export of an empty plan."""
    os.environ["AIRFLOW_CONN_ACHIEVEIT_DEFAULT"] = json.dumps({"conn_type": "achieveit", "host": url, "password": KEY})
    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

    with tempfile.TemporaryDirectory() as lake:

        def export(plan_id: str, changes: bool = False) -> float:
            operator = AchieveItExportOperator(
                task_id="export", plan_id=plan_id, destination=f"file://{lake}", changes=changes
            )
            start = time.process_time()
            manifest = operator.execute({})
            costs.append(manifest["requests"])
            return time.process_time() - start

        costs: list[int] = []
        with_imports = export(empty, changes=True)
        return {
            "with_imports_ms": with_imports * 1e3,
            "first_ms": export(plan) * 1e3,
            "later_ms": statistics.median(export(plan) for _ in range(5)) * 1e3,
            "with_changes_ms": statistics.median(export(plan, changes=True) for _ in range(5)) * 1e3,
            "requests": costs[-1],
        }


def _exporter(url: str) -> Callable[[str], float]:
    """Return a function that exports a plan, one request at a time, and returns the CPU that took."""
    from fsspec.implementations.local import LocalFileSystem

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.api.settings import ClientSettings
    from airflow_provider_achieveit.lake.options import ExportOptions
    from airflow_provider_achieveit.lake.portfolio import export_plan
    from airflow_provider_achieveit.lake.sinks.objects import Store
    from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink

    def export(plan: str) -> float:
        client = AchieveItClient(KEY, ClientSettings(base_url=url, max_concurrency=1))
        with tempfile.TemporaryDirectory() as lake:
            start = time.process_time()
            export_plan(
                client, ParquetSink(Store(LocalFileSystem(), lake)), plan, options=ExportOptions(on_drift="rescue")
            )
            spent = time.process_time() - start
        client.close()
        return spent

    return export


def rescued(url: str, empty: str, clean: str, *deviant: str) -> dict[str, Any]:
    """CPU of plans whose pages need the slow path, as a multiple of a clean one's, less that of an empty plan."""
    export = _exporter(url)
    plans = (empty, clean, *deviant)
    for plan in plans:
        export(plan)
    costs: dict[str, list[float]] = {plan: [] for plan in plans}
    for _ in range(5):
        for plan in plans:
            costs[plan].append(export(plan))
    middle = {plan: statistics.median(values) for plan, values in costs.items()}
    return {plan: (middle[plan] - middle[empty]) / (middle[clean] - middle[empty]) for plan in deviant}


class _Stages:
    """CPU of functions, each without that of the other stages it calls."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._open = threading.local()

    def time(self, stage: str, owner: Any, name: str) -> None:
        """Count a function of a module or class to a stage."""
        original = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            inner = self._open.__dict__.setdefault("inner", [0.0])
            inner.append(0.0)
            start = time.thread_time()
            try:
                return original(*args, **kwargs)
            finally:
                whole = time.thread_time() - start
                self.seconds[stage] += whole - inner.pop()
                inner[-1] += whole

        setattr(owner, name, timed)


def stages(url: str, plan: str, items: str) -> dict[str, Any]:
    """CPU in microseconds per item of each stage of an export."""
    from types import SimpleNamespace

    from airflow_provider_achieveit.api.transport import Transport
    from airflow_provider_achieveit.lake import export, table_file
    from airflow_provider_achieveit.lake.read import columns, decode, page_merger, pages
    from airflow_provider_achieveit.lake.sinks import objects

    run = _exporter(url)
    run(plan)
    meter = _Stages()
    reader = columns.pj
    columns.pj = SimpleNamespace(
        read_json=reader.read_json, ReadOptions=reader.ReadOptions, ParseOptions=reader.ParseOptions
    )
    for stage, owner, name in (
        ("download", Transport, "get"),
        ("decode", columns.pj, "read_json"),
        ("decode", decode, "read_items"),
        ("check", decode, "check_column"),
        ("type", decode, "cast_column"),
        ("check", page_merger.PageMerger, "add"),
        ("check", pages, "repeated_ids"),
        ("encode", table_file.TableWriter, "add"),
        ("encode", table_file.TableWriter, "__exit__"),
        ("changes", export, "derive_tables"),
        ("hash", objects.Store, "sha256"),
        ("upload", objects.Store, "swap"),
    ):
        meter.time(stage, owner, name)
    whole = run(plan)
    meter.seconds["rest"] = whole - sum(meter.seconds.values())
    return {stage: seconds / int(items) * 1e6 for stage, seconds in meter.seconds.items()}


if __name__ == "__main__":
    what = {"imports": imports, "small": small, "stages": stages, "rescued": rescued}[sys.argv[1]]
    json.dump(what(*sys.argv[2:]), sys.stdout)
