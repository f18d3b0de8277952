"""What an export task makes of its report: log lines, an error or a skip, XComs."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_achieveit._compat import AirflowSkipException, Context
from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.lake.errors import AchieveItPortfolioError, AchieveItPortfolioFinalError

if TYPE_CHECKING:
    from airflow_provider_achieveit.lake.manifest import Manifest
    from airflow_provider_achieveit.lake.portfolio import Report

log = logging.getLogger(__name__)

#: Characters of the reason of one plan's failure that the error of the task quotes.
_REASON = 500


def check_one(report: Report) -> None:
    """Raise what became of a single plan, unless it landed.

    Raises:
        AirflowSkipException: The plan was left out.
        AchieveItError: The plan failed.
    """
    for error in report.failures.values():
        raise error
    if not report.manifests:
        raise AirflowSkipException(*report.left_out.values())


def check_many(report: Report, on_plan_failure: str) -> None:
    """Raise what became of many plans, unless the task succeeds with those that landed.

    Raises:
        AirflowSkipException: All plans were left out.
        AchieveItPortfolioError: Plans failed, and that is not only to be warned of.
    """
    failures = report.failures
    if failures and (on_plan_failure == "fail" or not report.manifests):
        raise _portfolio_error(report)
    if not report.manifests:
        left_out = len(report.left_out)
        raise AirflowSkipException(f"All {left_out} plans were left out: they are unchanged, or landed meanwhile.")


def _portfolio_error(report: Report) -> AchieveItError:
    """Return the error that names each failed plan and its reason; Airflow tries again if that can help one of them."""
    failures = report.failures
    total = len(failures) + len(report.manifests) + len(report.left_out)
    lines = [
        f"{len(failures)} of {total} plans failed; {len(report.manifests)} landed as snapshot {report.label}",
        *(f"- {plan_id}: {type(error).__name__}: {error!s:.{_REASON}}" for plan_id, error in failures.items()),
        "",
    ]
    delays = [error.retry_after for error in failures.values() if error.retry_after is not None]
    can_be_mended = any(error.retry_task for error in failures.values())
    cls = AchieveItPortfolioError if can_be_mended else AchieveItPortfolioFinalError
    return cls("\n".join(lines), retry_after=max(delays, default=None))


def push_failures(context: Context, report: Report) -> None:
    """Push the plans that failed as the XCom `failures`, for a task that succeeds without them."""
    instance: Any = context.get("ti")
    if report.failures and instance is not None:
        failures = [error.about(plan_id).to_json() for plan_id, error in report.failures.items()]
        instance.xcom_push(key="failures", value=failures)


def log_one(manifest: Manifest, took: timedelta) -> None:
    """Log what landed of a single plan."""
    log.info(
        "Plan %s landed in %s as snapshot %s: %d rows, %d bytes, last updated %s, in %.1f s, requests: %d%s",
        _named(manifest), _destination(manifest), manifest["snapshot"], manifest["rows"],
        sum(file["bytes"] for file in manifest["files"]), manifest["version"]["last_updated"] or "never",
        took.total_seconds(), manifest["requests"], _compared(manifest),
    )  # fmt: skip


def log_many(report: Report, took: timedelta) -> None:
    """Log what landed of many plans: a line for all, and one for each in a group that the UI folds."""
    manifests = report.manifests.values()
    plans = len(manifests) + len(report.left_out) + len(report.failures)
    log.info(
        "%d of %d plans landed as snapshot %s: %d rows, %d bytes, in %.1f s, requests: %d; %d left out, %d failed",
        len(manifests), plans, report.label, sum(manifest["rows"] for manifest in manifests),
        sum(file["bytes"] for manifest in manifests for file in manifest["files"]), took.total_seconds(),
        sum(manifest["requests"] for manifest in manifests), len(report.left_out), len(report.failures),
    )  # fmt: skip
    if not manifests:
        return
    log.info("::group::Landed plans")
    for manifest in manifests:
        log.info(
            "Plan %s: %d rows, last updated %s%s",
            _named(manifest), manifest["rows"], manifest["version"]["last_updated"] or "never", _compared(manifest),
        )  # fmt: skip
    log.info("::endgroup::")


def _named(manifest: Manifest) -> str:
    """Return name and id of a plan; an empty plan has no name, since it stands in the items."""
    name, plan_id = manifest["plan_name"], manifest["plan_id"]
    return plan_id if name is None else f"{shown(name)} ({plan_id})"


def _destination(manifest: Manifest) -> str:
    file = manifest["files"][0]
    return file["path"].removesuffix(file["key"])


def _compared(manifest: Manifest) -> str:
    """Return how the content compares with the snapshot before, where there is one."""
    previous = manifest["previous"]
    if previous is None:
        return ""
    same = previous["content_hash"] == manifest["content_hash"]
    return f"; the content {'is that of' if same else 'differs from that of'} snapshot {previous['snapshot']}"
