"""Scripted faults: what goes wrong, and at which request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_achieveit.sandbox.checks import HEADER, OBJECT, TEXT, Kind, check, number, shown, whole
from airflow_provider_achieveit.sandbox.state import render

Fault = Mapping[str, Any]

#: What a fault can be, beside an edit of a plan.
FAULTS: Mapping[str, Kind] = {
    "hang": number(0, 86_400),
    "status": whole(200, 599),
    "body": TEXT,
    "retry_after": HEADER,
}
_LINE = {"at": whole(1, 10**9), "plan": TEXT, "fault": OBJECT}
JSON = "application/json; charset=utf-8"


@dataclass(slots=True)
class Answer:
    """A response."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)


def problem(status: int, message: str) -> Answer:
    """A refusal with a sentence that says why."""
    return Answer(status, render({"message": message}))


@dataclass(slots=True)
class Rule:
    """One line of a script."""

    fault: Fault
    at: int | None = None
    plan: str | None = None
    seen: int = 0

    @classmethod
    def parse(cls, line: Any, faults: Mapping[str, Kind]) -> Rule:
        """Check a line such as `{"at": 2, "plan": "p1", "fault": {"status": 500}}`.

        Args:
            line: The line.
            faults: The faults that are known.

        Raises:
            ValueError: It is not such a line.
        """
        check("a line of a script", line, _LINE)
        if not line.get("fault"):
            raise ValueError(f"a line of a script is {{at?, plan?, fault: {{...}}}}, not {shown(line)}")
        check("a fault", line["fault"], faults)
        return cls(**line)

    def strikes(self, plan_id: str | None) -> bool:
        """Count a request that this line is about, and return whether it is the one to go wrong."""
        if self.plan is not None and self.plan != plan_id:
            return False
        self.seen += 1
        return self.at is None or self.at == self.seen


def edit_arguments(fault: Fault, operation: str) -> tuple[str | None, dict[str, Any]]:
    """The plan that an edit in a fault names, if it names one, and the arguments of the edit.

    Raises:
        ValueError: The plan is not text.
    """
    arguments = {} if fault[operation] is True else dict(fault[operation])
    plan_id = arguments.pop("plan", "")
    check(operation, {"plan": plan_id}, {"plan": TEXT})
    return plan_id or None, arguments


def faulty_answer(fault: Fault) -> Answer | None:
    """The response that a fault puts in the place of the real one; None where it leaves the response alone."""
    if {"status", "body", "retry_after"}.isdisjoint(fault):
        return None
    answer = Answer(fault.get("status", 200), fault.get("body", "").encode("utf-8", "replace"))
    if "retry_after" in fault:
        answer.headers.append(("retry-after", str(fault["retry_after"])))
    return answer
