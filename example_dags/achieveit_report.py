"""Whenever plans have landed, write a page about all plans of the lake beside the data: `<destination>/report.html`.

The page is one file of at most 200 kB that loads nothing: status mix over the snapshots, what changed in the last seven
days, slipped due dates, overdue by owner. Its numbers are the answers of ready queries of docs/queries.md, which are in
`achieveit_report.sql` beside this file; they read a lake of Parquet files. docs/report.md shows the page.

Needs `pip install duckdb altair vl-convert-python` on the workers, and the files `achieveit_report.sql` and
`achieveit_report.html`. Runs as it stands after an export of the sandbox's plans, such as that of `achieveit_export`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

try:
    from airflow.sdk import AssetAlias, dag, task
except ImportError:  # Airflow 2.11
    from airflow.datasets import DatasetAlias as AssetAlias
    from airflow.decorators import dag, task

DESTINATION = os.environ.get("ACHIEVEIT_EXAMPLE_LAKE", "file:///tmp/achieveit-lake")

#: Your organisation's own statuses, in the order in which they are stacked. The page has a colour for each of these; up
#: to four others get one in the order of their frequency, and the rest is "Other statuses".
STATUSES = ("Achieved", "On Track", "At Risk", "Off Track", "Not Achieved", "Not Started", "Canceled")
MORE_STATUSES, OTHERS = 4, "Other statuses"
#: However large the lake is, the page is not: bytes, and how much of each is shown at most.
BYTES = 200_000
SNAPSHOTS, PLANS, SLIPPED, OWNERS, LETTERS = 30, 100, 15, 12, 80


def ask(store: Any) -> list[list[dict[str, Any]]]:
    """Return the answers of the queries, in their order."""
    import duckdb

    lake = store.uri("").rstrip("/").removeprefix("file://").replace("'", "''")
    _, setup, *queries = re.split(r"\n-- .*\n", beside(".sql").replace("/data/lake", lake))
    answers = []
    with duckdb.connect() as connection:
        if not store.is_local:
            connection.register_filesystem(store.fs)  # with the credentials of the Airflow connection
        connection.execute("set timezone='UTC'")
        connection.execute(setup)
        for query in queries:
            cursor = connection.execute(query)
            names = [column[0] for column in cursor.description]
            answers.append([dict(zip(names, row, strict=True)) for row in cursor.fetchall()])
    return answers


def beside(ending: str) -> str:
    """Return the text of the file beside this one that has another ending."""
    return Path(__file__).with_suffix(ending).read_text(encoding="utf-8")


def plain(text: str | None, otherwise: str) -> str:
    """Return a name as people read it: the API may have escaped it for HTML, and it can be of any length."""
    name = " ".join(unescape(text or "").split()) or otherwise
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


class Statuses:
    """Which colour of the page each status has.

    Args:
        counts: How often each status is there.
    """

    def __init__(self, counts: Counter[str | None]) -> None:
        more = [status for status, _ in counts.most_common() if status not in STATUSES][:MORE_STATUSES]
        self._colours = {status: number for number, status in enumerate([*STATUSES, *more])}
        self._others = len(STATUSES) + MORE_STATUSES

    def parts(self, counts: Counter[str | None]) -> list[tuple[int, str, int]]:
        """Return colour, name and number of items of each status, in the order in which they are stacked."""
        parts: dict[int, tuple[str, int]] = {}
        for status, items in counts.items():
            colour = self._colours.get(status, self._others)
            name = OTHERS if colour == self._others else plain(status, "No status")
            parts[colour] = (name, parts.get(colour, ("", 0))[1] + items)
        return [(colour, *parts[colour]) for colour in sorted(parts)]


def count_statuses(rows: list[dict[str, Any]], *key: str) -> dict[tuple[str, ...], Counter[str | None]]:
    """Return how many items have each status, for each value of the key."""
    counts: dict[tuple[str, ...], Counter[str | None]] = {}
    for row in rows:
        counts.setdefault(tuple(row[name] for name in key), Counter())[row["status_name"]] += row["items"]
    return counts


def thinned(labels: list[Any], most: int) -> list[Any]:
    """Return evenly spaced labels, so many at most, the newest among them."""
    step = -(-len(labels) // most) or 1
    return labels[::-step][::-1]


def draw(chart: Any, label: str, left: int) -> str:
    """Return a chart as SVG that takes its colours from the page, with so many pixels free on its left."""
    from vl_convert import vegalite_to_svg

    padding = {"left": left, "right": 28, "top": 8, "bottom": 4}
    chart = chart.configure(background="transparent", font="system-ui, sans-serif", aria=False, padding=padding)
    chart = chart.configure_view(stroke=None).configure_axis(
        domain=False, ticks=False, title=None, gridColor="var(--line)", labelColor="var(--muted)", labelFontSize=12,
        labelPadding=8, labelLimit=400,
    )  # fmt: skip
    svg = vegalite_to_svg(chart.to_json())
    size = svg.partition('viewBox="')[2].partition('"')[0]
    return re.sub("^<svg[^>]*>", f'<svg viewBox="{size}" role="img" aria-label="{label}">', svg)


def draw_statuses(mix: dict[tuple[str, ...], Counter[str | None]], statuses: Statuses) -> str:
    """Draw the share of each status over the snapshots, of which as many are shown as have room."""
    import altair as alt

    labels = thinned(sorted(mix), SNAPSHOTS)
    named = thinned(labels, max(1, 860 // (8 * max(len(label) for (label,) in labels) + 16)))
    values = [
        {"snapshot": label, "colour": colour, "items": items}
        for (label,) in labels
        for colour, _, items in statuses.parts(mix[label,])
    ]
    colours = [*range(len(STATUSES) + MORE_STATUSES + 1)]
    scale = alt.Scale(domain=colours, range=[f"var(--s{colour})" for colour in colours])
    chart = alt.Chart(alt.Data(values=values), width=860, height=220).mark_bar(size=min(44, 640 // len(labels)))
    chart = chart.encode(
        x=alt.X("snapshot:O", axis=alt.Axis(labelAngle=0, grid=False, values=[label for (label,) in named])),
        y=alt.Y("items:Q", stack="normalize", axis=alt.Axis(format="%", tickCount=4)),
        color=alt.Color("colour:O", scale=scale, legend=None),
        order=alt.Order("colour:Q"),
    )
    return draw(chart, "Share of each status over the snapshots", 6)


def draw_owners(owners: list[dict[str, Any]]) -> str:
    """Draw how many overdue items each owner has."""
    import altair as alt

    base = alt.Chart(alt.Data(values=owners), width=640, height=alt.Step(26))
    base = base.encode(x=alt.X("overdue:Q", axis=None), y=alt.Y("owner:N", sort=None, axis=alt.Axis(labelLimit=240)))
    bars = base.mark_bar(height=14, color="var(--accent)", cornerRadiusEnd=2)
    numbers = base.mark_text(align="left", dx=6, fontSize=12, color="var(--ink)").encode(text="overdue:Q")
    # Whoever reads the page may have a wider font than the one by which room for the names was left.
    return draw(bars + numbers, "Overdue items by owner", 30)


def make_page(answers: list[list[dict[str, Any]]], most: int = PLANS) -> str:
    """Return the page with so many plans at most, or with fewer where it would become too large.

    The template escapes every name, and so does what draws the charts.
    """
    from jinja2 import Environment

    plans, by_plan, together, week, slipped, overdue = answers
    plans.sort(key=lambda row: (-row["rows"], row["plan_id"]))
    week.sort(key=lambda row: (-row["edited"], row["plan_id"]))
    slipped.sort(key=lambda row: (row["to_snapshot"], row["days"]), reverse=True)
    overdue.sort(key=lambda row: (-row["overdue"], row["owner"]))
    names = {row["plan_id"]: plain(row["plan_name"], row["plan_id"]) for row in plans}
    mix_of, mix = count_statuses(by_plan, "plan_id", "snapshot"), count_statuses(together, "snapshot")
    now = [mix_of.get((row["plan_id"], row["snapshot"]), Counter()) for row in plans]
    statuses = Statuses(sum(now, Counter()))
    owners = [{"owner": plain(row["owner"], "nobody"), "overdue": row["overdue"]} for row in overdue[:OWNERS]]
    added, removed, edited, late = (sum(row[key] for row in week) for key in ("added", "removed", "edited", "slipped"))
    values = {
        "as_of": max(row["as_of"] for row in plans),
        "figures": [
            ("Plans", len(plans), ""),
            ("Items", sum(row["rows"] for row in plans), ""),
            ("Overdue", sum(row["overdue"] for row in overdue), f"{len(overdue):,} owners"),
            ("Edited in seven days", edited, f"{added:,} added, {removed:,} removed"),
            ("Slipped in seven days", late, "due dates"),
        ],
        "status_chart": draw_statuses(mix, statuses) if mix else "",
        "legend": statuses.parts(sum(now, Counter())),
        "snapshots": len(mix),
        "shown_snapshots": len(thinned(sorted(mix), SNAPSHOTS)),
        "all_plans": len(plans),
        "plans": [
            {**row, "name": names[row["plan_id"]], "parts": statuses.parts(counts)}
            for row, counts in zip(plans[:most], now[:most], strict=True)
        ],
        "all_changed": len(week),
        "changed": [{**row, "name": names.get(row["plan_id"], row["plan_id"])} for row in week[:most]],
        "all_slipped": len(slipped),
        "slipped": [
            {
                **row,
                "item": plain(row["item_name"], "No name"),
                "plan": names.get(row["plan_id"], row["plan_id"]),
                "label": plain(row["to_snapshot"], ""),
            }
            for row in slipped[:SLIPPED]
        ],
        "all_owners": len(overdue),
        "shown_owners": len(owners),
        "owner_chart": draw_owners(owners) if owners else "",
    }
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = "{:,}".format
    page = environment.from_string(beside(".html")).render(values)
    return page if len(page.encode()) <= BYTES else make_page(answers, most // 2)


@dag(
    # Whichever plan has landed, by whichever export. For one plan: Asset(f"{DESTINATION}/plan_items/plan=<plan id>").
    schedule=[AssetAlias("achieveit_landed_plans")],
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001  # Airflow 2.11 wants one, and takes a naive date as UTC
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["achieveit", "example"],
    doc_md=__doc__,
)
def achieveit_report() -> None:
    @task
    def write_page(destination: str, destination_conn_id: str | None = None) -> str:
        from tempfile import TemporaryDirectory

        from airflow_provider_achieveit.verify import open_lake

        store = open_lake(destination, destination_conn_id).store
        with TemporaryDirectory() as directory:
            file = Path(directory) / "report.html"
            file.write_text(make_page(ask(store)), encoding="utf-8")
            with store.prepared([(file, "report.html")]) as [(copy, key)]:
                store.swap(copy, key, store.look(key))  # whole: readers see the earlier page or this one
        return store.uri(key)

    write_page(DESTINATION)


achieveit_report()
