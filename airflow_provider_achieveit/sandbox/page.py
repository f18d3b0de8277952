"""The page at `/`, which tells a person what this server is and how to use it."""

from __future__ import annotations

import json
import shlex
from html import escape
from typing import TYPE_CHECKING

from airflow_provider_achieveit.sandbox.control import ENDPOINTS, PREFIX

if TYPE_CHECKING:
    from airflow_provider_achieveit.sandbox.control import Endpoint
    from airflow_provider_achieveit.sandbox.server import Sandbox

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>AchieveIt sandbox</title><link rel="icon" href="data:,">
<style>
body {{ font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }}
td, th {{ text-align: left; padding: .2em 1em .2em 0; vertical-align: top }}
code, pre {{ font-size: 14px; white-space: pre-wrap; overflow-wrap: anywhere }}
</style></head><body>
<h1>AchieveIt sandbox</h1>
<p>A local copy of AchieveIt's API with made-up plans, to try Airflow DAGs without an account. It listens on this
machine only, and its key is a dummy: <code>{key}</code></p>
<h2>Plans</h2>
<table><tr><th>Id</th><th>Name</th><th>Items</th></tr>
{plans}
</table>
<p>Read one:</p>
<pre>{read}</pre>
<h2>Airflow's connection</h2>
<pre>{connection}</pre>
<h2>Faults and edits</h2>
<p>An item is named by its index or its id; without one a random item is taken. In a script of faults, <code>at</code>
counts requests from now on and <code>plan</code> names one plan; without them every request is meant. A fault has
<code>hang</code> (seconds), <code>status</code>, <code>body</code>, <code>retry_after</code>, or an edit that happens
just before the answer, such as <code>"edit": {{"item": 0}}</code>.</p>
<table><tr><th>To</th><th>Send</th></tr>
{endpoints}
</table>
</body></html>
"""


def page(sandbox: Sandbox) -> bytes:
    """The page as UTF-8 HTML, without anything that a browser would have to fetch."""
    plans = "\n".join(
        f"<tr><td><code>{escape(plan.id)}</code></td><td>{escape(plan.name)}</td><td>{len(plan)}</td></tr>"
        for plan in sandbox.plans.values()
    )
    plan_id = next(iter(sandbox.plans), "my-plan")
    read = ["curl", "-H", f"Authorization: API-KEY {sandbox.key}", f"{sandbox.url}/exports/plans/{plan_id}?take=2"]
    endpoints = "\n".join(
        f"<tr><td>{escape(endpoint.what.replace('`', ''))}</td>"
        f"<td><code>{escape(_curl(endpoint, sandbox.url, plan_id))}</code></td></tr>"
        for endpoint in ENDPOINTS
    )
    html = _PAGE.format(
        key=escape(sandbox.key),
        plans=plans,
        read=escape(shlex.join(read)),
        connection=escape(sandbox.connection_line),
        endpoints=endpoints,
    )
    return html.encode("utf-8", "replace")


def _curl(endpoint: Endpoint, url: str, plan_id: str) -> str:
    path = endpoint.path.format(plan=plan_id, edit="edit")
    command = ["curl", "-X", endpoint.method, f"{url}{PREFIX}{path}"]
    if endpoint.example is not None:
        command += ["-d", json.dumps(endpoint.example)]
    return shlex.join(command)
