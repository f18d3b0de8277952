"""Empty lakes in each table format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lake.formats.lakes import DeltaLake, IcebergLake, Lake

if TYPE_CHECKING:
    from pathlib import Path

FORMATS: dict[str, type[Lake]] = {"delta": DeltaLake, "iceberg": IcebergLake}


@pytest.fixture(params=FORMATS)
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A destination in which nothing has landed."""
    if request.param == "iceberg":
        pytest.importorskip("pyiceberg", reason="pyiceberg needs pyarrow 18")
    return FORMATS[request.param](tmp_path / "lake")
