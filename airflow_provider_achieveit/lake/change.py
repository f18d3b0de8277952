"""Does a plan differ from what was known of it? One answer for the sensor, the trigger and whoever else asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_achieveit.api.plan_version import PlanVersion, format_timestamp
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.lake.errors import AchieveItManifestError, AchieveItUnknownVersionError

if TYPE_CHECKING:
    from airflow_provider_achieveit.lake.sinks.manifest_folder import ManifestFolder


@dataclass(frozen=True)
class PlanState:
    """The state of a plan, as a look at it, a manifest or a watermark has it.

    Attributes:
        version: The plan version.
        content_hash: SHA-256 of the Parquet file that an export would write; None where the plan was not read.
    """

    version: PlanVersion
    content_hash: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the state as a watermark."""
        return {**self.version.to_json(), "content_hash": self.content_hash}

    @classmethod
    def from_json(cls, value: Any) -> PlanState:
        """Read a watermark back.

        Raises:
            ValueError: It is not one.
        """
        version = PlanVersion.from_json(value)
        content_hash = value.get("content_hash")
        if not isinstance(content_hash, str | None):
            raise ValueError(f"{shown(value)} is not a watermark")  # noqa: TRY004  # a stored value, not an argument
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


@dataclass(frozen=True)
class Baseline:
    """What plans are compared with: what has landed below a destination, or a time. One of the two is given.

    Attributes:
        landed: The manifests below the destination.
        since: The time.
    """

    landed: ManifestFolder | None = None
    since: datetime | None = None

    def __str__(self) -> str:
        if self.since is None:
            return f"what has landed in {'' if self.landed is None else self.landed.store}"
        start = datetime.min.replace(tzinfo=UTC)
        return "the beginning of time" if self.since == start else format_timestamp(self.since)

    def compare(self, plan_id: str, current: PlanState) -> Change | None:
        """Return what changed since then; None if nothing did.

        Raises:
            AchieveItUnknownVersionError: The newest update is unknown, and there is only a time to compare with.
            AchieveItStoreError: The store refused.
        """
        if self.landed is not None:
            return _change_from_landed(self.landed, plan_id, current)
        if not current.version.is_known:
            raise AchieveItUnknownVersionError(
                f"its version is unknown ({current.version.why_unknown})", plan_id=plan_id
            )
        newest = current.version.last_updated  # deletions leave no time behind
        if newest is None or self.since is None or newest <= self.since:
            return None
        return Change(plan_id, None, current.version, _updated(current.version))


def change_between(previous: PlanState, current: PlanState, plan_id: str) -> Change | None:
    """Return what changed between two states of a plan; None if nothing did."""
    known = previous.version.is_known and current.version.is_known
    if known and previous.version != current.version:
        return Change(plan_id, previous.version, current.version, _difference(previous.version, current.version))
    # A hash is missing where a plan was edited all the while: rather one change too many than one nobody hears of.
    compared = current.content_hash is not None or not known
    if not compared or (current.content_hash is not None and previous.content_hash == current.content_hash):
        return None
    return Change(plan_id, previous.version, current.version, "content differs")


def _change_from_landed(landed: ManifestFolder, plan_id: str, current: PlanState) -> Change | None:
    try:
        latest = landed.latest(plan_id)
    except AchieveItManifestError:
        return Change(plan_id, None, current.version, "the latest manifest is unreadable: an export replaces it")
    if latest is None:
        return Change(plan_id, None, current.version, "nothing has landed yet")
    previous = PlanState(PlanVersion.from_json(latest["version"]), latest.get("content_hash"))
    if not latest["consistent"]:
        return Change(plan_id, previous.version, current.version, "what has landed is not proven to be consistent")
    return change_between(previous, current, plan_id)


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
    name = version.item_name or version.item_id or ""
    return f'updated {version.last_updated:%Y-%m-%dT%H:%MZ}: "{_one_line(name)}"'


def _one_line(name: str) -> str:
    """Return an item's name as a log line can show it: people who edit plans can put anything into it."""
    short = name if len(name) <= 100 else f"{name[:100]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)
