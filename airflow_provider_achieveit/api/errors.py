"""What can go wrong, and what is decided about it: `DECISIONS` is the only place that knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


class AchieveItError(Exception):
    """Base class: something about AchieveIt, its answers or a snapshot of a plan went wrong.

    Args:
        message: What happened and what to do next.
        status: HTTP status of the answer, where there was one.
        plan_id: The plan that was asked for, where there was one.
        retry_after: Seconds after which the server allows another try, where it said so.
    """

    #: Key of the row in `DECISIONS`; set by `failure`, which builds every error of this package.
    situation = "refused"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        plan_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.plan_id = plan_id
        self.retry_after = retry_after

    @property
    def decision(self) -> Decision:
        """What is done about it."""
        return DECISIONS[self.situation]

    def about(self, plan_id: str) -> Self:
        """Name the plan, where that was not known when the error was raised."""
        if self.plan_id is None:
            self.plan_id = plan_id
            self.args = (f"Plan {plan_id}: {self}",)
        return self


class AchieveItConfigError(AchieveItError, ValueError):
    """A connection, argument or destination that can't work; raised before a request is sent."""


class AchieveItAuthError(AchieveItError):
    """The key is wrong, or its user may not see the plan (401, 403)."""


class AchieveItNotFoundError(AchieveItError):
    """There is no such plan (404)."""


class AchieveItRateLimitError(AchieveItError):
    """Too many requests (429) for longer than the time budget; `retry_after` holds the server's delay in seconds."""


class AchieveItServerError(AchieveItError):
    """The server could not be reached, did not answer in time, or answered with 5xx, for the whole time budget."""


class AchieveItDataError(AchieveItError):
    """The answer is not what the API promises: not JSON, another shape, items without an id."""


class AchieveItInconsistentError(AchieveItDataError):
    """The plan changed during every attempt to read it, so no snapshot could be proven."""


class AchieveItDriftError(AchieveItDataError):
    """Values or fields do not fit the declared columns, and `on_drift="fail"` was asked for."""


class AchieveItGuardError(AchieveItDataError):
    """The snapshot has fewer rows than `min_rows` or `max_shrink` allow; nothing was published."""


class AchieveItStoreError(AchieveItError):
    """The object store refused, or another export kept overwriting the same snapshot."""


@dataclass(frozen=True)
class Decision:
    """One row of the table: a situation, the error it becomes, and what is done about it.

    Attributes:
        situation: What happened, in words.
        error: The class that is raised when trying again is over.
        retried_in_call: Whether the request is sent again within `max_retry_seconds`.
        retried_by_airflow: Whether the task's own `retries` apply; else the task fails at once.
        advice: What the message tells the user to do.
    """

    situation: str
    error: type[AchieveItError]
    retried_in_call: bool
    retried_by_airflow: bool
    advice: str


DECISIONS: dict[str, Decision] = {
    "bad_input": Decision(
        "bad connection, argument or destination",
        AchieveItConfigError,
        False,
        False,
        "Correct the value that is named.",
    ),
    "unauthorized": Decision(
        "401", AchieveItAuthError, False, False, "Put a valid API key into the password of the Airflow connection."
    ),
    "forbidden": Decision(
        "403",
        AchieveItAuthError,
        False,
        False,
        "Either the API key in the connection's password is wrong, or its user cannot view this plan: "
        "ask an admin of the plan to give that user at least view access.",
    ),
    "not_found": Decision(
        "404",
        AchieveItNotFoundError,
        False,
        True,
        'Copy the id again from the plan: root item, "..." menu, "Copy Plan ID"; and check the connection\'s host.',
    ),
    "rate_limited": Decision(
        "429",
        AchieveItRateLimitError,
        True,
        True,
        "Run fewer exports at once (an Airflow pool), lower max_concurrency, or raise max_retry_seconds.",
    ),
    "server_error": Decision(
        "5xx", AchieveItServerError, True, True, "AchieveIt has a problem: try later, or raise max_retry_seconds."
    ),
    "unreachable": Decision(
        "connection refused, reset or lost",
        AchieveItServerError,
        True,
        True,
        "Check the connection's host, its proxy, and that this machine may reach it.",
    ),
    "closed": Decision(
        "the client was closed meanwhile (the task was killed)",
        AchieveItServerError,
        False,
        True,
        "Run the task again.",
    ),
    "timeout": Decision(
        "no answer in time, or an answer that trickles",
        AchieveItServerError,
        True,
        True,
        "Try later, raise read_timeout, or lower page_size.",
    ),
    "tls": Decision(
        "certificate or TLS version refused",
        AchieveItServerError,
        False,
        True,
        "Check the connection's host; behind a proxy with its own certificate, set verify to the path of its CA file.",
    ),
    "malformed": Decision(
        "200 with a truncated or non-JSON body",
        AchieveItDataError,
        True,
        True,
        "Check that the connection's host is the API itself and not a web page or a proxy's login.",
    ),
    "redirect": Decision(
        "3xx", AchieveItError, False, True, "The key is never sent elsewhere: set the host to the API's own address."
    ),
    "refused": Decision(
        "any other 4xx", AchieveItError, False, True, "Check the arguments of the request; the API does not say more."
    ),
    "shape": Decision(
        "JSON of another shape, or an item without an id",
        AchieveItDataError,
        False,
        True,
        "Check that the connection's host is the AchieveIt API; if it is, the API has changed: please report it.",
    ),
    "inconsistent": Decision(
        "the plan changed during every attempt to read it",
        AchieveItInconsistentError,
        True,
        True,
        'Try again when fewer people edit the plan, or set on_inconsistent="accept".',
    ),
    "drift": Decision(
        'values or fields that the schema does not know, with on_drift="fail"',
        AchieveItDriftError,
        False,
        False,
        'Look at the fields that are named; on_drift="rescue" keeps such values in _rescued_data.',
    ),
    "guard": Decision(
        "fewer rows than min_rows or max_shrink allow",
        AchieveItGuardError,
        False,
        False,
        "Check what the key's user can still see; if the plan really shrank, loosen the guard for one run.",
    ),
    "manifest": Decision(
        "latest.json is not a manifest of this package",
        AchieveItStoreError,
        False,
        True,
        "An export without max_shrink and if_unchanged replaces it; or put the right file back.",
    ),
    "store": Decision(
        "the object store refused",
        AchieveItStoreError,
        False,
        True,
        "Check the destination and its Airflow connection.",
    ),
    "contended": Decision(
        "two exports of one snapshot kept overwriting each other",
        AchieveItStoreError,
        False,
        True,
        "Let one task at a time write one snapshot (max_active_tis_per_dag=1, a pool), or give each its own label.",
    ),
}


def failure(
    situation: str,
    what: str,
    *,
    status: int | None = None,
    plan_id: str | None = None,
    retry_after: float | None = None,
) -> AchieveItError:
    """Build the error for a situation: what happened, then what to do.

    Args:
        situation: A key of `DECISIONS`.
        what: What happened, naming the value, without a full stop.
        status: HTTP status, where there was one.
        plan_id: The plan that was asked for.
        retry_after: Seconds that the server asked to wait.
    """
    decision = DECISIONS[situation]
    error = decision.error(f"{what}. {decision.advice}", status=status, retry_after=retry_after)
    error.situation = situation
    return error if plan_id is None else error.about(plan_id)
