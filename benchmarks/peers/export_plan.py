"""This package as a plain program, every guarantee on.

Usage: export_plan.py URL PLAN OUT [MAX_CONCURRENCY]
"""

import sys

from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.portfolio import export_plan
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink


def main(url: str, plan: str, out: str, max_concurrency: str = "4") -> None:
    client = AchieveItClient("sandbox-key", ClientSettings(base_url=url, max_concurrency=int(max_concurrency)))
    with client:
        manifest = export_plan(client, ParquetSink(Store(LocalFileSystem(), out)), plan)
    assert manifest is not None
    assert manifest["consistent"]


if __name__ == "__main__":
    main(*sys.argv[1:])
