"""What may be decided about an export or a comparison.

Imports next to nothing: DAG files are parsed every few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.plan_version import parse_timestamp

Detect = Literal["version", "content"]


@dataclass(frozen=True)
class ExportOptions:
    """What may be decided about an export.

    Attributes:
        if_unchanged: `export`, or `skip`: do nothing when the store already holds the plan's version.
        on_drift: `rescue` values that do not fit, or `fail`.
        on_inconsistent: `fail`, or `accept` a snapshot that could not be proven.
        min_rows: Fewest rows that are published.
        max_shrink: Largest fraction of the latest snapshot's rows that may be gone, 0 to 1.

    Raises:
        AchieveItConfigError: A value is none of these.
    """

    if_unchanged: Literal["export", "skip"] = "export"
    on_drift: Literal["rescue", "fail"] = "rescue"
    on_inconsistent: Literal["fail", "accept"] = "fail"
    min_rows: int | None = None
    max_shrink: float | None = None

    def __post_init__(self) -> None:
        choices = {
            "if_unchanged": ("export", "skip"),
            "on_drift": ("rescue", "fail"),
            "on_inconsistent": ("fail", "accept"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise AchieveItConfigError(f"{name} {getattr(self, name)!r} is neither {' nor '.join(allowed)}")
        if self.min_rows is not None and (type(self.min_rows) is not int or self.min_rows < 0):
            raise AchieveItConfigError(f"min_rows {self.min_rows!r} is not a number of rows")
        if self.max_shrink is not None and not (type(self.max_shrink) in (int, float) and 0 <= self.max_shrink <= 1):
            raise AchieveItConfigError(f"max_shrink {self.max_shrink!r} is not a fraction within 0 to 1")


def parse_since(text: str) -> datetime:
    """Read the `since` of a sensor or trigger; empty or `None` is what templates render before the first run.

    Raises:
        AchieveItConfigError: It is no ISO 8601 date or time.
    """
    if text.strip() in ("", "None"):
        return datetime.min.replace(tzinfo=UTC)
    try:
        return parse_timestamp(text.strip())
    except ValueError:
        raise AchieveItConfigError(f"since {text!r} is no ISO 8601 date or time") from None


def check_baseline(destination: object, since: object, detect: str) -> None:
    """Accept one baseline at most, and `content` only with a destination to compare with.

    Raises:
        AchieveItConfigError: Anything else.
    """
    if destination is not None and since is not None:
        raise AchieveItConfigError(f"destination {destination!r} and since {since!r} are both given: choose one")
    if detect not in ("version", "content"):
        raise AchieveItConfigError(f"detect {detect!r} is neither version nor content")
    if detect == "content" and destination is None:
        raise AchieveItConfigError("detect 'content' needs a destination whose content it can compare with")
