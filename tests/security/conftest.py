"""What people and programs get to see of errors and logs."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator

import pytest


def everything(error: BaseException) -> str:
    """All that can be seen of an error: message, repr, arguments, attributes, and the whole chain behind it."""
    texts = traceback.format_exception(error)
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen), repr(seen.args), repr(vars(seen)), "".join(traceback.format_exception(seen))]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(texts)


@pytest.fixture
def log() -> Iterator[Callable[[], str]]:
    """Everything that anybody logs while a test runs, at the lowest level."""

    class Keep(logging.Handler):
        def __init__(self) -> None:
            super().__init__(logging.DEBUG)
            self.lines: list[str] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.lines += [logging.Formatter().format(record), repr(vars(record))]

    keep, root = Keep(), logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("airflow_provider_achieveit", "urllib3", "requests"))]
    levels = [(logger, logger.level) for logger in loggers]
    root.addHandler(keep)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield lambda: "\n".join(keep.lines)
    root.removeHandler(keep)
    for logger, level in levels:
        logger.setLevel(level)
