"""What sensor and trigger wait for: their arguments, checked alike. Imports nothing heavy: DAG files import it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, get_args

from airflow_provider_achieveit import _templates as templates
from airflow_provider_achieveit._places import parse_destination
from airflow_provider_achieveit.api import validate
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.options import Detect, parse_since

if TYPE_CHECKING:
    from airflow_provider_achieveit.lake.change import Baseline

#: The shortest time between two looks, in seconds.
MIN_INTERVAL = 0.1


@dataclass(frozen=True)
class Waiting:
    """Which plans are compared with what, and how.

    Attributes:
        plan_ids: The plans, each once.
        destination: What has landed there is compared with.
        destination_conn_id: Airflow connection of the store.
        since: Or this ISO 8601 time; empty text is the beginning of time.
        detect: `version` or `content`.
        achieveit_conn_id: Airflow connection of AchieveIt.
    """

    plan_ids: list[str]
    destination: str | None
    destination_conn_id: str | None
    since: str | None
    detect: Detect
    achieveit_conn_id: str

    @classmethod
    def parse(cls, given: Set[str], values: Mapping[str, Any]) -> Waiting:
        """Check arguments that need no more rendering.

        Args:
            given: The names of those that were given before they were rendered: they must not vanish.
            values: All of them, by name.

        Raises:
            AchieveItConfigError: One of them cannot be used.
        """
        many = "plan_ids" in given
        destination = None
        if "destination" in given:
            destination = templates.text("destination", templates.destination(values["destination"]))
        waiting = cls(
            templates.plan_ids(values["plan_ids"]) if many else [templates.plan_id(values["plan_id"])],
            destination,
            templates.destination_conn_id(values["destination_conn_id"], given="destination_conn_id" in given),
            templates.since(values["since"]) if "since" in given else None,
            cast("Detect", templates.text("detect", values["detect"], "version")),
            templates.text("achieveit_conn_id", values["achieveit_conn_id"], AchieveItHook.default_conn_name),
        )
        waiting._check()
        return waiting

    def _check(self) -> None:
        validate.choice("detect", self.detect, get_args(Detect))
        if self.destination is not None:
            parse_destination(self.destination, self.destination_conn_id)
        elif self.detect == "content":
            raise AchieveItConfigError("detect 'content' needs a destination whose content it can compare with")
        if self.since is not None:
            parse_since(self.since)
            require_one(destination=self.destination, since=self.since)

    def open_baseline(self) -> Baseline:
        """Return what is compared with; asks Airflow for the store's connection.

        Raises:
            AchieveItConfigError: The destination or its connection cannot be used.
            AchieveItStoreError: The store can't be opened now.
        """
        from airflow_provider_achieveit._destination import open_manifests
        from airflow_provider_achieveit.lake.change import Baseline

        if self.destination is not None:
            return Baseline(landed=open_manifests(self.destination, self.destination_conn_id))
        return Baseline(since=parse_since(self.since or ""))


def require_one(**arguments: Any) -> None:
    """Make sure that exactly one of two arguments was given.

    Raises:
        AchieveItConfigError: Neither was, or both were.
    """
    (first, one), (second, other) = arguments.items()
    if one is None and other is None:
        raise AchieveItConfigError(f"neither {first} nor {second} is given: choose one")
    if one is not None and other is not None:
        raise AchieveItConfigError(f"{first} {shown(one)} and {second} {shown(other)} are both given: choose one")


def check_interval(name: str, seconds: Any) -> float:
    """Return the seconds between two looks.

    Raises:
        AchieveItConfigError: It is not a number of at least `MIN_INTERVAL`.
    """
    if type(seconds) not in (int, float) or not MIN_INTERVAL <= seconds < math.inf:
        raise AchieveItConfigError(f"{name} {shown(seconds)} is not a number of seconds, {MIN_INTERVAL} or more")
    return float(seconds)
