"""A table of a table format, as its sink uses it: load the state, look at data files, exchange data files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake.sinks.data_files import DataFile, landed_schema
from airflow_provider_achieveit.lake.table_file import open_parquet


class ConflictError(Exception):
    """Somebody else has committed to the table since its state was loaded."""


@dataclass(frozen=True)
class LandedFile:
    """A data file of a table.

    Attributes:
        name: Its name, the last part of its path.
        label: The label of all its rows.
        plans: The smallest and the largest plan in it, as far as the format says so.
        modified: When it was written, or later.
        entry: What the format knows it by.
        opener: Opens it for reading.
    """

    name: str
    label: str
    plans: tuple[str, str] | None
    modified: datetime
    entry: Any
    opener: Callable[[], Any]

    def open(self) -> pq.ParquetFile:
        """Open it, and read its footer."""
        return open_parquet(self.opener())

    def may_hold(self, plans: Collection[str]) -> bool:
        """Return whether it may have rows of one of some plans."""
        return self.plans is None or any(self.plans[0] <= plan <= self.plans[1] for plan in plans)


class LandedTable(ABC):
    """A table, at the state that was loaded last.

    Args:
        name: Name of the table, such as `plan_items`.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    @abstractmethod
    def key(self) -> str:
        """The table's name in its destination or catalog."""

    @property
    @abstractmethod
    def uri(self) -> str:
        """Where the table lies, without credentials; known once it is loaded."""

    @property
    @abstractmethod
    def version(self) -> int | None:
        """The version of the state that was loaded; None before the first commit."""

    @property
    @abstractmethod
    def native(self) -> Any:
        """The loaded table as the format's own library has it; None if there is no such table."""

    @abstractmethod
    def load(self) -> bool:
        """Load the newest state; False if there is no such table.

        Raises:
            AchieveItConfigError: The table has other columns, or belongs to another destination.
        """

    @abstractmethod
    def create(self) -> None:
        """Make the table, unless somebody else makes it at the same time."""

    @abstractmethod
    def files(self, label: str | None = None) -> list[LandedFile]:
        """Return the data files with the rows of a label, or of all labels."""

    @abstractmethod
    def replace(self, label: str, removed: Sequence[LandedFile], added: Sequence[DataFile]) -> None:
        """Exchange data files in one commit, if the table still is in the state that was loaded.

        Args:
            label: The label of the rows.
            removed: Files of the table.
            added: Local files, which are uploaded unless they are already.

        Raises:
            ConflictError: The table is in another state by now, and nothing was committed.
        """

    def check_columns(self, found: pa.Schema) -> None:
        """Refuse a table that has other columns than a new one would have.

        Raises:
            AchieveItConfigError: It has; the message names them.
        """
        there, wanted = _columns(found), _columns(landed_schema(self.name))
        if there == wanted:
            return
        other = ", ".join([column for column in there if column not in wanted]) or "none"
        missing = ", ".join([column for column in wanted if column not in there]) or "none"
        what = (
            f"table {self.uri} has other columns than this version of the provider writes, or another order of them: "
            f"unknown are {other:.500}; missing are {missing:.500}"
        )
        raise AchieveItConfigError(what)


def _columns(schema: pa.Schema) -> list[str]:
    """Spell names and types of columns, whatever a list's element is called."""
    return [f"{field.name} {_spelled(field.type)}" for field in schema]


def _spelled(kind: pa.DataType) -> str:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{_spelled(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{field.name} {_spelled(field.type)}' for field in kind)}>"
    return "string" if pa.types.is_large_string(kind) else str(kind)
