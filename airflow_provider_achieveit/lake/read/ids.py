"""Distinct ids of a finished file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from airflow_provider_achieveit.lake.errors import AchieveItScratchError
from airflow_provider_achieveit.lake.table_file import open_parquet


def repeated_ids(path: Path, rows: int) -> list[str]:
    """Return the ids that a file of items has more than once.

    The file is read as it was written, so that rows which were lost on the way show as well.

    Args:
        path: The file.
        rows: Number of rows that it should have.

    Raises:
        AchieveItScratchError: It has another number of rows.
    """
    # Their hashes, a row group at a time: about 90 bytes an item, where counting in pyarrow takes 500.
    found, hashes = 0, set[int]()
    for ids in _ids(path):
        found += len(ids)
        hashes.update(map(hash, ids))
    if found != rows:
        raise AchieveItScratchError(f"{path} has {found} rows instead of the {rows} that were written")
    if len(hashes) == rows:
        return []
    return [item_id for item_id, count in Counter(chain.from_iterable(_ids(path))).items() if count > 1]


def _ids(path: Path) -> Iterator[list[str]]:
    """Yield the ids of a file, a row group at a time."""
    with open_parquet(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, ["id"], use_threads=False).column("id").to_pylist()
