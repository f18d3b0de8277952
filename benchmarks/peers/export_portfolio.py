"""This package as a plain program that exports many plans, every guarantee on.

Usage: export_portfolio.py URL OUT MAX_CONCURRENCY TIMES CHANGES PLAN...

Exports all of them TIMES times, under labels of their own, and prints the resident MB after each time. CHANGES is
`changes`, or `-` for none.
"""

import sys

import psutil
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api import AchieveItClient, ClientSettings
from airflow_provider_achieveit.lake import ExportOptions, ParquetSink, Store, export_plans


def main(url: str, out: str, max_concurrency: str, times: str, changes: str, *plans: str) -> None:
    settings = ClientSettings(base_url=url, max_concurrency=int(max_concurrency))
    options = ExportOptions(changes=changes == "changes")
    for time in range(int(times)):
        sink = ParquetSink(Store(LocalFileSystem(), out))
        with AchieveItClient("sandbox-key", settings) as client:
            report = export_plans(client, sink, plans, snapshot=f"{time:06}", options=options)
        assert list(report.manifests) == list(plans), report
        print(psutil.Process().memory_info().rss / 1e6, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
