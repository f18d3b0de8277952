"""The credentials of an fsspec filesystem, as deltalake wants them.

They are asked for at each use, since those of an assumed role expire, and kept nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake.sinks.objects import Store

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

#: Options that anybody may see.
_PUBLIC = {
    "aws_region",
    "aws_endpoint",
    "allow_http",
    "aws_skip_signature",
    "azure_storage_account_name",
    "azure_endpoint",
}


def storage_options(store: Store) -> dict[str, str]:
    """Return the `storage_options` for deltalake with which it sees what the store sees.

    Raises:
        AchieveItConfigError: deltalake can't use such a store, or such credentials.
    """
    if store.is_local:
        return {}
    if store.scheme in ("s3", "s3a"):
        return _s3_options(store.fs)
    if store.scheme in ("abfs", "abfss"):
        return _azure_options(store.fs)
    what = f'destination {store}: table_format="delta" can land on file://, s3:// and abfs:// only'
    raise AchieveItConfigError(what)


def without_secrets(text: str, store: Store) -> str:
    """Return a text in which no credential stands."""
    secrets = [value for name, value in storage_options(store).items() if name not in _PUBLIC]
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _s3_options(fs: AbstractFileSystem) -> dict[str, str]:
    from fsspec.asyn import sync

    client = fs.s3  # connects, and finds out region and endpoint
    # What an AWS client calls the region of a bucket that may be anywhere is no region to sign requests for.
    region = client.meta.region_name
    options = {"aws_region": "us-east-1" if region in (None, "aws-global") else region}
    endpoint = fs.endpoint_url or fs.client_kwargs.get("endpoint_url")
    if endpoint:
        options["aws_endpoint"] = endpoint
        options["allow_http"] = str(urlsplit(endpoint).scheme == "http").lower()
    credentials = None if fs.anon else sync(fs.loop, fs.session.get_credentials)
    if fs.key and fs.secret:
        found: Any = (fs.key, fs.secret, fs.token)
    elif credentials is not None:
        found = sync(fs.loop, credentials.get_frozen_credentials)
    else:
        return {**options, "aws_skip_signature": "true"}
    options["aws_access_key_id"], options["aws_secret_access_key"] = found[0], found[1]
    if found[2]:
        options["aws_session_token"] = found[2]
    return options


def _azure_options(fs: AbstractFileSystem) -> dict[str, str]:
    parts = dict(part.split("=", 1) for part in (fs.connection_string or "").split(";") if "=" in part)
    service = fs.service_client  # knows the address, of whichever of Azure's clouds
    endpoint = urlsplit(service.url)
    options = {
        "azure_storage_account_name": fs.account_name or parts.get("AccountName") or service.account_name,
        "azure_endpoint": f"{endpoint.scheme}://{endpoint.netloc}{endpoint.path.rstrip('/')}",
        "allow_http": str(endpoint.scheme == "http").lower(),
    }
    key = fs.account_key or parts.get("AccountKey")
    signature = fs.sas_token or parts.get("SharedAccessSignature")
    if key:
        options["azure_storage_account_key"] = key
    elif signature:
        options["azure_storage_sas_key"] = signature.lstrip("?")
    elif getattr(fs, "sync_credential", None) is not None:
        options["azure_storage_token"] = fs.sync_credential.get_token("https://storage.azure.com/.default").token
    return options
