"""Does a plan differ from what was known of it? One answer for the sensor, the trigger and whoever else asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.lake.errors import AchieveItInconsistentError, AchieveItManifestError
from airflow_provider_achieveit.lake.options import Detect

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.plan import PlanClient
    from airflow_provider_achieveit.lake.sinks.base import ManifestFolder


@dataclass(frozen=True)
class PlanState:
    """What a look at a plan, at the lake or at a watermark saw.

    Attributes:
        version: The plan version.
        content_hash: SHA-256 of the Parquet file that an export would write; None where it was not looked at.
    """

    version: PlanVersion
    content_hash: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the sight as a watermark."""
        return {**self.version.to_json(), "content_hash": self.content_hash}

    @classmethod
    def from_json(cls, value: Any) -> PlanState:
        """Read a watermark back.

        Raises:
            ValueError: It is none.
        """
        version = PlanVersion.from_json(value)
        content_hash = value.get("content_hash")
        if not isinstance(content_hash, str | None):
            raise ValueError(f"{value!r} is no watermark")  # noqa: TRY004  # a stored value, not an argument
        return cls(version, content_hash)


@dataclass(frozen=True)
class Change:
    """A change of a plan, for people and for events.

    Attributes:
        plan_id: The plan.
        previous: The version that was known before; None if none was.
        current: The version now.
        reason: What changed, in words.
    """

    plan_id: str
    previous: PlanVersion | None
    current: PlanVersion
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the change as the sensor returns it and the trigger sends it."""
        return {
            "plan_id": self.plan_id,
            "previous": None if self.previous is None else self.previous.to_json(),
            "current": self.current.to_json(),
            "reason": self.reason,
        }


def observe(plan: PlanClient, detect: Detect) -> PlanState:
    """Look at a plan: one request, or with `content` a whole snapshot, encoded as an export would.

    Raises:
        AchieveItError: As in `api.errors`.
    """
    if detect == "content":
        from airflow_provider_achieveit.lake.read.snapshot import read_snapshot
        from airflow_provider_achieveit.lake.scratch import scratch_directory

        try:
            with scratch_directory() as directory:
                snapshot = read_snapshot(plan, directory)
                return PlanState(snapshot.version, snapshot.items.sha256)
        except AchieveItInconsistentError:
            pass  # it is being edited right now, which its version shows
    return PlanState(plan.version())


def change_from(previous: PlanState, current: PlanState, plan_id: str) -> Change | None:
    """Return what changed between two looks at a plan; None if nothing did."""
    if previous.version != current.version:
        reason = _difference(previous.version, current.version)
    elif current.content_hash is not None and previous.content_hash != current.content_hash:
        # Also where the hash before is not known, as after a look at a plan that was being edited: rather one change
        # too many than one that nobody hears of.
        reason = "content differs"
    else:
        return None
    return Change(plan_id, previous.version, current.version, reason)


def change_from_landed(landed: ManifestFolder, current: PlanState, plan_id: str) -> Change | None:
    """Return what changed since the latest snapshot below a destination; None if nothing did.

    Raises:
        AchieveItStoreError: The store refused.
    """
    try:
        latest = landed.latest(plan_id)
    except AchieveItManifestError:
        return Change(plan_id, None, current.version, "the latest manifest is unreadable: an export replaces it")
    if latest is None:
        return Change(plan_id, None, current.version, "nothing has landed yet")
    previous = PlanState(PlanVersion.from_json(latest["version"]), latest.get("content_hash"))
    if not latest["consistent"]:
        return Change(plan_id, previous.version, current.version, "what has landed is not proven to be consistent")
    return change_from(previous, current, plan_id)


def change_since(moment: datetime, current: PlanState, plan_id: str) -> Change | None:
    """Return the newest update after a time; None if there is none. Deletions leave no time behind."""
    newest = current.version.last_updated
    if newest is None or newest <= moment:
        return None
    return Change(plan_id, None, current.version, _updated(current.version))


def _difference(previous: PlanVersion, current: PlanVersion) -> str:
    parts = []
    more = current.total_count - previous.total_count
    if more:
        parts.append(f"{abs(more)} item{'' if abs(more) == 1 else 's'} {'more' if more > 0 else 'fewer'}")
    before, now = previous.last_updated, current.last_updated
    if before is not None and now is not None and now < before:
        parts.append("the newest update is gone")
    elif now != before:
        parts.append(_updated(current))
    return ", ".join(parts)


def _updated(version: PlanVersion) -> str:
    if version.last_updated is None:
        return "no item has an update time any more"
    name = version.item_name or version.item_id
    return f'updated {version.last_updated:%Y-%m-%dT%H:%MZ}: "{name}"'
