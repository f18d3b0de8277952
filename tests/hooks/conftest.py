"""Connections as a deployment has them: in the environment, in either of Airflow's forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from tests.support.faulty_sandbox import Sandbox

Connection = Callable[..., AchieveItHook]


@pytest.fixture
def hook_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AchieveItHook]:
    """Makes a hook of a connection's text, whatever its form."""

    def hook_of(text: str) -> AchieveItHook:
        monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", text)
        return AchieveItHook()

    return hook_of


@pytest.fixture(params=["json", "uri"])
def form(request: pytest.FixtureRequest) -> str:
    """Every test that makes a connection runs with both of its forms."""
    return str(request.param)


@pytest.fixture
def hook(form: str, hook_of: Callable[[str], AchieveItHook], sandbox: Sandbox) -> Connection:
    """Makes a hook of a connection with these fields and extras; host and password are the sandbox's by default."""

    def hook(
        *, host: str | None = sandbox.url, password: str | None = sandbox.key, schema: str = "", port: int = 0,
        **extras: Any,
    ) -> AchieveItHook:  # fmt: skip
        if form == "json":
            fields = {"host": host, "password": password, "schema": schema, "port": port or None}
            given = {name: value for name, value in fields.items() if value}
            return hook_of(json.dumps({"conn_type": "achieveit", **given, "extra": extras}))
        login = f":{quote(password, safe='')}@" if password else ""
        address = quote(host or "", safe="") + (f":{port}" if port else "")
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in extras.items()}
        return hook_of(f"achieveit://{login}{address}/{schema}?{urlencode(texts)}")

    return hook
