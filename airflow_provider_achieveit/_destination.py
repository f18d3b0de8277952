"""From a destination and a connection to a store: the only module that asks Airflow for connections and filesystems.

Three steps that a trigger can take one by one: `parse_destination` (text only), `require_connection` (asks Airflow),
`open_filesystem` (reads the connection once more, in Airflow's own code for each store).
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_achieveit._compat import AirflowNotFoundException, BaseHook, get_fs
from airflow_provider_achieveit._places import SCHEMES, Place, parse_destination
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.options import TableFormat, require_format
from airflow_provider_achieveit.lake.sinks.base import Sink
from airflow_provider_achieveit.lake.sinks.manifest_folder import ManifestFolder
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def open_store(destination: Any, conn_id: str | None) -> Store:
    """Return the store of a destination.

    Args:
        destination: A URI with one of the schemes `_places.SCHEMES`, or an absolute path.
        conn_id: The Airflow connection of the store; None for the one that the URI names, or else for the store's own
            default credentials.

    Raises:
        AchieveItConfigError: The destination or its connection can't be used, or a package is missing.
        AchieveItStoreError: The store can't be opened now.
    """
    place = parse_destination(destination, conn_id)
    if place.conn_id is not None:
        require_connection(place.conn_id, destination)
    return Store(open_filesystem(place), place.path, place.scheme)


def open_manifests(destination: Any, conn_id: str | None) -> ManifestFolder:
    """Return the manifests below a destination, which are alike in every table format."""
    return ManifestFolder(open_store(destination, conn_id))


def open_sink(
    destination: Any,
    conn_id: str | None,
    table_format: TableFormat = "parquet",
    iceberg_conn_id: str = "iceberg_default",
    iceberg_namespace: str = "achieveit",
) -> Sink:
    """Return the sink of a destination.

    Args:
        destination: As for `open_store`.
        conn_id: As for `open_store`.
        table_format: `parquet`, `delta` or `iceberg`.
        iceberg_conn_id: The Airflow connection of the Iceberg catalog.
        iceberg_namespace: The namespace of the Iceberg tables.

    Raises:
        AchieveItConfigError: As for `open_store`; or the package of the table format is missing.
        AchieveItStoreError: The store or the catalog can't be opened now.
    """
    require_format(table_format)
    store = open_store(destination, conn_id)
    if table_format == "delta":
        from airflow_provider_achieveit.lake.sinks.delta import open_delta_sink

        return open_delta_sink(store)
    if table_format == "iceberg":
        from airflow_provider_achieveit.lake.sinks.iceberg import open_iceberg_sink

        return open_iceberg_sink(store, _open_catalog(iceberg_conn_id), iceberg_namespace)
    return ParquetSink(store)


def _open_catalog(conn_id: str) -> Any:
    """Return the Iceberg catalog of a connection, by Airflow's own Iceberg provider."""
    from airflow.providers.apache.iceberg.hooks.iceberg import IcebergHook

    try:
        return IcebergHook(conn_id).catalog
    except AirflowNotFoundException as error:
        raise AchieveItConfigError(f"there is no Airflow connection {shown(conn_id)} of an Iceberg catalog") from error
    except Exception as error:  # each kind of catalog has exceptions of its own
        what = f"opening the Iceberg catalog of connection {shown(conn_id)} failed: {type(error).__name__}: {error}"
        raise AchieveItStoreError(what) from error


def catalog_address(conn_id: str) -> str:
    """Return the address of an Iceberg catalog, without credentials; where it has none, the name of its connection.

    Raises:
        AirflowNotFoundException: There is no such connection.
    """
    connection = BaseHook.get_connection(conn_id)
    address = connection.host or connection.extra_dejson.get("uri") or f"iceberg://{conn_id}"
    return re.sub(r"(?<=://)[^/]*@|[?#].*", "", address).rstrip("/")


def require_connection(conn_id: str, destination: Any) -> None:
    """Make sure that a connection exists: some stores take the worker's own identity where it does not.

    Raises:
        AchieveItConfigError: It does not exist.
        AchieveItStoreError: That can't be found out now.
    """
    try:
        BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        what = f"there is no Airflow connection {shown(conn_id)} for destination {shown(destination)}"
        if "@" in str(destination):
            what += ": what stands before the @ is the id of a connection"
        raise AchieveItConfigError(what) from error
    except Exception as error:  # a secrets backend has exceptions of its own
        what = f"looking up the connection {shown(conn_id)} failed: {type(error).__name__}: {error}"
        raise AchieveItStoreError(what) from error


def open_filesystem(place: Place) -> AbstractFileSystem:
    """Return a new filesystem for a place, with its connection's credentials of this moment.

    Raises:
        AchieveItConfigError: A package is missing, or the connection has values that can't be used.
        AchieveItStoreError: The store can't be opened now.
    """
    named = f"the store of {place.scheme}://{place.path}"
    try:
        fs = get_fs(place.scheme, place.conn_id)
    except (ImportError, KeyError) as error:
        raise AchieveItConfigError(_needs(place.scheme, named, error)) from error
    except ValueError as error:
        if "No filesystem registered" in str(error):
            raise AchieveItConfigError(_needs(place.scheme, named, error)) from error
        what = f"{named} can't be opened with connection {shown(place.conn_id)} ({type(error).__name__}: {error})"
        raise AchieveItConfigError(what) from error
    except Exception as error:  # the stores' own: a token service that is down, a metadata server that does not answer
        raise AchieveItStoreError(f"opening {named} failed: {type(error).__name__}: {error}") from error
    # fsspec keeps every instance for ever. One that is kept has yesterday's credentials, and costs memory.
    with suppress(AttributeError):
        type(fs)._cache.pop(fs._fs_token_, None)
    return fs


def _needs(scheme: str, named: str, error: Exception) -> str:
    return f"{named} can't be opened; it needs {SCHEMES[scheme]} to be installed ({type(error).__name__}: {error})"
