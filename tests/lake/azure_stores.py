"""Azure Blob Storage as Azurite, Microsoft's own emulator, plays it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from adlfs import AzureBlobFileSystem
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from airflow_provider_achieveit.lake.sinks.objects import Store
from tests.lake.stores import BUCKET, ROOT, GatedStores
from tests.support.forward import Forward

if TYPE_CHECKING:
    from tests.support.servers import Azurite

_PREFIX = f"{ROOT}/".partition("/")[2]


class AzureStores(GatedStores):
    """A container of Azurite's one account, whose name is public like its key.

    With `narrow` or `write_only` the store knows a shared access signature of the container alone, and no key.
    """

    uri = f"abfs://{ROOT}"

    def __init__(self, azurite: Azurite) -> None:
        super().__init__(Forward(azurite.port))
        self.account, self.key = azurite.account, azurite.key
        self.secret = self.key
        service = BlobServiceClient(f"http://127.0.0.1:{azurite.port}/{self.account}", self.key)
        self._container = service.create_container(BUCKET)

    @property
    def connection_string(self) -> str:
        """What Azure's portal shows under "Access keys", or under "Shared access tokens"."""
        endpoint = f"BlobEndpoint={self.endpoint}/{self.account};"
        if self.narrow or self.write_only:
            return f"{endpoint}SharedAccessSignature={self._signature()}"
        return f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={self.key};{endpoint}"

    def _signature(self) -> str:
        rights = ContainerSasPermissions(read=self.narrow, write=True, list=True, delete=True)
        expires = datetime.now(UTC) + timedelta(hours=1)
        return generate_container_sas(self.account, BUCKET, self.key, permission=rights, expiry=expires)

    @property
    def connection(self) -> dict[str, Any]:
        kind = "adls" if self.narrow else "wasb"  # Airflow has two for it
        return {"conn_type": kind, "extra": {"connection_string": self.connection_string}}

    def store(self) -> Store:
        fs = AzureBlobFileSystem(connection_string=self.connection_string, skip_instance_cache=True)
        return Store(fs, ROOT)

    def objects(self) -> dict[str, bytes]:
        names = list(self._container.list_blob_names(name_starts_with=_PREFIX))
        return {name.removeprefix(_PREFIX): self._container.download_blob(name).readall() for name in names}

    def put(self, key: str, body: bytes | None) -> None:
        if body is not None:
            self._container.upload_blob(f"{_PREFIX}{key}", body, overwrite=True)
        elif f"{_PREFIX}{key}" in self._container.list_blob_names(name_starts_with=f"{_PREFIX}{key}"):
            self._container.delete_blob(f"{_PREFIX}{key}")
