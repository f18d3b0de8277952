"""What can only happen where the catalog is a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from tests.lake.formats.lakes import IcebergLake, RestLake, land, problems
from tests.support.servers import SERVERS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(SERVERS is None, reason="`make test-stores` has a REST catalog")


@pytest.fixture
def lake(tmp_path: Path, iceberg_rest: str) -> IcebergLake:
    """Plan `a` has landed."""
    lake = RestLake(tmp_path / "lake")
    land(lake.sink(), tmp_path, {"a": ["1"]})
    return lake


def test_a_commit_of_which_nobody_knows_whether_it_was_done_is_repaired(
    lake: IcebergLake, tmp_path: Path, iceberg_rest: str
) -> None:
    """The catalog has done it, and its answer was lost: the task fails, and the next one lands the rows once."""
    requests.post(f"{iceberg_rest}/faults", data="1", timeout=10)
    with pytest.raises(AchieveItStoreError, match=r"committing to the Iceberg table achieveit\.plan_items failed"):
        land(lake.sink(), tmp_path, {"a": ["2", "3"]})
    assert lake.ids() == [("monday", "a", "2"), ("monday", "a", "3")]
    [before] = lake.sink().manifests()
    assert problems(lake.sink(), before, tmp_path)[0].startswith("has 2 rows")
    [manifest] = land(lake.sink(), tmp_path, {"a": ["2", "3"]})
    assert lake.ids() == [("monday", "a", "2"), ("monday", "a", "3")]
    assert problems(lake.sink(), manifest, tmp_path) == []


def test_a_catalog_that_is_gone_is_named(lake: IcebergLake) -> None:
    """A task may try again, so it is an error of a store."""
    sink = lake.sink()
    sink._catalog.uri = "http://127.0.0.1:1"
    with pytest.raises(AchieveItStoreError, match=r"loading the Iceberg table achieveit\.plan_items failed"):
        sink.check()
