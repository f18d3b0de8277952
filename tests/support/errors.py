"""The errors of this package that have a row in `docs/errors.md`."""

from __future__ import annotations

from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.lake import errors


def _subclasses(cls: type[AchieveItError]) -> list[type[AchieveItError]]:
    return [cls, *(below for child in cls.__subclasses__() for below in _subclasses(child))]


_HOMES = (AchieveItError.__module__, errors.__name__)
_CLASSES = [cls for cls in _subclasses(AchieveItError)[1:] if cls.__module__ in _HOMES]

#: Those that are raised, in the order of the page: `api.errors` first; the others only have others below them.
ERRORS = sorted((cls for cls in _CLASSES if "situation" in vars(cls)), key=lambda cls: _HOMES.index(cls.__module__))
