"""One process that exports again and again, as a worker or a notebook does, keeps nothing of an export."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import airflow_provider_achieveit
from airflow_provider_achieveit import sandbox as local_api

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
    from tests.lake.stores import LocalStores, Stores

    Export = Callable[..., AchieveItExportOperator]

OURS = f"{airflow_provider_achieveit.__name__}."
OPEN_FILES = Path("/proc/self/fd")
MANY = 10


def _is_ours(module: Any) -> bool:
    return isinstance(module, str) and module.startswith(OURS) and not module.startswith(local_api.__name__)


def holdings() -> Counter[str]:
    """How many objects of each of our classes there are, and how many threads and open files."""
    gc.collect()
    types = (type(thing) for thing in gc.get_objects())
    found = Counter(kind.__qualname__ for kind in types if _is_ours(vars(kind).get("__module__")))
    found["threads"] = threading.active_count()
    found["open files"] = len(os.listdir(OPEN_FILES)) if OPEN_FILES.is_dir() else 0  # noqa: PTH208  # names only
    return found


def grown(before: Counter[str], seconds: float = 20.0) -> dict[str, int]:
    """What there is once more for each export; connections may take a moment to end, here and in the servers."""
    end = time.monotonic() + seconds
    while True:
        more = {name: count for name, count in (holdings() - before).items() if count >= MANY}
        if not more or time.monotonic() > end:
            return more
        time.sleep(0.1)


@pytest.mark.parametrize("place", ["lake", pytest.param("s3", marks=pytest.mark.slow)])
def test_nothing_of_an_export_stays_in_the_process(request: pytest.FixtureRequest, export: Export, place: str) -> None:
    """No object, thread, socket or file, however many exports there were; to local files and to S3."""
    stores: LocalStores | Stores = request.getfixturevalue(place)
    where = {"destination": stores.uri, **({"destination_conn_id": "aws_lake"} if place == "s3" else {})}

    def run(count: int) -> None:
        for _ in range(count):
            assert export(**where, tables="normalized").execute({})["rows"] == 25

    run(2)  # what is made once: caches, the thread of fsspec
    before = holdings()
    run(MANY)
    assert grown(before) == {}
