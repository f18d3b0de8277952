"""What a cancellation ends, and when it says so."""

from __future__ import annotations

import threading
import time

import pytest

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.errors import AchieveItClosedError


def test_everything_begun_after_it_is_refused() -> None:
    """Checks, sleeps, blocks and calls."""
    cancellation = Cancellation()
    cancellation.check()
    cancellation.sleep(0)
    cancellation.cancel()
    assert cancellation.cancelled
    with pytest.raises(AchieveItClosedError, match="the task was ended"):
        cancellation.check()
    with pytest.raises(AchieveItClosedError):
        cancellation.sleep(60)
    with pytest.raises(AchieveItClosedError), cancellation.on_cancel(lambda: None):
        pytest.fail("the block is not entered")
    with pytest.raises(AchieveItClosedError), cancellation.call():
        pytest.fail("the block is not entered")


def test_a_sleep_ends_at_once() -> None:
    """And raises, so that a loop does not go on without its pauses."""
    cancellation = Cancellation()
    threading.Timer(0.1, cancellation.cancel).start()
    started = time.monotonic()
    with pytest.raises(AchieveItClosedError):
        cancellation.sleep(60)
    assert time.monotonic() - started < 30


def test_what_blocks_is_told_while_its_block_runs() -> None:
    """And not after it: what it would end is gone."""
    cancellation = Cancellation()
    told: list[str] = []
    with cancellation.on_cancel(lambda: told.append("over")):
        pass
    with cancellation.on_cancel(lambda: told.append("outer")), cancellation.on_cancel(lambda: told.append("inner")):
        cancellation.cancel()
    assert sorted(told) == ["inner", "outer"]


def test_a_call_ends_with_its_block_and_with_its_parent_and_ends_no_other() -> None:
    """However the block ends."""
    client = Cancellation()
    with client.call() as first:
        with pytest.raises(KeyError), client.call() as second:
            raise KeyError
        assert second.cancelled
        assert not first.cancelled
        assert not client.cancelled
        client.cancel()
        assert first.cancelled
