"""This package as a plain program that exports one plan under one label, every guarantee on.

Usage: export_label.py URL OUT LABEL CHANGES PLAN. CHANGES is `changes`, or `-` for none.
"""

import sys

from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api import AchieveItClient, ClientSettings
from airflow_provider_achieveit.lake import ExportOptions, ParquetSink, Store, export_plans


def main(url: str, out: str, label: str, changes: str, plan: str) -> None:
    sink, options = ParquetSink(Store(LocalFileSystem(), out)), ExportOptions(changes=changes == "changes")
    with AchieveItClient("sandbox-key", ClientSettings(base_url=url)) as client:
        report = export_plans(client, sink, [plan], snapshot=label, options=options)
    [manifest] = report.manifests.values()
    print((manifest["changes"] or {}).get("changed", 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
