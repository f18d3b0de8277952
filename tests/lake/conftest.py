"""What the tests of `lake` share: a plan of three pages, no pauses between attempts, and stores over real HTTP."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from airflow_provider_achieveit.api.retry import Pauses
from tests.lake.stores import EVERY, REMOTE, empty_stores

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.lake.stores import RemoteStores, Stores
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


@pytest.fixture(params=REMOTE)
def remote(request: pytest.FixtureRequest) -> RemoteStores:
    """An empty store of one kind, behind real HTTP."""
    stores: RemoteStores = request.getfixturevalue(f"running_{request.param}")
    stores.empty()
    return stores


@pytest.fixture(params=EVERY)
def stores(request: pytest.FixtureRequest) -> Stores:
    """An empty store of one kind: local files, or one behind real HTTP."""
    return empty_stores(request)
