"""The page of the example `achieveit_report`: its numbers, its size, and that nothing in a name can harm it."""

from __future__ import annotations

import json
import re
import runpy
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plans
from airflow_provider_achieveit.sandbox import Sandbox
from tests.lake.stores import LocalStores, S3Stores, Stores
from tests.support.airflow import Airflow
from tests.support.ready_queries import SECTIONS, SETUP, Lake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.ready_queries import Row

EXAMPLE = Path(__file__).parents[2] / "example_dags" / "achieveit_report.py"
SQL = EXAMPLE.with_suffix(".sql").read_text()
SCRIPT = "<script>alert(1)</script>"
HOSTILE = f"R&amp;D \"><img src=x onerror=alert(1)> {SCRIPT} ' ]]> --> </style> {{{{ 7*7 }}}}"
#: Elements without an end.
VOID = {"meta", "br", "img", "link", "input", "hr"}
#: All that may name something to load; `href` and `src` of nothing, and no `xlink:href`.
REFERENCES = {"src", "href", "xlink:href", "action", "srcset", "data", "poster", "background"}


class Page(HTMLParser):
    """A page as a browser reads it.

    Attributes:
        text: What people read.
        tables: The rows of each table, its head first, by the heading above it.
        figures: The figures at the top.
        elements: Every element that was opened, with its attributes.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self._heading, self._open = "", "", list[str]()
        self.tables: dict[str, list[list[str]]] = {}
        self.figures: dict[str, str] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert self._open == [], "elements that were not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in VOID:
            return
        self._open.append(tag)
        if tag == "h2":
            self._heading = ""
        elif tag == "tr":
            self.tables.setdefault(self._heading, []).append([])
        elif tag in ("td", "th"):
            self.tables[self._heading][-1].append("")
        elif tag == "dt":
            self._figure = ""

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        match self._open[-1:]:
            case ["h2"]:
                self._heading += data
            case ["td" | "th"]:
                self.tables[self._heading][-1][-1] += data
            case ["dt"]:
                self._figure += data
            case ["dd"]:
                self.figures.setdefault(self._figure, data)

    def bars(self) -> list[dict[str, int]]:
        """The items of each status, of each plan in the table of plans."""
        found: list[dict[str, int]] = []
        for _, attributes in self.elements:
            if attributes.get("class") == "mix":
                found.append({})
            elif attributes.get("title"):
                name, _, items = str(attributes["title"]).rpartition(": ")
                found[-1][name] = int(items.replace(",", ""))
        return found


def check_harmless(html: str) -> Page:
    """Check that a page is well formed, small, and neither loads nor runs anything."""
    page = Page(html)
    assert len(html.encode()) <= 200_000
    assert not {"script", "img", "link", "iframe", "object", "embed", "base", "form"} & {
        tag for tag, _ in page.elements
    }
    for _, attributes in page.elements:
        assert not [name for name in attributes if name in REFERENCES or name.startswith("on")]
    [style] = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    return page


def ask(lake: LocalStores) -> dict[str, list[Row]]:
    """The answers of the ready queries, as docs/queries.md has them."""
    return {title: Lake(lake.root, {}).duckdb(title) for title in TITLES}


PLANS, BY_PLAN, TOGETHER, WEEK, SLIPPED, OVERDUE = TITLES = re.findall(r"\n-- (.*)\n", SQL)[1:]


def test_the_queries_are_those_of_the_docs() -> None:
    """Word for word: there is no second truth."""
    docs = {"Setup": SETUP, **SECTIONS}
    for section in SQL.split("\n-- ")[1:]:
        title, _, code = section.partition("\n")
        assert code.strip() == docs[title]["sql"].strip()


def fill(stores: Stores) -> None:
    """Three labels of three plans, one of them hostile in all that it names: due dates slip, items come and go."""
    with Sandbox({"alpha": 40, "beta": 12, "evil": 8}) as sandbox:
        client = AchieveItClient(sandbox.key, ClientSettings(base_url=sandbox.url))

        def land(label: str, *plans: str) -> None:
            report = export_plans(client, stores.sink(), plans, snapshot=label, options=ExportOptions())
            assert not report.failures

        alpha, evil = sandbox.plans["alpha"], sandbox.plans["evil"]
        for item in range(8):
            names = {"name": f"{HOSTILE} {item}", "planName": HOSTILE, "statusName": HOSTILE}
            evil.edit(item, **names, assignedToFullName=HOSTILE, isPastDue=True, due="2026-12-01T00:00:00Z")
        land("2026-11-02", "alpha", "beta", "evil")
        for item in range(30):
            alpha.edit(item, due=f"2030-01-{item % 28 + 1:02}T00:00:00Z")
        evil.edit(0, due="2099-12-31T00:00:00Z")
        land("2026-11-03", "alpha", "evil")
        alpha.delete(39)
        alpha.insert()
        alpha.edit(3, statusName="Waiting", assignedToId="ada", assignedToFullName="Ada")
        land("2026-11-05", "alpha", "beta")
        client.close()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LocalStores:
    """That lake as local files."""
    stores = LocalStores(tmp_path_factory.mktemp("report") / "lake")
    fill(stores)
    return stores


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """The names of the example's module."""
    return runpy.run_path(str(EXAMPLE))


@pytest.fixture(scope="module")
def html(lake: LocalStores, example: dict[str, Any]) -> str:
    """The page of the lake."""
    write = example["achieveit_report"]().get_task("write_page").python_callable
    assert write(lake.uri) == f"{lake.uri}/report.html"
    return (lake.root / "report.html").read_text()


@pytest.fixture
def page(html: str) -> Page:
    """The same, read."""
    return check_harmless(html)


def test_the_figures_are_the_answers_of_the_queries(page: Page, lake: LocalStores) -> None:
    """Each sum at the top."""
    answers = ask(lake)
    sums = {
        "Plans": len(answers[PLANS]),
        "Items": sum(row["rows"] for row in answers[PLANS]),
        "Overdue": sum(row["overdue"] for row in answers[OVERDUE]),
        "Edited in seven days": sum(row["edited"] for row in answers[WEEK]),
        "Slipped in seven days": sum(row["slipped"] for row in answers[WEEK]),
    }
    assert {name: int(value.replace(",", "")) for name, value in page.figures.items()} == sums
    assert all(sums.values())


def test_the_tables_are_the_answers_of_the_queries(page: Page, lake: LocalStores) -> None:
    """Each plan with its items and statuses, each plan's changes, the due dates that slipped last."""
    answers = ask(lake)
    plans = sorted(answers[PLANS], key=lambda row: -row["rows"])
    assert [int(cells[1]) for cells in page.tables["Plans"][1:]] == [row["rows"] for row in plans]
    for bar, plan in zip(page.bars(), plans, strict=True):
        rows = [
            row for row in answers[BY_PLAN] if (row["plan_id"], row["snapshot"]) == (plan["plan_id"], plan["snapshot"])
        ]
        assert sorted(bar.values()) == sorted(row["items"] for row in rows)
    keys = ("added", "removed", "edited", "status_moved", "slipped", "reassigned")
    week = sorted(answers[WEEK], key=lambda row: -row["edited"])
    assert [list(map(int, cells[1:])) for cells in page.tables["Changes of the last seven days"][1:]] == [
        [row[key] for key in keys] for row in week
    ]
    days = sorted((row["days"] for row in answers[SLIPPED]), reverse=True)
    assert [int(cells[3].replace(",", "")) for cells in page.tables["Slipped due dates"][1:]] == days[:15]
    assert f"15 of {len(days)} since the first snapshot" in page.text


def test_the_charts_have_the_answers_of_the_queries(html: str, lake: LocalStores) -> None:
    """A bar for each status and snapshot, whose heights are its shares, and a number for each owner."""
    statuses, owners = re.findall("<svg .*?</svg>", html, re.DOTALL)
    answers = ask(lake)
    heights: dict[str, list[float]] = {}
    for x, height in re.findall(r'd="M([\d.]+),[\d.]+h[\d.]+v([\d.]+)h[^"]*" fill="var\(--s', statuses):
        heights.setdefault(x, []).append(float(height))
    expected = {}
    for label in ("2026-11-02", "2026-11-03", "2026-11-05"):
        counts = [row["items"] for row in answers[TOGETHER] if row["snapshot"] == label]
        expected[label] = sorted(220 * count / sum(counts) for count in counts)
        assert label in statuses
    assert [sorted(bars) for bars in heights.values()] == [pytest.approx(bars) for bars in expected.values()]
    numbers = sorted((row["overdue"] for row in answers[OVERDUE]), reverse=True)[:12]
    shown = re.findall(r'fill="var\(--ink\)"[^>]*>(\d+)</text>', owners)
    assert sorted(map(int, shown), reverse=True) == numbers


def test_hostile_names_are_text(html: str, page: Page) -> None:
    """A name is shown as people read it, `&amp;` as `&`; nothing in it becomes an element, in no chart either."""
    assert "<script" not in html
    readable = f"{HOSTILE.replace('&amp;', '&')[:79]}…"
    assert page.tables["Plans"][-1][0] == readable
    assert page.tables["Slipped due dates"][1][:2] == [readable, readable]
    assert "&amp;amp;" not in html


def test_a_page_of_a_lake_without_end_is_small(example: dict[str, Any]) -> None:
    """Hundreds of plans, statuses, owners and labels, each with a name as long as it can be."""
    now, long = datetime.now(UTC), "<&\"'>" * 400
    plan = {"plan_name": long, "snapshot": "l", "rows": 10**6, "as_of": now, "is_old": True}
    plans = [{"plan_id": f"{number:064}", **plan} for number in range(600)]
    names = [f"{number}{long}" for number in range(40)]
    mix = [
        {"plan_id": plan["plan_id"], "snapshot": "l", "status_name": name, "items": 25_000}
        for plan in plans
        for name in names
    ]
    together = [
        {"snapshot": f"{label:0128}", "status_name": name, "items": 10**7}
        for label in range(800)
        for name in [*names, None]
    ]
    keys = ("added", "removed", "edited", "status_moved", "slipped", "reassigned")
    week = [{"plan_id": plan["plan_id"], **dict.fromkeys(keys, 10**6)} for plan in plans]
    slipped = [
        {"plan_id": plan["plan_id"], "item_name": long, "to_snapshot": "0" * 128, "days": 10**4} for plan in plans
    ]
    owners = [{"owner": f"{number}{long}", "overdue": 10**6} for number in range(2_000)]
    page = check_harmless(example["make_page"]([plans, mix, together, week, slipped, owners]))
    assert "Other statuses" in page.text
    assert re.search("The [1-9][0-9]* largest of 600 plans.", page.text)


def test_a_lake_in_which_nothing_happened_has_a_page(example: dict[str, Any]) -> None:
    """One empty plan, and nothing else."""
    plan = {"plan_id": "p", "plan_name": None, "snapshot": "l", "rows": 0, "as_of": datetime.now(UTC), "is_old": False}
    page = check_harmless(example["make_page"]([[plan], [], [], [], [], []]))
    assert page.tables["Plans"][1][:2] == ["p", "0"]
    assert page.text.count("None.") == 3


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Stores]:
    """An S3 bucket, and the connection `aws_lake` to it."""
    with S3Stores() as stores:
        stores.empty()
        extra = {"endpoint_url": stores.endpoint, "region_name": "us-east-1"}
        connection = {"conn_type": "aws", "login": stores.key, "password": stores.secret, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_LAKE", json.dumps(connection))
        yield stores


def test_the_page_lies_beside_the_data_on_s3(s3: S3Stores, example: dict[str, Any], page: Page) -> None:
    """Read and written with the credentials of an Airflow connection; a browser is told that it is a page."""
    fill(s3)
    write = example["achieveit_report"]().get_task("write_page").python_callable
    uri = write(s3.uri, "aws_lake")
    assert uri == f"{s3.uri}/report.html"
    assert Page(s3.objects()["report.html"].decode()).figures == page.figures
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    assert s3.boto.head_object(Bucket=bucket, Key=key)["ContentType"] == "text/html"


@pytest.mark.slow
def test_the_dag_runs_as_it_stands(lake: LocalStores, tmp_path: Path) -> None:
    """By `airflow dags test`, with no more than where the lake is."""
    airflow = Airflow(tmp_path)
    airflow.environment["ACHIEVEIT_EXAMPLE_LAKE"] = lake.uri
    airflow.cli("db", "migrate")
    (lake.root / "report.html").unlink(missing_ok=True)
    log = airflow.run(sys.executable, "-m", "airflow", "dags", "test", "achieveit_report")
    assert log.returncode == 0, log.stdout + log.stderr
    assert check_harmless((lake.root / "report.html").read_text()).figures["Plans"] == "3"
