"""Arrow columns of a few Python values.

`pa.array` and `pa.scalar` import pandas in some versions, where it is installed: over a second, and 50 MB.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc


def integers(values: Iterable[int]) -> pa.Array:
    """Return a column of 64-bit integers."""
    content = array("q", values)
    return pa.Array.from_buffers(pa.int64(), len(content), [None, pa.py_buffer(content)])


def texts(values: Sequence[str | None]) -> pa.Array:
    """Return a column of text."""
    contents = [b"" if value is None else value.encode() for value in values]
    offsets = array("i", accumulate(map(len, contents), initial=0))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(contents))]
    column = pa.Array.from_buffers(pa.string(), len(values), buffers)
    is_there = integers(value is not None for value in values).cast(pa.bool_())
    return pc.if_else(is_there, column, pa.nulls(len(values), pa.string()))


def repeated(value: str | None, count: int) -> pa.Array:
    """Return a column of text that is the same in every row."""
    return pa.repeat(texts([value])[0], count)
