"""The watermark of a watcher: the last version of a plan that it has told of."""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_achieveit.lake.change import PlanState
from airflow_provider_achieveit.triggers._clients import in_thread

log = logging.getLogger(__name__)


class Watermark:
    """Keeps a sight in memory and, where Airflow has it (3.3), in the asset state store.

    Args:
        trigger: The trigger, whose `asset_state_store` Airflow sets before it runs.
        key: Key in the store.
    """

    def __init__(self, trigger: Any, key: str) -> None:
        self._store = getattr(trigger, "asset_state_store", None)
        self._key = key
        self._loaded = False
        self._sight: PlanState | None = None
        self._unsaved = False

    async def load(self) -> PlanState | None:
        """Return the watermark, None at first sight; first saves what is not saved yet."""
        if not self._loaded:
            self._sight = await self._read()
            self._loaded = True
        await self._write()
        return self._sight

    async def save(self, sight: PlanState) -> None:
        """Move the watermark, in the store as well."""
        self.save_later(sight)
        await self._write()

    def save_later(self, sight: PlanState) -> None:
        """Move the watermark in memory, and in the store when it is loaded next: by then an event is safely on its way.

        Right after `yield` the triggerer has merely queued the event, and a crash would lose it if the store already
        knew.
        """
        self._unsaved = self._unsaved or sight != self._sight
        self._sight = sight

    async def _read(self) -> PlanState | None:
        value = await self._ask("get", self._key)
        if value is None:
            return None
        try:
            return PlanState.from_json(value)
        except ValueError as error:
            log.warning("The stored watermark %s is ignored: %s", self._key, error)
            return None

    async def _write(self) -> None:
        if self._unsaved and self._sight is not None:
            await self._ask("set", self._key, self._sight.to_json())
            self._unsaved = False

    async def _ask(self, verb: str, *arguments: Any) -> Any:
        if self._store is None:
            return None
        try:
            if hasattr(self._store, f"a{verb}"):  # from 3.3.2
                return await getattr(self._store, f"a{verb}")(*arguments)
            ask = getattr(self._store, verb)
            return await in_thread(lambda: ask(*arguments))
        except ValueError as error:
            # Several assets share this trigger, and the store does not know which one is meant.
            log.warning("The watermark %s lives in memory only: %s", self._key, error)
            self._store = None
            return None
