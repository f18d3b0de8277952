"""What every test needs: an Airflow home of its own, so that no test sees, or writes to, the caller's Airflow.

Airflow reads its configuration when it is first imported, which is why this happens here and not in a fixture.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.api.retry import Pauses
    from tests.lake.azure_stores import AzureStores
    from tests.lake.stores import GcsStores, S3Stores
    from tests.support.faulty_sandbox import Sandbox

for name in [name for name in os.environ if name.lstrip("_").startswith("AIRFLOW")]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

#: Long and odd enough to be found wherever it should not be.
API_KEY = "k3y-a6f1d0c9e8b7a4f2"

#: Fixtures that give a store, or a catalog, behind HTTP.
STORES = {"stores", "remote", "s3", "running_s3", "running_azure", "iceberg_rest"}


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    """One server for all tests: `sandbox` makes it as good as new."""
    from tests.support.faulty_sandbox import Sandbox

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """A local AchieveIt API with the plans `p1` (25 items), `one` (one item) and `empty`."""
    running_sandbox.wait_until_idle()  # requests of the test before are not this one's
    for plan_id in list(running_sandbox.plans):
        running_sandbox.remove_plan(plan_id)
    for plan_id, items in {"p1": 25, "one": 1, "empty": 0}.items():
        running_sandbox.put_plan(plan_id, items)
    running_sandbox.key = API_KEY
    running_sandbox.latency, running_sandbox.max_take, running_sandbox.gzip = 0.0, 1500, False
    running_sandbox.before_request = None
    running_sandbox.script()
    running_sandbox.reset_requests()
    return running_sandbox


@pytest.fixture
def pauses() -> Pauses:
    """Those of the clients that `connect` makes, unless it is told others."""
    from airflow_provider_achieveit.api.retry import Pauses

    return Pauses()


@pytest.fixture
def connect(sandbox: Sandbox, pauses: Pauses) -> Iterator[Callable[..., AchieveItClient]]:
    """Makes clients of the sandbox, or of another `base_url`, that lose patience early."""
    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.api.settings import ClientSettings

    with ExitStack() as stack:

        def connect(pauses: Pauses = pauses, **settings: Any) -> AchieveItClient:
            quick = {"base_url": sandbox.url, "connect_timeout": 5, "read_timeout": 5, "max_retry_seconds": 10}
            client = AchieveItClient(API_KEY, ClientSettings(**{**quick, **settings}), pauses=pauses)
            stack.callback(client.close)
            return client

        yield connect


@pytest.fixture
def client(connect: Callable[..., AchieveItClient]) -> AchieveItClient:
    """A client of the sandbox that asks for ten items at a time."""
    return connect(page_size=10)


@pytest.fixture(scope="session")
def running_s3() -> Iterator[S3Stores]:
    """S3 for all tests: moto, or Ceph where the real servers are unpacked."""
    from tests.lake.stores import S3Stores
    from tests.support.forward import Forward
    from tests.support.servers import SERVERS, Ceph

    with ExitStack() as stack:
        if SERVERS is None:
            yield stack.enter_context(S3Stores())
        else:
            ceph = stack.enter_context(Ceph())
            yield stack.enter_context(S3Stores(Forward(ceph.port), ceph.key, ceph.secret))


@pytest.fixture(scope="session")
def running_gcs() -> Iterator[GcsStores]:
    """GCS for all tests, as an emulator plays it: there is no other server that could be installed."""
    from tests.lake.stores import GcsStores

    with GcsStores() as stores:
        yield stores


@pytest.fixture(scope="session")
def running_azure() -> Iterator[AzureStores]:
    """Azure for all tests, as Azurite plays it."""
    from tests.lake.azure_stores import AzureStores
    from tests.support.servers import Azurite

    with Azurite() as azurite, AzureStores(azurite) as stores:
        yield stores


@pytest.fixture(scope="session")
def iceberg_rest() -> Iterator[str | None]:
    """The URL of an Iceberg REST catalog for all tests, which programs find in the environment as well.

    None where no server is unpacked.
    """
    from tests.support.servers import SERVERS, IcebergRest

    if SERVERS is None:
        yield None
        return
    with IcebergRest() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACHIEVEIT_ICEBERG_REST", server.url)
        yield server.url


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where the real servers are unpacked, leave out what has to do with none of them."""
    if "ACHIEVEIT_SERVERS" not in os.environ:
        return
    kept = [item for item in items if item.get_closest_marker("distributed") or STORES & {*item.fixturenames}]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
