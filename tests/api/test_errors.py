"""Errors as decisions: one table in the docs, one in the code, and what really happens."""

from __future__ import annotations

import copy
import inspect
import pickle
import pkgutil
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit import api
from airflow_provider_achieveit._compat import AirflowFailException
from airflow_provider_achieveit.api import errors, retry
from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import DECISIONS, AchieveItError, failure
from airflow_provider_achieveit.exceptions import as_task_errors
from airflow_provider_achieveit.lake.export import export_plan
from airflow_provider_achieveit.lake.manifest import latest_key
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.read import snapshot
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.sandbox import Sandbox
from tests.lake.support import ContendedStore

Connect = Callable[..., AchieveItClient]

DOCS = Path(__file__).parents[2] / "docs" / "errors.md"
MODULES = [import_module(f"{api.__name__}.{module.name}") for module in pkgutil.iter_modules(api.__path__)]
CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, AchieveItError) and value.__module__ == errors.__name__
]


def test_the_page_in_the_docs_shows_this_table() -> None:
    """docs/errors.md has a row for each decision, in the same order and with the same words."""
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert rows[0] == [
        "Situation", "Error class", "Retried inside the call", "Retried by Airflow", "What to do"
    ]  # fmt: skip
    assert rows[2:] == [
        [
            decision.situation,
            f"`{decision.error.__name__}`",
            "yes" if decision.retried_in_call else "no",
            "yes" if decision.retried_by_airflow else "no",
            decision.advice,
        ]
        for decision in DECISIONS.values()
    ]


def test_every_error_class_has_a_row() -> None:
    """No class exists that no decision is about, but for those that others are built on."""
    bases = {base for cls in CLASSES for base in cls.__mro__[1:]}
    assert {cls for cls in CLASSES if cls not in bases} <= {decision.error for decision in DECISIONS.values()}


@dataclass
class Scene:
    """What a provocation can work with."""

    sandbox: Sandbox
    connect: Connect
    lake: Path

    def read(self, **settings: Any) -> None:
        """Ask for the version, the smallest request, with a budget for a second try."""
        self.connect(**{"max_retry_seconds": 1, "read_timeout": 0.2, **settings}).get_plan_version("p1")

    def answer(self, **fault: Any) -> Callable[[], None]:
        """Let every request go wrong, and ask."""
        self.sandbox.script({"fault": fault})
        return self.read

    def export(self, **options: Any) -> None:
        """Export the plan."""
        store = Store(LocalFileSystem(), str(self.lake))
        client = self.connect(max_retry_seconds=1, page_size=10)
        export_plan(client, store, "p1", snapshot="s", options=ExportOptions(**options))


def ask_closed(scene: Scene) -> None:
    """Use a client that was closed."""
    client = scene.connect()
    client.close()
    client.get_plan_version("p1")


def ask_without_tls(scene: Scene) -> None:
    """Speak TLS with a server that does not."""
    scene.read(base_url=scene.sandbox.url.replace("http:", "https:"))


def export_moving(scene: Scene) -> None:
    """Read a plan that is edited before each request."""
    scene.sandbox.before_request = lambda _: scene.sandbox.plan("p1").edit()
    scene.export()


def export_drifting(scene: Scene) -> None:
    """Export a value that does not fit."""
    scene.sandbox.plan("p1").patch(0, status="three")
    scene.export(on_drift="fail")


def export_over_rubbish(scene: Scene) -> None:
    """Compare with a manifest that is none."""
    path = scene.lake / latest_key("p1")
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    scene.export(max_shrink=0.5)


def export_into_a_file(scene: Scene) -> None:
    """Export to where a file is in the way."""
    scene.lake.write_text("")
    scene.export()


def export_beside_another(scene: Scene) -> None:
    """Export what another export overwrites each time."""
    store = ContendedStore(LocalFileSystem(), str(scene.lake))
    export_plan(scene.connect(), store, "p1", snapshot="s")


#: How each situation comes about.
PROVOCATIONS: dict[str, Callable[[Scene], object]] = {
    "bad_input": lambda scene: scene.connect().get_plan_version("../p1"),
    "unauthorized": lambda scene: scene.answer(status=401)(),
    "forbidden": lambda scene: scene.answer(status=403)(),
    "not_found": lambda scene: scene.answer(status=404)(),
    "rate_limited": lambda scene: scene.answer(status=429)(),
    "server_error": lambda scene: scene.answer(status=500)(),
    "unreachable": lambda scene: scene.answer(reset=True)(),
    "closed": ask_closed,
    "timeout": lambda scene: scene.answer(hang=60)(),
    "tls": ask_without_tls,
    "malformed": lambda scene: scene.answer(truncate=40)(),
    "redirect": lambda scene: scene.answer(redirect="https://example.com/")(),
    "refused": lambda scene: scene.answer(status=418)(),
    "shape": lambda scene: scene.answer(body="[]")(),
    "inconsistent": export_moving,
    "drift": export_drifting,
    "guard": lambda scene: scene.export(min_rows=26),
    "manifest": export_over_rubbish,
    "store": export_into_a_file,
    "contended": export_beside_another,
}
HTTP_STATUS = {"401": 401, "403": 403, "404": 404, "429": 429, "5xx": 500, "3xx": 302, "any other 4xx": 418}


@contextmanager
def airflow_task() -> Iterator[list[AchieveItError]]:
    """What an operator does around its work; holds the error that came out of the work."""
    caught: list[AchieveItError] = []
    with as_task_errors():
        try:
            yield caught
        except AchieveItError as error:
            caught.append(error)
            raise


@pytest.mark.parametrize("situation", DECISIONS)
def test_the_table_is_true(
    situation: str, sandbox: Sandbox, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each situation raises its class, tries again or not, fails the task at once or not, and says what to do."""
    monkeypatch.setattr(snapshot, "PAUSES", (0.05, 0.05))
    monkeypatch.setattr(retry, "_FIRST_DELAY", 0.05)
    decision = DECISIONS[situation]
    scene = Scene(sandbox, connect, tmp_path / "lake")
    expected = decision.error if decision.retried_by_airflow else AirflowFailException
    with pytest.raises(expected) as raised, airflow_task() as caught:  # type: ignore[call-overload]
        PROVOCATIONS[situation](scene)
    (error,) = caught
    assert type(error) is decision.error
    assert error.situation == situation
    assert error.decision is decision
    assert decision.advice in str(error)
    # For Airflow it is final, and for whoever catches it, it is the same error.
    assert isinstance(raised.value, decision.error)
    assert pickle.loads(pickle.dumps(raised.value)).__dict__ == raised.value.__dict__ == error.__dict__
    assert str(raised.value) == str(error)
    assert error.plan_id == ("p1" if situation != "bad_input" else None) or situation == "store"
    if decision.situation in HTTP_STATUS:
        assert error.status == HTTP_STATUS[decision.situation]
    if situation not in (
        "inconsistent",
        "drift",
        "guard",
        "contended",
    ):  # these read the plan, with as many requests as it has pages
        tries = len(sandbox.requests)
        assert (tries > 1) if decision.retried_in_call else (tries <= 1)


@pytest.mark.parametrize("situation", DECISIONS)
def test_errors_survive_pickling_and_copying(situation: str) -> None:
    """A worker can hand any error to another process without losing what it carries."""
    error = failure(situation, "it went wrong", status=429, plan_id="p1", retry_after=7.5)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert (twin.status, twin.plan_id, twin.retry_after, twin.situation) == (429, "p1", 7.5, situation)
        assert twin.decision is error.decision


def test_an_error_names_what_happened_then_what_to_do() -> None:
    """The message is one paragraph: plan, cause, remedy."""
    error = failure("not_found", "AchieveIt answered 404", status=404).about("p1")
    assert str(error).startswith("Plan p1: AchieveIt answered 404. Copy the id again from the plan")
    assert str(error.about("p2")) == str(error), "the first plan that is named stays"


def test_bad_input_is_a_value_error() -> None:
    """Callers who know nothing of this package can catch it."""
    assert issubclass(errors.AchieveItConfigError, ValueError)
    assert all(issubclass(cls, AchieveItError) for cls in CLASSES)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_everything_public_is_documented(module: Any) -> None:
    """Modules, classes, functions, methods and properties of `api` have docstrings."""
    assert module.__doc__
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        assert not callable(value) or inspect.getdoc(value), name
        for member_name, member in vars(value).items() if inspect.isclass(value) else ():
            is_public = not member_name.startswith("_")
            if is_public and (inspect.isroutine(member) or isinstance(member, property)):
                assert member.__doc__, f"{name}.{member_name}"


@pytest.mark.parametrize("decision", DECISIONS.values(), ids=DECISIONS)
def test_advice_is_a_sentence_or_two(decision: errors.Decision) -> None:
    """It is printed behind the cause, so it starts and ends like a sentence, and fits a table's cell."""
    assert re.fullmatch(r"[A-Z][^|\n]+\.", decision.advice)
    assert "|" not in decision.situation
