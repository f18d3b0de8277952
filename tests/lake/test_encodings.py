"""The file of a snapshot is encoded as declared: sizes, speed and pruning of row groups rest on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from airflow_provider_achieveit.lake.schema import DICTIONARY_COLUMNS, STATISTICS_COLUMNS
from tests.lake.support import read

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lake.support import Connect
    from tests.support.faulty_sandbox import Sandbox


def test_columns_have_the_declared_dictionaries_and_statistics(
    sandbox: Sandbox, connect: Connect, tmp_path: Path
) -> None:
    """Dictionaries for what repeats, smallest and largest values for what is in an order, also within lists; zstd."""
    sandbox.put_plan("p", 300)
    taken, _ = read(connect(), tmp_path)
    group = pq.ParquetFile(taken.items.path).metadata.row_group(0)
    columns = {column.path_in_schema: column for column in map(group.column, range(group.num_columns))}
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    with_dictionary = {path for path, column in columns.items() if column.has_dictionary_page}
    assert with_dictionary == set(DICTIONARY_COLUMNS)
    assert "checklists.list.element.items.list.element.sort_index" in with_dictionary
    # There are none where every value is null.
    with_ends = {path for path, column in columns.items() if column.is_stats_set and column.statistics.has_min_max}
    all_null = {path for path in STATISTICS_COLUMNS if _is_null(taken.items.path, path)}
    assert with_ends == set(STATISTICS_COLUMNS) - all_null
    assert "last_updated" in with_ends


def _is_null(path: Path, column: str) -> bool:
    """Whether a column has no value."""
    values = pq.ParquetFile(path).read([column]).column(0)
    return values.null_count == len(values)
