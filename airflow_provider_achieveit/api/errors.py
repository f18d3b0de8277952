"""Exceptions, and for each whether to try again and what to tell the user.

    AchieveItError
        AchieveItConfigError            a bad connection, argument or destination; also a ValueError
        AchieveItAuthError
            AchieveItUnauthorizedError  401
            AchieveItForbiddenError     403
        AchieveItNotFoundError          404
        AchieveItRateLimitError         429
        AchieveItServerError            5xx, 408, 425
            AchieveItUnreachableError   connection refused, reset or lost
            AchieveItTimeoutError       no answer in time
            AchieveItTlsError           certificate or TLS version refused
            AchieveItClosedError        the client was closed, as when a task is ended
        AchieveItRedirectError          3xx
        AchieveItRefusedError           any other 4xx
        AchieveItDataError              the API's answer cannot be used
            AchieveItMalformedError     not JSON
            AchieveItShapeError         JSON of another shape
            AchieveItTooLargeError      more bytes than a page may have

`lake.errors` adds those of reading, checking and landing a plan. `docs/errors.md` has them all in one table.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self


class AchieveItError(Exception):
    """Base class: something about AchieveIt, its answers or a snapshot of a plan went wrong.

    The message consists of the plan, what happened, and the advice of the class.

    Args:
        what: What happened, naming the value, without a full stop.
        status: HTTP status of the answer, where there was one.
        plan_id: The plan that was asked for, where there was one.
        retry_after: Seconds after which the server allows another try, where it said so.
    """

    #: The situation in words, as in the table of `docs/errors.md`.
    situation: ClassVar[str] = "an error of AchieveIt"
    #: Whether the client sends the request again within `max_retry_seconds`.
    retry_request: ClassVar[bool] = False
    #: Whether the `retries` of an Airflow task apply; else the task fails at once.
    retry_task: ClassVar[bool] = True
    #: Whether it concerns all plans of a task, and not only the one that was asked for: then the task ends at once.
    ends_task: ClassVar[bool] = False
    #: What the user can do.
    advice: ClassVar[str] = "Look at the log of the task."

    _by_name: ClassVar[dict[str, type[AchieveItError]]] = {}

    def __init__(
        self,
        what: str,
        *,
        status: int | None = None,
        plan_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.status = status
        self.plan_id = plan_id
        self.retry_after = retry_after

    def __init_subclass__(cls) -> None:
        # The first of a name stays: `exceptions` has subclasses of the same names for Airflow's tasks.
        AchieveItError._by_name.setdefault(cls.__name__, cls)

    def __str__(self) -> str:
        plan = "" if self.plan_id is None else f"Plan {self.plan_id}: "
        return f"{plan}{self.what}. {self.advice}"

    def about(self, plan_id: str) -> Self:
        """Name the plan, where that was not known when the error was raised."""
        if self.plan_id is None:
            self.plan_id = plan_id
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the error as JSON values, for a trigger's event."""
        return {
            "error": type(self).__name__,
            "what": self.what,
            "status": self.status,
            "plan_id": self.plan_id,
            "retry_after": self.retry_after,
        }

    @staticmethod
    def class_named(name: str) -> type[AchieveItError]:
        """Return the class of that name, or the base class where this version has none of that name."""
        return AchieveItError._by_name.get(name, AchieveItError)

    @staticmethod
    def from_json(value: dict[str, Any]) -> AchieveItError:
        """Return the error that `to_json` wrote, also one whose class this version does not know.

        Raises:
            ValueError: The value is not what any version of `to_json` writes.
        """
        try:
            cls = AchieveItError.class_named(value["error"])
            return cls(
                str(value["what"]), status=value["status"], plan_id=value["plan_id"], retry_after=value["retry_after"]
            )
        except (TypeError, KeyError) as error:
            raise ValueError("it is not an error that this package wrote") from error


class AchieveItConfigError(AchieveItError, ValueError):
    """A connection, argument or destination that cannot work; raised before a request is sent."""

    ends_task = True
    situation = "bad connection, argument or destination"
    retry_task = False
    advice = "Correct the value that is named."


class AchieveItAuthError(AchieveItError):
    """The key is wrong, or its user may not see the plan."""

    retry_task = False


class AchieveItUnauthorizedError(AchieveItAuthError):
    """AchieveIt answered 401: the key is not valid."""

    ends_task = True
    situation = "401"
    advice = "Put a valid API key into the password of the Airflow connection."


class AchieveItForbiddenError(AchieveItAuthError):
    """AchieveIt answered 403: the key's user may not see the plan."""

    situation = "403"
    advice = (
        "Either the API key in the connection's password is wrong, or its user cannot view this plan: "
        "ask an admin of the plan to give that user at least view access."
    )


class AchieveItNotFoundError(AchieveItError):
    """AchieveIt answered 404: there is no such plan."""

    situation = "404"
    advice = 'Copy the id again from the plan: root item, "..." menu, "Copy Plan ID"; and check the connection\'s host.'


class AchieveItRateLimitError(AchieveItError):
    """AchieveIt answered 429 for the whole time budget; `retry_after` holds the server's delay in seconds."""

    situation = "429"
    retry_request = True
    advice = "Run fewer exports at once (an Airflow pool), lower max_concurrency, or raise max_retry_seconds."


class AchieveItServerError(AchieveItError):
    """The server could not be reached, did not answer in time, or answered with 5xx, for the whole time budget.

    Also 408 (it waited for the request too long) and 425 (too early), which pass as well.
    """

    situation = "5xx, 408 or 425"
    retry_request = True
    advice = "AchieveIt has a problem: try later, or raise max_retry_seconds."


class AchieveItUnreachableError(AchieveItServerError):
    """There was no connection, or it was lost."""

    situation = "connection refused, reset or lost"
    advice = "Check the connection's host, its proxy, and that this machine may reach it."


class AchieveItTimeoutError(AchieveItServerError):
    """The answer did not come, or did not end, in time."""

    situation = "no answer in time, or an answer that trickles"
    advice = "Try later, raise read_timeout, or lower page_size."


class AchieveItTlsError(AchieveItServerError):
    """The certificate or the TLS version was refused."""

    ends_task = True
    situation = "certificate or TLS version refused, or no TLS at all"
    retry_request = False
    advice = (
        "Check the connection's host; behind a proxy with its own certificate, set verify to the path of its CA file."
    )


class AchieveItClosedError(AchieveItServerError):
    """The client was closed while it was used, as when a task is killed."""

    ends_task = True
    situation = "the client was closed meanwhile: the task was ended (SIGTERM, marked failed or timed out)"
    retry_request = False
    advice = "Unless somebody ended it, look for the reason in the log of the worker; then run the task again."


class AchieveItRedirectError(AchieveItError):
    """AchieveIt answered 3xx: redirects are not followed."""

    ends_task = True
    situation = "3xx"
    advice = "The key is never sent elsewhere: set the host to the API's own address."


class AchieveItRefusedError(AchieveItError):
    """AchieveIt answered with another 4xx."""

    situation = "any other 4xx"
    advice = "Check the arguments of the request; the API does not say more."


class AchieveItDataError(AchieveItError):
    """The API answered, but its answer cannot be used."""


class AchieveItMalformedError(AchieveItDataError):
    """The body is not JSON, or was cut short."""

    situation = "200 with a truncated or non-JSON body"
    retry_request = True
    advice = "Check that the connection's host is the API itself and not a web page or a proxy's login."


class AchieveItShapeError(AchieveItDataError):
    """The body is JSON, but not a page of plan items."""

    situation = "JSON of another shape, more items than were asked for, or an item without an id"
    advice = "Check that the connection's host is the AchieveIt API; if it is, the API has changed: please report it."


class AchieveItTooLargeError(AchieveItDataError):
    """The body is larger than any page should be; it was not decoded."""

    situation = "a body of more than 256 MiB, decompressed, or of more than 8 million values"
    advice = "Lower page_size; and check that the connection's host is the AchieveIt API."


def __getattr__(name: str) -> Any:
    """Find the classes that were here in version 0.1.0 and live in `lake.errors` now."""
    if name in ("AchieveItInconsistentError", "AchieveItDriftError", "AchieveItGuardError", "AchieveItStoreError"):
        from airflow_provider_achieveit.lake import errors

        return getattr(errors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
