"""This package as a plain program, every guarantee on.

Usage: export_plan.py URL PLAN OUT MAX_CONCURRENCY CHANGES. CHANGES is `changes`, or `-` for none.
"""

import sys

from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api import AchieveItClient, ClientSettings
from airflow_provider_achieveit.lake import ExportOptions, ParquetSink, Store, export_plan


def main(url: str, plan: str, out: str, max_concurrency: str, changes: str) -> None:
    client = AchieveItClient("sandbox-key", ClientSettings(base_url=url, max_concurrency=int(max_concurrency)))
    options = ExportOptions(changes=changes == "changes")
    with client:
        manifest = export_plan(client, ParquetSink(Store(LocalFileSystem(), out)), plan, options=options)
    assert manifest is not None
    assert manifest["consistent"]


if __name__ == "__main__":
    main(*sys.argv[1:])
