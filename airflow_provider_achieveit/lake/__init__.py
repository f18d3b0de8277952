"""From plans to tables: read a plan, prove it, land it. Needs pyarrow and an fsspec filesystem, and no Airflow.

    from fsspec.implementations.local import LocalFileSystem
    from airflow_provider_achieveit.lake import ParquetSink, Store, export_plan

    sink = ParquetSink(Store(LocalFileSystem(), "/data/achieveit"))
    manifest = export_plan(client, sink, plan_id)

The names are imported when they are first used, because importing pyarrow takes a while.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_achieveit.lake.manifest import Manifest
    from airflow_provider_achieveit.lake.options import ExportOptions
    from airflow_provider_achieveit.lake.portfolio import Report, export_plan, export_plans
    from airflow_provider_achieveit.lake.read.snapshot import read_table
    from airflow_provider_achieveit.lake.sinks.base import Sink
    from airflow_provider_achieveit.lake.sinks.manifest_folder import ManifestFolder
    from airflow_provider_achieveit.lake.sinks.objects import Store
    from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink

__all__ = [
    "ExportOptions",
    "Manifest",
    "ManifestFolder",
    "ParquetSink",
    "Report",
    "Sink",
    "Store",
    "export_plan",
    "export_plans",
    "read_table",
]

_HOMES = {
    "ExportOptions": "options",
    "Manifest": "manifest",
    "ManifestFolder": "sinks.manifest_folder",
    "ParquetSink": "sinks.parquet",
    "Report": "portfolio",
    "Sink": "sinks.base",
    "Store": "sinks.objects",
    "export_plan": "portfolio",
    "export_plans": "portfolio",
    "read_table": "read.snapshot",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
