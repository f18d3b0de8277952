"""`docs/sandbox.md` and the sandbox's own page say what holds."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from airflow_provider_achieveit.sandbox import DEMO_KEY, DEMO_PLANS, Sandbox
from airflow_provider_achieveit.sandbox.control import ENDPOINTS
from airflow_provider_achieveit.sandbox.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()
BLOCKS = dict(re.findall(r"\n##+ ([^\n]+)\n(?:(?!\n#).)*?```bash\n(.*?)```", DOCUMENT, re.DOTALL))
PYTHON = re.search(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)[1]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The sandbox as the command starts it."""
    with Sandbox(DEMO_PLANS, gzip=True) as sandbox:
        yield sandbox


def shell(command: str) -> str:
    """Run a line in bash, which must succeed, and return what it prints."""
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("block", BLOCKS)
def test_curl_lines_of_the_document_work(sandbox, block):
    """Each line as it stands; what its comment says is in the answer, and without a comment it is a 200."""
    lines = BLOCKS[block].splitlines()
    assert lines
    for line in lines:
        command, _, expected = line.replace("http://127.0.0.1:8765", sandbox.url).partition("  # ")
        assert command.startswith("curl ")
        assert (expected or "status=200") in shell(command + " -sS -w 'status=%{http_code}'"), line


def test_the_document_has_all_lines():
    """Every `bash` block but the first, which starts the sandbox, is run above."""
    assert list(BLOCKS) == ["Read a plan", "Edits", "Faults", "Requests and settings"]
    assert DOCUMENT.count("```bash") == 1 + len(BLOCKS)


def test_python_of_the_document_works():
    """As it stands."""
    exec(compile(PYTHON, "sandbox.md", "exec"), {})


def test_the_document_has_a_row_for_each_endpoint_and_fault():
    """With the same words as the page, and nothing else."""
    rows = [
        f"| `{method} /_sandbox{path}` | {what} | {f'`{json.dumps(example)}` ' if example else ''}|"
        for method, path, what, _, example in ENDPOINTS
    ]
    assert re.findall(r"^\| `[A-Z]+ .*$", DOCUMENT, re.MULTILINE) == rows
    documented = re.findall(r'^\| `"(\w+)": ', DOCUMENT, re.MULTILINE)
    assert sorted(documented) == sorted([*FAULTS, "edit"])


def test_the_page_shows_plans_key_and_connection(sandbox):
    """All that a person needs, escaped, and nothing that a browser would fetch from elsewhere."""
    sandbox.put_plan("odd", 3, name="<b>R&D</b>")
    response = requests.get(sandbox.url, timeout=30)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    text = html.unescape(response.text)
    for expected in (*DEMO_PLANS, DEMO_KEY, sandbox.connection_line):
        assert expected in text
    assert "<b>R" not in response.text
    assert not re.findall(r'(?:src|href)="(?!data:,")', response.text)


def test_each_line_of_the_page_works(sandbox):
    """They can be pasted into a shell in their order, apart from what removes the plan."""
    text = html.unescape(requests.get(sandbox.url, timeout=30).text)
    commands = re.findall(r"(?<=>)curl [^\n]*?(?=</)", text)
    assert len(commands) == 1 + len(ENDPOINTS)
    for command in sorted(commands, key=lambda command: "DELETE" in command and "plans" in command):
        assert "status=200" in shell(command + " -sS -w 'status=%{http_code}'"), command
