"""What a plan holds at one moment: rendered items, and the pages that are made of them."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_achieveit.sandbox.sorting import SORT_KEYS, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_achieveit.sandbox.generate import Item

#: The fields that follow from where an item stands in its plan.
POSITION = frozenset({"rowNumber", "sequenceId"})

_BEGIN = ["id", "sourceId", "planId"]
_GZIP_PAGES = 256

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_escaped = json.JSONEncoder(separators=(",", ":")).encode


def render(value: Any) -> bytes:
    """JSON as the API writes it: compact UTF-8."""
    try:
        return _compact(value).encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8, but it has an escape
        return _escaped(value).encode()


class Row(NamedTuple):
    """One item, rendered. Where it stands in the plan is not in here: a move then touches no other row.

    `head` ends before `rowNumber`; `tail` starts after `sequenceId` and ends with the comma that follows the item. A
    row with a position of its own, or whose very bytes were given, has no head.
    """

    key: str
    depth: int
    updated: Any
    head: bytes
    tail: bytes

    @classmethod
    def of(cls, item: Item, depth: int, key: str = "") -> Row:
        """Render an item.

        Args:
            item: The item, without its position.
            depth: How deep it would like to stand in the tree.
            key: By which name it is found if it has no id of its own.
        """
        item_id = item.get("id")
        key = item_id if isinstance(item_id, str) else key
        text, cut = render(item), 0
        if POSITION.isdisjoint(item):
            if [*islice(item, 3)] == _BEGIN:
                # Where the rest begins can't be mistaken: inside of a string the quotes would be escaped.
                cut = text.index(b',"planId":') + 1
            else:  # a test took one of these three away; the position still follows the ids
                ids = {field: item[field] for field in _BEGIN[:2] if field in item}
                text, cut = render(ids | item), len(render(ids)) if ids else 1
        return cls(key, depth, item.get("lastUpdated"), text[:cut], text[cut:] + b",")


class State:
    """Everything a plan held at one moment. Never changes, so it is cheap to keep and safe to read from any thread."""

    def __init__(self, rows: tuple[Row, ...], positions: list[bytes] | None = None) -> None:
        self.rows = rows
        self._positions = positions
        self._orders: dict[tuple[str, bool], Sequence[int]] = {}
        self._gzipped: dict[tuple[str, bool, int, int], bytes] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def items(self) -> list[Item]:
        """All items in the order of the plan, as the API would spell them: fresh dicts, yours to change."""
        return [self.item(index) for index in range(len(self.rows))]

    def item(self, index: int) -> Item:
        """One item, as a fresh dict."""
        row = self.rows[index]
        item: Item = json.loads(row.head + self.positions()[index] + row.tail[:-1])
        return item

    def page(self, sort_key: str, descending: bool, skip: int, take: int) -> bytes:
        """The body of a response."""
        rows, positions = self.rows, self.positions()
        parts = [b'{"items":[']
        for index in self._order(sort_key, descending)[skip : skip + take]:
            row = rows[index]
            parts += (row.head, positions[index], row.tail)
        if len(parts) > 1:
            parts[-1] = parts[-1][:-1]
        parts.append(b'],"totalCount":%d}' % len(rows))
        return b"".join(parts)

    def gzipped_page(self, sort_key: str, descending: bool, skip: int, take: int) -> bytes:
        """The body of a response, compressed; kept, because compressing costs much more than anything else here."""
        page = (sort_key, descending, skip, take)
        body = self._gzipped.get(page)
        if body is None:
            body = gzip.compress(self.page(*page), compresslevel=1, mtime=0)
            if len(self._gzipped) < _GZIP_PAGES:
                self._gzipped[page] = body
        return body

    def positions(self) -> list[bytes]:
        """`rowNumber` and `sequenceId` of each row, rendered: an outline number made from the order and the depths."""
        if self._positions is None:
            counters: list[int] = []
            positions = []
            for number, row in enumerate(self.rows, 1):
                depth = min(row.depth, len(counters))
                if depth == len(counters):
                    counters.append(1)
                else:
                    del counters[depth + 1 :]
                    counters[depth] += 1
                outline = ".".join(map(str, counters)).encode()
                positions.append(b'"rowNumber":%d,"sequenceId":"%b",' % (number, outline) if row.head else b"")
            self._positions = positions
        return self._positions

    def _order(self, sort_key: str, descending: bool) -> Sequence[int]:
        if sort_key == "sequenceId":
            everything = range(len(self.rows))
            return everything[::-1] if descending else everything
        order = self._orders.get((sort_key, descending))
        if order is None:
            if sort_key == "lastUpdated":  # asked for at every look at a plan's version: parse no items for it
                ranks = [moment(row.updated) for row in self.rows]
            else:
                ranks = [SORT_KEYS[sort_key](item) for item in self.items()]
            # Python's sort keeps equal elements in their order, also when it is reversed: ties are in sequence.
            order = sorted(range(len(self.rows)), key=ranks.__getitem__, reverse=descending)
            self._orders[sort_key, descending] = order
        return order
