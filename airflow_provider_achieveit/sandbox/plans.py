"""Plans that can be edited while they are read."""

from __future__ import annotations

import random
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_achieveit.sandbox.checks import FLAG, INDEX, ITEM, OBJECT, Kind, check, shown
from airflow_provider_achieveit.sandbox.generate import GENERATED_BEFORE, generate_items, plan_name
from airflow_provider_achieveit.sandbox.state import POSITION, Row, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_achieveit.sandbox.generate import Item

_TICKS_PER_SECOND = 10**7


class Clock:
    """Times as a .NET service writes them, each later than every one before, also for who cuts them to microseconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ticks = int(GENERATED_BEFORE.timestamp()) * _TICKS_PER_SECOND

    def tick(self) -> str:
        """The time now, or a microsecond after the last one that was given out."""
        with self._lock:
            self._ticks = max(self._ticks + _TICKS_PER_SECOND // 10**6, time.time_ns() // 100)
            seconds, fraction = divmod(self._ticks, _TICKS_PER_SECOND)
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:07d}Z"


class Plan:
    """A plan that people edit. Every method is safe to call from any thread.

    `item` is an index in the order of the plan, an item's id, or None for one at random.

    Args:
        plan_id: The plan's id.
        items: How many items to generate, when they are first needed.
        name: The plan's name; None makes one up.
        seed: Another seed gives other items.
        clock: Where edits take `lastUpdated` from.
    """

    #: What `change` can do, and the arguments that each operation takes: positional ones first, in their order.
    operations: ClassVar[Mapping[str, Mapping[str, Kind]]] = {
        "edit": {"item": ITEM, "touch": FLAG, "fields": OBJECT},
        "insert": {"at": INDEX, "touch": FLAG, "fields": OBJECT},
        "delete": {"item": ITEM},
        "move": {"item": ITEM, "to": INDEX},
    }

    def __init__(self, plan_id: str, items: int, *, name: str | None = None, seed: int = 0, clock: Clock | None = None):
        self.id = plan_id
        self.name = name or plan_name(plan_id, seed)
        self.forbidden = False
        self._size = items
        self._state: State | None = None
        self._clock = clock or Clock()
        self._lock = threading.RLock()
        self._generator = generate_items(plan_id, self.name, seed)
        self._random = random.Random(f"{seed}:{plan_id}:edits")  # noqa: S311 - which items are edited is no secret
        self._edits = 0

    def __len__(self) -> int:
        state = self._state
        return self._size if state is None else len(state)

    def state(self) -> State:
        """What the plan holds now; costs nothing."""
        with self._lock:
            if self._state is None:
                self._state = State(tuple(Row.of(item, depth) for depth, item in islice(self._generator, self._size)))
            return self._state

    def items(self) -> list[Item]:
        """All current items in the order of the plan, as fresh dicts."""
        return self.state().items()

    def edit(self, item: int | str | None = None, /, *, touch: bool = True, **fields: Any) -> Item:
        """Change fields of an item, by default its name, as a user does.

        Args:
            item: Which one.
            touch: Whether `lastUpdated` moves to now (unless it is among the fields).
            fields: New values in the API's spelling.

        Returns:
            The item as it is now.

        Raises:
            LookupError: There is no such item.
        """
        with self._lock:
            index, row = self._find(item)
            values = row.values()
            self._edits += 1
            if not fields:
                fields = {"name": f"{str(values.get('name')).split(' (edit ')[0]} (edit {self._edits})"}
            if "name" in fields:
                fields = {"indentedName": f"{'  ' * row.depth}{fields['name']}"} | fields
            if touch:
                fields = {"lastUpdated": self._clock.tick()} | fields
            return self._put(index, row.changed(values | fields))

    def insert(self, at: int | None = None, /, *, touch: bool = True, **fields: Any) -> Item:
        """Add an item.

        Args:
            at: Its index, at random by default.
            touch: Whether it was created and updated just now; if not, it is an old item that comes back.
            fields: Values that differ from the generated ones.

        Returns:
            The new item.
        """
        with self._lock:
            rows = self.state().rows
            depth, values = next(self._generator)
            if touch:
                values["created"] = values["lastUpdated"] = self._clock.tick()
            index = self._random.randint(0, len(rows)) if at is None else range(len(rows) + 1)[at]
            self._become(State((*rows[:index], Row.of(values | fields, depth), *rows[index:])))
            return self.state().item(index)

    def delete(self, item: int | str | None = None, /) -> Item:
        """Remove one item, not those below it, and return what it was."""
        with self._lock:
            index, _ = self._find(item)
            gone, rows = self.state().item(index), self.state().rows
            self._become(State(rows[:index] + rows[index + 1 :]))
            return gone

    def move(self, item: int | str | None = None, to: int | None = None, /) -> Item:
        """Put one item, not those below it, at another index, at random by default; `lastUpdated` stays."""
        with self._lock:
            index, _ = self._find(item)
            rows = list(self.state().rows)
            target = self._random.randrange(len(rows)) if to is None else range(len(rows))[to]
            rows.insert(target, rows.pop(index))
            self._become(State(tuple(rows)))
            return self.state().item(target)

    @classmethod
    def check(cls, operation: str, arguments: Any) -> None:
        """Refuse what `change` does not take.

        Raises:
            ValueError: The operation or an argument is not known.
        """
        if operation not in cls.operations:
            raise ValueError(f"unknown operation {shown(operation)}; known: {', '.join(cls.operations)}")
        check(operation, arguments, cls.operations[operation])
        if fixed := {*POSITION, "id", "planId", "touch"}.intersection(arguments.get("fields", {})):
            raise ValueError(f"{operation} cannot set {', '.join(sorted(fixed))}; `move` changes where an item stands")

    def change(self, operation: str, arguments: Mapping[str, Any]) -> Item:
        """Call a method of this class, asked for in JSON.

        Args:
            operation: One of `operations`.
            arguments: Some of those that `operations` lists for it.

        Raises:
            ValueError: The operation or an argument is not known.
            LookupError: There is no such item.
        """
        self.check(operation, arguments)
        given = dict(arguments)
        fields = given.pop("fields", {})
        positional = [given.pop(name, None) for name in self.operations[operation] if name in ("item", "at", "to")]
        changed: Item = getattr(self, operation)(*positional, **given, **fields)
        return changed

    def _find(self, item: int | str | None) -> tuple[int, Row]:
        rows = self.state().rows
        if item is None:
            if not rows:
                raise LookupError(f"plan {self.id} has no items")
            index = self._random.randrange(len(rows))
        elif isinstance(item, int):
            index = range(len(rows))[item]
        else:
            index = next((index for index, row in enumerate(rows) if row.key == item), -1)
            if index < 0:
                raise LookupError(f"plan {self.id} has no item {shown(item)}")
        return index, rows[index]

    def _put(self, index: int, row: Row) -> Item:
        state = self.state()
        # Rendering where rows stand costs more than all else here, and this moves nothing.
        self._become(State((*state.rows[:index], row, *state.rows[index + 1 :]), state.positions()))
        return self.state().item(index)

    def _become(self, state: State) -> None:
        self._state = state
