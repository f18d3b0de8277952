"""Empty lakes in each table format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lake.formats.lakes import DeltaLake, IcebergLake, Lake, RestLake
from tests.support.servers import SERVERS

if TYPE_CHECKING:
    from pathlib import Path

FORMATS: dict[str, type[Lake]] = {"delta": DeltaLake, "iceberg": IcebergLake, "iceberg-rest": RestLake}
#: `make test-stores` has a REST catalog, and leaves the others to the other targets.
HERE = ("delta", "iceberg") if SERVERS is None else ("iceberg-rest",)


@pytest.fixture(params=HERE)
def lake(request: pytest.FixtureRequest, tmp_path: Path, iceberg_rest: str | None) -> Lake:
    """A destination in which nothing has landed."""
    if request.param == "iceberg":
        pytest.importorskip("pyiceberg", reason="pyiceberg needs pyarrow 18")
    return FORMATS[request.param](tmp_path / "lake")
