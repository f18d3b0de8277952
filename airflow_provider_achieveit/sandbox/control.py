"""The control endpoints below `/_sandbox`, for people with curl and for tests in other processes.

They ask for no key: the sandbox listens on loopback, answers no foreign web page, and what it holds is made up.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_achieveit.sandbox.checks import FLAG, OPTIONAL_TEXT, TEXT, check, is_nested, number, shown, whole
from airflow_provider_achieveit.sandbox.faults import Answer, problem
from airflow_provider_achieveit.sandbox.state import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.sandbox.plans import Plan
    from airflow_provider_achieveit.sandbox.server import Sandbox

PREFIX = "/_sandbox"
_DEEPEST = 50
_SETTINGS = {"key": TEXT, "latency": number(0, 86_400), "max_take": whole(1, 10**6), "gzip": FLAG}


class Endpoint(NamedTuple):
    """A method and a path, what they do, and a body to try them with."""

    method: str
    path: str
    what: str
    #: Called with the sandbox, the JSON value of the body, and what stands in the place of `{…}` in the path.
    handler: Callable[..., Any]
    example: Any = None


def answer(sandbox: Sandbox, method: str, path: str, body: bytes) -> Answer:
    """Answer a request to a path below `/_sandbox`."""
    endpoints = {endpoint.method: (endpoint, match) for endpoint in ENDPOINTS if (match := _match(endpoint.path, path))}
    if not endpoints:
        return problem(404, f"There is no {shown(path)} here; open / for what there is.")
    if method not in endpoints:
        return problem(405, f"{shown(path)} takes {', '.join(endpoints)}, not {shown(method)}.")
    endpoint, match = endpoints[method]
    try:
        value = json.loads(body) if body else {}
        if is_nested(value, _DEEPEST):
            raise RecursionError
        return Answer(200, render(endpoint.handler(sandbox, value, *match.groups())))
    except LookupError as error:
        return problem(404, str(error))
    except RecursionError:
        return problem(400, f"The body is nested in more than {_DEEPEST} levels.")
    except json.JSONDecodeError as error:
        return problem(400, f"The body is not JSON: {error}")
    except ValueError as error:
        return problem(400, str(error))


def _match(path: str, given: str) -> re.Match[str] | None:
    return re.fullmatch(PREFIX + re.sub(r"{\w+}", "([^/]+)", path), given)


def _settings(sandbox: Sandbox, _: Any) -> dict[str, Any]:
    return {name: getattr(sandbox, name) for name in _SETTINGS}


def _change_settings(sandbox: Sandbox, body: Any) -> dict[str, Any]:
    check("the settings", body, _SETTINGS)
    for name, value in body.items():
        setattr(sandbox, name, value)
    return _settings(sandbox, body)


def _plans(sandbox: Sandbox, _: Any) -> list[dict[str, Any]]:
    return [_described(plan) for plan in sandbox.plans.values()]


def _put_plan(sandbox: Sandbox, body: Any, plan_id: str) -> dict[str, Any]:
    check("a plan", body, {"items": whole(0, 10**6), "name": OPTIONAL_TEXT})
    if "items" not in body:
        raise ValueError('a plan needs its number of items, such as {"items": 900}')
    return _described(sandbox.put_plan(plan_id, body["items"], name=body.get("name")))


def _change_plan(sandbox: Sandbox, body: Any, plan_id: str) -> dict[str, Any]:
    check("what can be changed of a plan", body, {"forbidden": FLAG})
    plan = sandbox.plan(plan_id)
    plan.forbidden = body.get("forbidden", plan.forbidden)
    return _described(plan)


def _remove_plan(sandbox: Sandbox, body: Any, plan_id: str) -> list[dict[str, Any]]:
    sandbox.remove_plan(plan_id)
    return _plans(sandbox, body)


def _change_item(sandbox: Sandbox, body: Any, plan_id: str, operation: str) -> Any:
    return sandbox.plan(plan_id).change(operation, body)


def _script(sandbox: Sandbox, body: Any) -> Any:
    if type(body) is not list:
        raise ValueError(f"a script is a JSON array of lines, not {shown(body)}")
    sandbox.script(*body)
    return body


def _requests(sandbox: Sandbox, _: Any) -> dict[str, Any]:
    return asdict(sandbox.traffic())


def _reset_requests(sandbox: Sandbox, body: Any) -> dict[str, Any]:
    sandbox.reset_requests()
    return _requests(sandbox, body)


def _described(plan: Plan) -> dict[str, Any]:
    return {"id": plan.id, "name": plan.name, "items": len(plan), "forbidden": plan.forbidden}


ENDPOINTS = (
    Endpoint("GET", "/plans", "list the plans", _plans),
    Endpoint("PUT", "/plans/{plan}", "make a plan, or make it anew", _put_plan, {"items": 900, "name": "My plan"}),
    Endpoint("PATCH", "/plans/{plan}", "forbid a plan (403), or allow it again", _change_plan, {"forbidden": False}),
    Endpoint("DELETE", "/plans/{plan}", "remove a plan (404)", _remove_plan),
    Endpoint(
        "POST",
        "/plans/{plan}/{edit}",
        "`edit`, `insert`, `delete` or `move` one item, as a user does",
        _change_item,
        {"item": 0, "fields": {"name": "New name"}},
    ),
    Endpoint(
        "PUT",
        "/faults",
        "let requests go wrong from now on, instead of what was scripted before",
        _script,
        [{"at": 2, "fault": {"status": 503, "retry_after": 5}}],
    ),
    Endpoint("DELETE", "/faults", "let nothing go wrong any more", lambda sandbox, _: _script(sandbox, [])),
    Endpoint("GET", "/requests", "count the requests to the API, now and at most in flight", _requests),
    Endpoint("DELETE", "/requests", "count anew", _reset_requests),
    Endpoint("GET", "/settings", "show the settings", _settings),
    Endpoint("PATCH", "/settings", "change `key`, `latency`, `max_take` or `gzip`", _change_settings, {"latency": 0.1}),
)
