"""The watermark of a watcher: the last state of a plan that it has told of."""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_achieveit.lake.change import PlanState
from airflow_provider_achieveit.triggers._clients import in_thread

log = logging.getLogger(__name__)

#: Part of what Airflow says when several assets share a trigger, and it cannot know which one's store is meant.
_SEVERAL_ASSETS = "concrete inlets"


class StateStore:
    """Airflow's store for the state of the asset that a trigger watches (3.3); without one nothing is kept.

    Args:
        accessor: The trigger's `asset_state_store`, which Airflow sets before it runs; or None.
    """

    def __init__(self, accessor: Any) -> None:
        self._accessor = accessor

    async def get(self, key: str) -> Any:
        """Return a value, None if there is none."""
        return await self._ask("get", key)

    async def set(self, key: str, value: Any) -> None:
        """Store a value."""
        await self._ask("set", key, value)

    async def _ask(self, verb: str, *arguments: Any) -> Any:
        if self._accessor is None:
            return None
        try:
            if hasattr(self._accessor, f"a{verb}"):  # from 3.3.2
                return await getattr(self._accessor, f"a{verb}")(*arguments)
            ask = getattr(self._accessor, verb)
            return await in_thread(lambda: ask(*arguments))
        except ValueError as error:
            # A store's backend can raise one as well; to give the store up then would lose the watermark silently.
            if _SEVERAL_ASSETS not in str(error):
                raise
            if self._accessor is not None:  # plans look at the same time
                log.warning("Several assets share this trigger, so its watermarks live in memory only: %s", error)
                self._accessor = None
            return None


class Watermark:
    """Keeps the state of a plan in memory, and in the state store where there is one.

    Args:
        store: The state store.
        key: Key in the store.
    """

    def __init__(self, store: StateStore, key: str) -> None:
        self._store = store
        self._key = key
        self._loaded = False
        self._state: PlanState | None = None
        self._unsaved = False

    async def load(self) -> PlanState | None:
        """Return the watermark, None at first sight; first saves what is not saved yet."""
        if not self._loaded:
            self._state = await self._read()
            self._loaded = True
        await self._write()
        return self._state

    async def save(self, state: PlanState) -> None:
        """Move the watermark, in the store as well."""
        self.save_later(state)
        await self._write()

    def save_later(self, state: PlanState) -> None:
        """Move the watermark in memory, and in the store when it is loaded next: by then an event is safely on its way.

        Right after `yield` the triggerer has merely queued the event, and a crash would lose it if the store already
        knew.
        """
        self._unsaved = self._unsaved or state != self._state
        self._state = state

    async def _read(self) -> PlanState | None:
        value = await self._store.get(self._key)
        if value is None:
            return None
        try:
            return PlanState.from_json(value)
        except ValueError as error:
            log.warning("The stored watermark %s is ignored: %s", self._key, error)
            return None

    async def _write(self) -> None:
        if self._unsaved and self._state is not None:
            await self._store.set(self._key, self._state.to_json())
            self._unsaved = False
