"""Errors as decisions: one table in the docs, one in the code, and what really happens."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import pkgutil
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit import api
from airflow_provider_achieveit.api import errors
from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import AchieveItError, AchieveItNotFoundError
from airflow_provider_achieveit.api.plan_version import format_timestamp
from airflow_provider_achieveit.api.retry import Pauses
from airflow_provider_achieveit.lake import errors as lake_errors
from airflow_provider_achieveit.lake.change import Baseline
from airflow_provider_achieveit.lake.layout import latest_key, manifest_key
from airflow_provider_achieveit.lake.looks import find_changes
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plan, export_plans
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from tests.api.raw_server import RawServer, answering, bomb, response
from tests.lake.support import ContendedStore
from tests.support.errors import ERRORS
from tests.support.faulty_sandbox import Sandbox

Connect = Callable[..., AchieveItClient]

DOCS = Path(__file__).parents[2] / "docs" / "errors.md"
WITHOUT_AIRFLOW = "make test-oldest has no Airflow"
MODULES = [import_module(f"{api.__name__}.{module.name}") for module in pkgutil.iter_modules(api.__path__)]


def test_the_page_in_the_docs_shows_this_table() -> None:
    """docs/errors.md has a row for each decision, in the same order and with the same words."""
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert rows[0] == [
        "Situation", "Error class", "Retried inside the call", "Retried by Airflow", "What to do"
    ]  # fmt: skip
    assert rows[2:] == [
        [
            error.situation,
            f"`{error.__name__}`",
            "yes" if error.retry_request else "no",
            "yes" if error.retry_task else "no",
            error.advice,
        ]
        for error in ERRORS
    ]


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
        export_plan(client, ParquetSink(store), "p1", snapshot="s", options=ExportOptions(**options))


def ask_closed(scene: Scene) -> None:
    """Use a client that was closed."""
    client = scene.connect()
    client.close()
    client.get_plan_version("p1")


def ask_without_tls(scene: Scene) -> None:
    """Speak TLS with a server that does not."""
    scene.read(base_url=scene.sandbox.url.replace("http:", "https:"))


def ask_for_a_bomb(scene: Scene) -> None:
    """Read a small body that becomes a large one."""
    with RawServer(answering(response(bomb(257), "Content-Encoding: gzip"))) as server:
        scene.read(base_url=server.url, read_timeout=20)


def export_moving(scene: Scene) -> None:
    """Read a plan that is edited before each request."""
    scene.sandbox.before_request = lambda _: scene.sandbox.plan("p1").edit()
    scene.export()


def export_contradicting(scene: Scene) -> None:
    """Read a page that has more items than it counts."""
    scene.sandbox.script({"fault": {"body": '{"items":[{"id":"a"},{"id":"b"}],"totalCount":1}'}})
    scene.export()


def compare_an_odd_time(scene: Scene) -> None:
    """Compare a plan whose newest update is in a form of its own with a time."""
    for index in range(25):
        scene.sandbox.plan("p1").patch(index, lastUpdated="11/20/2026 10:00 AM")
    find_changes(scene.connect(), ["p1"], Baseline(since=datetime.now(UTC)), "version", set())


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
    export_plan(scene.connect(), ParquetSink(store), "p1", snapshot="s")


def export_after_a_later_read(scene: Scene) -> None:
    """Land again what landed before, where the manifest says by now that the plan was read a minute later."""
    scene.export()
    sink = ParquetSink(Store(LocalFileSystem(), str(scene.lake)))
    earlier = sink.landed("p1", "s")
    assert earlier is not None
    later = format_timestamp(datetime.now(UTC) + timedelta(minutes=1))
    (scene.lake / manifest_key("p1", "s")).write_text(json.dumps({**earlier, "version_read_at": later}))
    with sink.begin(Cancellation()) as commit:
        commit.add(earlier, [sink.fetch(earlier, "plan_items", scene.lake.with_name("copy"))])


def export_without_a_temporary_directory(scene: Scene) -> None:
    """Export where the temporary directory is gone."""
    missing = scene.lake.parent / "missing"
    before, tempfile.tempdir = tempfile.tempdir, str(missing)
    try:
        scene.export()
    finally:
        tempfile.tempdir = before


def export_portfolio(scene: Scene, *plan_ids: str) -> None:
    """Export several plans, some of which fail."""
    pytest.importorskip("airflow", reason=WITHOUT_AIRFLOW)
    from airflow_provider_achieveit._outcome import check_many

    sink = ParquetSink(Store(LocalFileSystem(), str(scene.lake)))
    scene.sandbox.plan("one").forbidden = True
    check_many(export_plans(scene.connect(), sink, plan_ids), "fail")


#: How each situation comes about.
PROVOCATIONS: dict[str, Callable[[Scene], object]] = {
    "AchieveItConfigError": lambda scene: scene.connect().get_plan_version("../p1"),
    "AchieveItUnauthorizedError": lambda scene: scene.answer(status=401)(),
    "AchieveItForbiddenError": lambda scene: scene.answer(status=403)(),
    "AchieveItNotFoundError": lambda scene: scene.answer(status=404)(),
    "AchieveItRateLimitError": lambda scene: scene.answer(status=429)(),
    "AchieveItServerError": lambda scene: scene.answer(status=500)(),
    "AchieveItUnreachableError": lambda scene: scene.answer(reset=True)(),
    "AchieveItClosedError": ask_closed,
    "AchieveItTimeoutError": lambda scene: scene.answer(hang=60)(),
    "AchieveItTlsError": ask_without_tls,
    "AchieveItMalformedError": lambda scene: scene.answer(truncate=40)(),
    "AchieveItRedirectError": lambda scene: scene.answer(redirect="https://example.com/")(),
    "AchieveItRefusedError": lambda scene: scene.answer(status=418)(),
    "AchieveItShapeError": lambda scene: scene.answer(body="[]")(),
    "AchieveItTooLargeError": ask_for_a_bomb,
    "AchieveItInconsistentError": export_moving,
    "AchieveItPagingError": export_contradicting,
    "AchieveItUnknownVersionError": compare_an_odd_time,
    "AchieveItDriftError": export_drifting,
    "AchieveItGuardError": lambda scene: scene.export(min_rows=26),
    "AchieveItManifestError": export_over_rubbish,
    "AchieveItStoreError": export_into_a_file,
    "AchieveItContendedError": export_beside_another,
    "AchieveItOutdatedError": export_after_a_later_read,
    "AchieveItScratchError": export_without_a_temporary_directory,
    "AchieveItPortfolioError": lambda scene: export_portfolio(scene, "p1", "one", "nobodys"),
    "AchieveItPortfolioFinalError": lambda scene: export_portfolio(scene, "p1", "one"),
}
HTTP_STATUS = {"401": 401, "403": 403, "404": 404, "429": 429, "5xx, 408 or 425": 500, "3xx": 302, "any other 4xx": 418}


#: Raised before a plan is known, or about what all plans share.
WITHOUT_A_PLAN = {
    "AchieveItConfigError",
    "AchieveItStoreError",
    "AchieveItScratchError",
    "AchieveItPortfolioError",
    "AchieveItPortfolioFinalError",
}

#: These are about the request itself, so the number of requests tells whether it was sent again.
ABOUT_A_REQUEST = [error for error in ERRORS if error.__module__ == errors.__name__]


@pytest.fixture
def pauses() -> Pauses:
    """Nobody waits long."""
    return Pauses(first_retry=0.05, between_reads=(0.05, 0.05))


@pytest.fixture
def scene(sandbox: Sandbox, connect: Connect, tmp_path: Path) -> Scene:
    """A place to provoke errors in."""
    return Scene(sandbox, connect, tmp_path / "lake")


@pytest.mark.parametrize("expected", ERRORS)
def test_each_situation_raises_its_error(scene: Scene, expected: type[AchieveItError]) -> None:
    """Each situation of the table raises the class of its row, and the message says what to do."""
    with pytest.raises(expected) as raised:
        PROVOCATIONS[expected.__name__](scene)
    error = raised.value
    assert type(error) is expected
    assert expected.advice in str(error)
    assert error.plan_id == (None if expected.__name__ in WITHOUT_A_PLAN else "p1")
    if expected.situation in HTTP_STATUS:
        assert error.status == HTTP_STATUS[expected.situation]


@pytest.mark.parametrize("expected", ABOUT_A_REQUEST)
def test_a_request_is_sent_again_where_the_table_says_so(scene: Scene, expected: type[AchieveItError]) -> None:
    """`Retried inside the call` is what happens at the socket."""
    with pytest.raises(expected):
        PROVOCATIONS[expected.__name__](scene)
    tries = len(scene.sandbox.requests)
    assert (tries > 1) if expected.retry_request else (tries <= 1)


@pytest.mark.parametrize("expected", ERRORS)
def test_a_task_fails_at_once_where_the_table_says_so(expected: type[AchieveItError]) -> None:
    """Such an error is final for Airflow, and the same error, under the same name, for whoever catches it."""
    pytest.importorskip("airflow", reason=WITHOUT_AIRFLOW)
    from airflow_provider_achieveit._compat import AirflowFailException
    from airflow_provider_achieveit.exceptions import as_task_errors

    error = expected("it went wrong", status=418, plan_id="p1", retry_after=7.5)
    with pytest.raises(expected) as raised, as_task_errors():
        raise error
    assert isinstance(raised.value, AirflowFailException) == (not expected.retry_task)
    assert type(raised.value).__name__ == expected.__name__
    assert str(raised.value) == str(error)
    twin = pickle.loads(pickle.dumps(raised.value))
    assert type(twin) is type(raised.value)
    assert twin.__dict__ == raised.value.__dict__ == error.__dict__


@pytest.mark.parametrize("cls", ERRORS)
def test_errors_survive_pickling_copying_and_events(cls: type[AchieveItError]) -> None:
    """A worker or a triggerer can hand any error to another process without losing what it carries."""
    error = cls("it went wrong", status=429, plan_id="p1", retry_after=7.5)
    event = json.loads(json.dumps(error.to_json()))
    for twin in (
        pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error), AchieveItError.from_json(event)
    ):  # fmt: skip
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert (twin.status, twin.plan_id, twin.retry_after) == (429, "p1", 7.5)


def test_an_event_of_another_version_is_still_an_error() -> None:
    """A class that this version does not know becomes the base class; what is not an event at all is a ValueError."""
    event = {**AchieveItNotFoundError("it went wrong").to_json(), "error": "AchieveItNewError"}
    assert type(AchieveItError.from_json(event)) is AchieveItError
    for rubbish in ({}, None, [], {"error": "x"}):
        with pytest.raises(ValueError, match="not an error"):
            AchieveItError.from_json(rubbish)  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(
    "name", ["AchieveItInconsistentError", "AchieveItDriftError", "AchieveItGuardError", "AchieveItStoreError"]
)
def test_names_of_the_first_version_can_still_be_imported(name: str) -> None:
    """`api.errors` was the home of all errors in version 0.1.0."""
    assert getattr(errors, name) is getattr(lake_errors, name)


def test_an_error_names_what_happened_then_what_to_do() -> None:
    """The message is one paragraph: plan, cause, remedy."""
    error = AchieveItNotFoundError("AchieveIt answered 404", status=404).about("p1")
    assert str(error).startswith("Plan p1: AchieveIt answered 404. Copy the id again from the plan")
    assert str(error.about("p2")) == str(error), "the first plan that is named stays"


def test_bad_input_is_a_value_error() -> None:
    """Callers who know nothing of this package can catch it."""
    assert issubclass(errors.AchieveItConfigError, ValueError)


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


@pytest.mark.parametrize("error", ERRORS)
def test_advice_is_a_sentence_or_two(error: type[AchieveItError]) -> None:
    """It is printed behind the cause, so it starts and ends like a sentence, and fits a table's cell."""
    assert re.fullmatch(r"[A-Z][^|\n]+\.", error.advice)
    assert "|" not in error.situation
