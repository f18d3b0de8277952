"""From a destination URI and a connection id to a store: the only module that touches `ObjectStoragePath`."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow_provider_achieveit._compat import ObjectStoragePath
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake.sinks.base import ManifestFolder, Sink
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink

_PACKAGES = {
    "s3": "apache-airflow-providers-amazon[s3fs]",
    "s3a": "apache-airflow-providers-amazon[s3fs]",
    "gs": "apache-airflow-providers-google",
    "gcs": "apache-airflow-providers-google",
    "abfs": "apache-airflow-providers-microsoft-azure and adlfs",
    "abfss": "apache-airflow-providers-microsoft-azure and adlfs",
    "adl": "apache-airflow-providers-microsoft-azure and adlfs",
}


def open_store(destination: str, conn_id: str | None) -> Store:
    """Return the store of a destination.

    The path is built here and not kept: copies of an `ObjectStoragePath` drop its connection.

    Args:
        destination: URI of any filesystem that Airflow knows.
        conn_id: The Airflow connection of the store; None for the store's own default credentials.

    Raises:
        AchieveItConfigError: The destination is empty, or nothing here can write to it.
    """
    if not isinstance(destination, str) or not destination.strip():
        raise AchieveItConfigError(f"destination {destination!r} is empty")
    protocol, bucket = urlsplit(destination)[:2]
    if protocol not in ("", "file") and not bucket.rpartition("@")[2]:
        raise AchieveItConfigError(f"destination {destination!r} names no bucket")
    try:
        # Before Airflow 3.2, conn_id=None hides a connection that the URI itself names (s3://conn@bucket/…).
        path = ObjectStoragePath(destination, **({} if conn_id is None else {"conn_id": conn_id}))
        fs, root = path.fs, path.path
    except Exception as error:  # Airflow and each store raise classes of their own for this
        what = (
            f"destination {destination!r} can't be opened with connection {conn_id!r}{_hint(protocol, bucket, error)} "
            f"({type(error).__name__}: {error})"
        )
        raise AchieveItConfigError(what) from error
    return Store(fs, root)


def open_manifests(destination: str, conn_id: str | None) -> ManifestFolder:
    """Return the manifests below a destination, which are alike in every table format."""
    return ManifestFolder(open_store(destination, conn_id))


def open_sink(destination: str, conn_id: str | None) -> Sink:
    """Return the sink of a destination."""
    return ParquetSink(open_store(destination, conn_id))


def _hint(protocol: str, bucket: str, error: Exception) -> str:
    """Say what a destination that can't be opened may need."""
    if protocol not in _PACKAGES:
        return f": known protocols are {', '.join(['file', *sorted(_PACKAGES)])}"
    if "@" in bucket and not isinstance(error, ImportError | ValueError):  # these mean that something is not installed
        return f": what stands before the @ is an Airflow connection, so {bucket.partition('@')[0]!r} has to be one"
    return f"; it needs {_PACKAGES[protocol]} to be installed"
