"""The names of plans and tables in lineage, by the naming rules of OpenLineage: a namespace, and a name within it.

They are made from the task's arguments and connections alone, so that they are known before the first request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from airflow_provider_achieveit._destination import catalog_address, open_filesystem
from airflow_provider_achieveit._places import Place
from airflow_provider_achieveit.lake.layout import table_prefix
from airflow_provider_achieveit.lake.options import TableFormat


class DatasetName(NamedTuple):
    """What lineage calls a dataset.

    Attributes:
        namespace: Where it lies: a service, a bucket, `file`.
        name: Its name there.
    """

    namespace: str
    name: str


#: Names the dataset in which a table of a plan lands: table and plan id to name.
TableNames = Callable[[str, str], DatasetName]


def plan_name(base_url: str, plan_id: str) -> DatasetName:
    """Return the name of a plan at the API."""
    return DatasetName(base_url, f"exports/plans/{plan_id}")


def table_names(
    place: Place, table_format: TableFormat, iceberg_conn_id: str = "", iceberg_namespace: str = ""
) -> TableNames:
    """Return how the tables of a destination are named.

    As Parquet, a dataset is a plan's folder of snapshots, as the plan's Airflow asset is; in a table format it is the
    table, which holds all plans.

    Args:
        place: The destination.
        table_format: `parquet`, `delta` or `iceberg`.
        iceberg_conn_id: The Airflow connection of the Iceberg catalog.
        iceberg_namespace: The namespace of the Iceberg tables.
    """
    if table_format == "iceberg":
        catalog = catalog_address(iceberg_conn_id)
        return lambda table, _: DatasetName(catalog, f"{iceberg_namespace}.{table}")
    namespace, root = _split(place)
    if table_format == "delta":
        return lambda table, _: DatasetName(namespace, f"{root}{table}")
    return lambda table, plan_id: DatasetName(namespace, f"{root}{table_prefix(table, plan_id)}")


def location_name(uri: str) -> DatasetName:
    """Return the name of the place where an Iceberg table lies, which Spark takes for the name of the table."""
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        return DatasetName("file", parts.path)
    return DatasetName(f"{_SCHEMES.get(parts.scheme, parts.scheme)}://{parts.netloc}", parts.path.lstrip("/"))


#: One name for each store, whichever of its schemes a destination has.
_SCHEMES = {"s3a": "s3", "gcs": "gs", "abfs": "abfss"}


def _split(place: Place) -> DatasetName:
    """Return the namespace of a destination, and what the names in it begin with."""
    if place.scheme == "file":
        return DatasetName("file", f"{place.path.rstrip('/')}/")
    bucket, _, path = place.path.partition("/")
    scheme = _SCHEMES.get(place.scheme, place.scheme)
    if scheme == "abfss":  # a container's name is unique within its storage account only
        host = open_filesystem(place).service_client.primary_hostname
        bucket = f"{bucket}@{host.replace('.blob.', '.dfs.', 1)}"
    return DatasetName(f"{scheme}://{bucket}", f"{path}/" if path else "")
