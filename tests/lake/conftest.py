"""What the tests of `lake` share: a plan of three pages, no pauses between attempts, and stores over real HTTP."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from airflow_provider_achieveit.api.retry import Pauses
from tests.lake.stores import GcsStores, LocalStores, S3Stores, Stores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.lake.support import Connect
    from tests.support.faulty_sandbox import Plan, Sandbox


@pytest.fixture
def plan(sandbox: Sandbox) -> Plan:
    """A plan of ten items: three pages of four that overlap by one."""
    return sandbox.put_plan("p", 10)


@pytest.fixture
def client(connect: Connect) -> AchieveItClient:
    """A client that asks for four items at a time, for one page after the other, and gives up at once."""
    return connect(page_size=4, max_concurrency=1, max_retry_seconds=0)


@pytest.fixture
def pauses() -> Pauses:
    """Attempts follow each other at once; one test shows that they pause otherwise."""
    return Pauses(between_reads=(0.0, 0.0))


@pytest.fixture(autouse=True)
def spools(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary directory, for one test alone."""
    directory = tmp_path_factory.mktemp("spools")
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


@pytest.fixture(scope="session")
def running_s3() -> Iterator[S3Stores]:
    """S3 for all tests."""
    with S3Stores() as stores:
        yield stores


@pytest.fixture(scope="session")
def running_gcs() -> Iterator[GcsStores]:
    """GCS for all tests."""
    with GcsStores() as stores:
        yield stores


@pytest.fixture(params=["files", "s3", "gcs"])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Empty stores of one kind: local files, S3 and GCS, the latter two behind real HTTP."""
    if request.param == "files":
        return LocalStores(request.getfixturevalue("tmp_path") / "lake")
    stores: Stores = request.getfixturevalue(f"running_{request.param}")
    stores.empty()
    return stores
