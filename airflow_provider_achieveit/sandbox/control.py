"""Control over HTTP, for people and for tests in other processes.

It asks for no key: the sandbox listens on loopback and what it holds is made up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_achieveit.sandbox.state import render

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_achieveit.sandbox.plans import Plan
    from airflow_provider_achieveit.sandbox.service import Service

#: From the parts of the path and the body of a request, both JSON values, to the body of the response.
Handler = Callable[[dict[str, str], Any], Any]

_SETTINGS: dict[str, type | tuple[type, ...]] = {"key": str, "latency": (int, float), "max_take": int, "gzip": bool}


def control_routes(service: Service) -> list[Route]:
    """The endpoints below `/_sandbox`."""
    control = _Control(service)
    table: dict[str, dict[str, Handler]] = {
        "/settings": {"GET": control.settings, "PATCH": control.change_settings},
        "/plans": {"GET": control.plans},
        "/plans/{plan}": {
            "GET": control.plan,
            "PUT": control.put_plan,
            "PATCH": control.change_plan,
            "DELETE": control.remove_plan,
        },
        "/plans/{plan}/items": {"GET": control.items},
        "/plans/{plan}/{operation}": {"POST": control.change_item},
        "/requests": {"GET": control.requests, "DELETE": control.reset_requests},
        "/faults": {"PUT": control.script, "DELETE": control.script},
    }
    return [
        Route(path, _endpoint(handler), methods=[method])
        for path, handlers in table.items()
        for method, handler in handlers.items()
    ]


def _endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        status = 200
        try:
            body = await request.json() if await request.body() else {}
            result = handler(request.path_params, body)
        except LookupError as error:
            status, result = 404, {"message": str(error)}
        except (TypeError, ValueError) as error:
            status, result = 400, {"message": str(error)}
        return Response(render(result), status, media_type="application/json")

    return endpoint


class _Control:
    """One method for each endpoint."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def settings(self, path: dict[str, str], body: Any) -> Any:
        return {name: getattr(self.service, name) for name in _SETTINGS}

    def change_settings(self, path: dict[str, str], body: Any) -> Any:
        for name, value in body.items():
            if name not in _SETTINGS or not isinstance(value, _SETTINGS[name]):
                raise ValueError(f"{name} = {value!r} is not a setting; known: {', '.join(_SETTINGS)}")
        for name, value in body.items():
            setattr(self.service, name, value)
        return self.settings(path, None)

    def plans(self, path: dict[str, str], body: Any) -> Any:
        return [self._described(plan) for plan in self.service.plans.values()]

    def plan(self, path: dict[str, str], body: Any) -> Any:
        return self._described(self.service.plan(path["plan"]))

    def put_plan(self, path: dict[str, str], body: Any) -> Any:
        return self._described(self.service.put_plan(path["plan"], body.get("items"), name=body.get("name")))

    def change_plan(self, path: dict[str, str], body: Any) -> Any:
        if set(body) != {"forbidden"} or not isinstance(body["forbidden"], bool):
            raise ValueError('of a plan only {"forbidden": true or false} can be changed')
        plan = self.service.plan(path["plan"])
        plan.forbidden = body["forbidden"]
        return self._described(plan)

    def remove_plan(self, path: dict[str, str], body: Any) -> Any:
        self.service.remove_plan(path["plan"])
        return self.plans(path, None)

    def items(self, path: dict[str, str], body: Any) -> Any:
        return self.service.plan(path["plan"]).items()

    def change_item(self, path: dict[str, str], body: Any) -> Any:
        return self.service.plan(path["plan"]).change(path["operation"], body)

    def requests(self, path: dict[str, str], body: Any) -> Any:
        log = [dataclasses.asdict(request) for request in self.service.requests]
        return {**dataclasses.asdict(self.service.traffic()), "log": log}

    def reset_requests(self, path: dict[str, str], body: Any) -> Any:
        self.service.reset_requests()
        return self.requests(path, None)

    def script(self, path: dict[str, str], body: Any) -> Any:
        lines = body or []
        self.service.script(*lines)
        return lines

    def _described(self, plan: Plan) -> dict[str, Any]:
        traffic = dataclasses.asdict(self.service.traffic(plan.id))
        return {"id": plan.id, "name": plan.name, "items": len(plan), "forbidden": plan.forbidden, **traffic}
