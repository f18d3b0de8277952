"""The export of one plan: read it, check it, derive further tables, and hand all of it to the sink."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from airflow_provider_achieveit.api.plan import PlanClient
from airflow_provider_achieveit.lake.derive import Derived, derive_tables, nearest_before, tables_asked_for
from airflow_provider_achieveit.lake.guards import check_guards
from airflow_provider_achieveit.lake.history import Before, look_before
from airflow_provider_achieveit.lake.manifest import Manifest, Run, build_manifest, landed_version
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.read.page_merger import NotProvenError
from airflow_provider_achieveit.lake.read.snapshot import Snapshot, TooLong, read_one_page, read_snapshot
from airflow_provider_achieveit.lake.schema import SCHEMA_HASH
from airflow_provider_achieveit.lake.sinks.base import Commit, Sink

log = logging.getLogger(__name__)

#: How often the changes are made anew when other exports of the plan land meanwhile.
_DERIVATIONS = 3


@dataclass(frozen=True)
class Landed:
    """A plan whose snapshot was handed to the sink, and what the destination held of it before."""

    manifest: Manifest
    before: Before


@dataclass(frozen=True)
class Unchanged:
    """A plan that was left out: the destination holds its current version, as the manifest describes it."""

    manifest: Manifest


@dataclass(frozen=True)
class Later:
    """A plan that its first page did not settle: it has more pages, or people were editing it.

    Attributes:
        too_long: What was learnt of a plan of several pages.
    """

    too_long: TooLong | None


@dataclass(frozen=True)
class Export:
    """What the plans of one task share.

    Attributes:
        sink: Where to.
        commit: The landing of the task's snapshots.
        label: Label of the snapshots.
        started: When the task started, in UTC.
        options: The options of the export.
        run: The Airflow task that asks for the export.
        before_landing: Called before a plan lands.
        scratch: A temporary directory of the task.
    """

    sink: Sink
    commit: Commit
    label: str
    started: datetime
    options: ExportOptions
    run: Run | None
    before_landing: Callable[[], None]
    scratch: Path

    def try_one_page(self, plan: PlanClient) -> Landed | Unchanged | Later:
        """Export a plan that fits on one page.

        Raises:
            AchieveItError: As in `api.errors` and `lake.errors`; nothing of the plan was published then.
        """
        if self.options.if_unchanged == "skip":
            latest = self.sink.latest_if_readable(plan.plan_id)
            # A plan that cannot be skipped is not asked for its version: that saves a request.
            if latest is not None and self._has_all(latest) and landed_version(latest) == plan.version():
                return Unchanged(latest)
        with self._directory() as directory:
            try:
                found = read_one_page(plan, directory)
            except NotProvenError:
                return Later(None)
            return Later(found) if isinstance(found, TooLong) else self._land(plan, found, directory)

    def read_on(self, plan: PlanClient, later: Later) -> Landed | Unchanged:
        """Export a plan that one page did not settle.

        Raises:
            AchieveItError: As in `api.errors` and `lake.errors`; nothing of the plan was published then.
        """
        with self._directory() as directory:
            snapshot = read_snapshot(
                plan,
                directory,
                first=later.too_long,
                accept_inconsistent=self.options.on_inconsistent == "accept",
            )
            return self._land(plan, snapshot, directory)

    @contextmanager
    def _directory(self) -> Iterator[Path]:
        """Give a directory for the files of one plan, which are removed once the sink has them."""
        with TemporaryDirectory(dir=self.scratch, ignore_cleanup_errors=True) as directory:
            yield Path(directory)

    def _land(self, plan: PlanClient, snapshot: Snapshot, directory: Path) -> Landed | Unchanged:
        latest = None
        if self.options.max_shrink is not None:
            latest = self.sink.latest(plan.plan_id)  # raises: a guard that cannot be evaluated refuses
        elif self.options.if_unchanged == "skip":
            latest = self.sink.latest_if_readable(plan.plan_id)
        if latest is not None and self._is_same_content(snapshot, latest):
            return Unchanged(latest)
        check_guards(snapshot, latest, self.options, plan.plan_id)
        derived = self._derive(plan, snapshot, directory)
        manifest = self._manifest(plan, snapshot, derived)
        plan.cancellation.check()
        self.before_landing()
        before = look_before(self.sink, plan.plan_id, self.label)
        self.commit.add(manifest, [snapshot.items, *derived.tables])
        return Landed(manifest, before)

    def _derive(self, plan: PlanClient, snapshot: Snapshot, directory: Path) -> Derived:
        """Derive the further tables, anew if another export of the plan landed meanwhile."""
        for _ in range(_DERIVATIONS):
            derived = derive_tables(
                self.sink, snapshot, plan.plan_id, self.label, self.options, self.started, directory
            )
            if nearest_before(self.sink, plan.plan_id, self.label) == derived.nearest:
                break
        return derived

    def _manifest(self, plan: PlanClient, snapshot: Snapshot, derived: Derived) -> Manifest:
        return build_manifest(
            plan_id=plan.plan_id,
            plan_name=snapshot.plan_name,
            label=self.label,
            rows=snapshot.items.rows,
            version=snapshot.version,
            consistent=snapshot.consistent,
            content_hash=snapshot.items.sha256,
            schema_hash=SCHEMA_HASH,
            rescued_values=sum(snapshot.rescued.values()),
            table_format=self.sink.format,
            read_at=snapshot.read_at,
            started=self.started,
            finished=datetime.now(UTC),
            requests=plan.requests,
            attempts=snapshot.attempts,
            previous=derived.previous,
            changes=derived.changes,
            run=self.run,
        )

    def _has_all(self, manifest: Manifest) -> bool:
        """Return whether what has landed is whole, and has the tables and columns that are asked for now."""
        tables = {entry["table"] for entry in manifest["files"]}
        is_current = manifest["schema_hash"] == SCHEMA_HASH and tables_asked_for(self.options) <= tables
        return is_current and self.sink.is_whole(manifest)

    def _is_same_content(self, snapshot: Snapshot, latest: Manifest) -> bool:
        """Return whether a plan can be skipped because of its content, as where its version is unknown."""
        return (
            self.options.if_unchanged == "skip"
            and snapshot.consistent
            and latest["consistent"]
            and snapshot.items.sha256 == latest["content_hash"]
            and self._has_all(latest)
        )
