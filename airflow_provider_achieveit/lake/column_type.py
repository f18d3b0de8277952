"""What a type of columns is: how JSON writes it, how the lake holds it, and which values fit.

A column of a clean page is converted as a whole (`cast`). The values of a column that holds something odd are looked
at one by one (`coerce`), written again as the API writes them, and then cast in the same way. `cast` and `coerce` of a
type must agree on what fits, or an item would depend on the page that it came with: both use the limits of its class.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa

#: A number as JSON has it, and a little more generous: a sign, no digit before or after the point.
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class DoesNotFit(Exception):
    """A value is not what its column holds, or a body is not what pyarrow's JSON reader was told to expect."""


class JsonNumber(str):
    """A JSON number as its digits stand in the body, or NaN, Infinity or -Infinity, which JSON does not have."""

    __slots__ = ()

    @property
    def is_number(self) -> bool:
        """Whether it is a number in JSON."""
        return NUMBER.fullmatch(self) is not None


class ColumnType:
    """The type of a column.

    Attributes:
        arrow: The type in the lake.
        wire: The type that pyarrow's JSON reader is told to expect.
        python: The Python types of JSON values that this reader takes for `wire`.
    """

    arrow: ClassVar[pa.DataType]
    wire: ClassVar[pa.DataType]
    python: ClassVar[frozenset[type]]

    def is_readable(self, values: Sequence[Any]) -> bool:
        """Return whether pyarrow's JSON reader accepts these values; `cast` validates their content later."""
        return set(map(type, values)) <= self.python

    def check(self, column: pa.Array) -> None:  # most types have nothing to add
        """Look for values that `cast`, or pyarrow's JSON reader before it, may change without an error.

        Raises:
            DoesNotFit: There is one. Not every such value fails to fit: `coerce` decides.
        """

    def cast(self, column: pa.Array) -> pa.Array:
        """Convert a column of type `wire`, whose values were checked or coerced, to the type of the lake.

        Raises:
            DoesNotFit: A value is not what the column holds.
            pyarrow.ArrowException: The same, found by pyarrow.
        """
        return column

    def coerce(self, value: Any) -> Any:
        """Return a JSON value in the form that pyarrow's JSON reader and `cast` accept.

        Raises:
            DoesNotFit: The column cannot hold the value.
        """
        raise NotImplementedError
