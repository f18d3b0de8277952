"""What a plan holds at one moment: rendered items, and the pages that are made of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_achieveit.sandbox.sorting import SORT_KEYS, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_achieveit.sandbox.generate import Item

#: The fields that follow from where an item stands in its plan.
POSITION = frozenset({"rowNumber", "sequenceId"})

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_escaped = json.JSONEncoder(separators=(",", ":")).encode


def render(value: Any) -> bytes:
    """JSON as the API writes it: compact UTF-8."""
    try:
        return _compact(value).encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8, but it has an escape
        return _escaped(value).encode()


class Row(NamedTuple):
    """One item, rendered without its position, so that a move touches no other row.

    The position belongs between `head`, which holds `id` and `sourceId`, and `tail`, which starts with `planId`.
    """

    key: Any
    depth: int
    updated: Any
    head: bytes
    tail: bytes

    @classmethod
    def of(cls, item: Item, depth: int) -> Row:
        """Render an item that has no position, at a depth in the plan's tree."""
        # The first match is the field: inside of a string the quotes would be escaped.
        head, _, tail = render(item).partition(b',"planId":')
        return cls(item["id"], depth, item.get("lastUpdated"), head + b",", b'"planId":' + tail)

    def at(self, position: bytes) -> tuple[bytes, ...]:
        """The item's JSON at a position (see `State.positions`), in parts."""
        return self.head, position, self.tail

    def values(self) -> Item:
        """The item without its position, as a fresh dict."""
        values: Item = json.loads(self.head + self.tail)
        return values

    def changed(self, values: Item) -> Row:
        """The same row with other values."""
        return Row.of(values, self.depth)


class State:
    """Everything a plan held at one moment. Never changes, so it is cheap to keep and safe to read from any thread."""

    def __init__(self, rows: tuple[Row, ...], positions: list[bytes] | None = None) -> None:
        self.rows = rows
        self._positions = positions
        self._orders: dict[tuple[str, bool], Sequence[int]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def items(self) -> list[Item]:
        """All items in the order of the plan, as the API would spell them: fresh dicts, yours to change."""
        return [self.item(index) for index in range(len(self.rows))]

    def item(self, index: int) -> Item:
        """One item, as a fresh dict."""
        item: Item = json.loads(b"".join(self.rows[index].at(self.positions()[index])))
        return item

    def page(self, sort_key: str, descending: bool, skip: int, take: int) -> bytes:
        """The body of a response."""
        rows, positions = self.rows, self.positions()
        parts = [b'{"items":[']  # joined once: pages are large
        for index in self._order(sort_key, descending)[skip : skip + take]:
            parts += (*rows[index].at(positions[index]), b",")
        end = b'],"totalCount":%d}' % len(rows)
        return b"".join([*parts[:-1], end] if len(parts) > 1 else [*parts, end])

    def positions(self) -> list[bytes]:
        """`rowNumber` and `sequenceId` of each row, rendered: an outline number made from the order and the depths."""
        if self._positions is None:
            counters: list[int] = []
            positions = []
            for row_number, row in enumerate(self.rows, 1):
                depth = min(row.depth, len(counters))
                counters[depth:] = [counters[depth] + 1 if depth < len(counters) else 1]
                outline = ".".join(map(str, counters)).encode()
                positions.append(b'"rowNumber":%d,"sequenceId":"%b",' % (row_number, outline))
            self._positions = positions
        return self._positions

    def _order(self, sort_key: str, descending: bool) -> Sequence[int]:
        if sort_key == "sequenceId":
            everything = range(len(self.rows))
            return everything[::-1] if descending else everything
        order = self._orders.get((sort_key, descending))
        if order is None:
            if sort_key == "lastUpdated":  # asked for whenever a plan's version is: parse no items for it
                ranks = [moment(row.updated) for row in self.rows]
            else:
                ranks = [SORT_KEYS[sort_key](item) for item in self.items()]
            # Python's sort keeps equal elements in their order, also when it is reversed: ties are in sequence.
            order = sorted(range(len(self.rows)), key=ranks.__getitem__, reverse=descending)
            self._orders[sort_key, descending] = order
        return order
