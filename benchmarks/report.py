"""From results to `benchmarks.md`, its plots and what the README beside the folder quotes: `report.py FOLDER`.

The results are in `FOLDER/benchmarks/`, one JSON file a part.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from environments import PROJECT
from plots import plot_latency, plot_linearity, plot_sizes
from results import ARROW, FLOOR, IMPORTS, NAIVE, ONE_AT_A_TIME, OURS, WITH_CHANGES, Results, label
from year_table import year_table


def _spread(values: list[float], digits: int) -> str:
    if not values:
        return "-"
    low, high = min(values), max(values)
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({low:.{digits}f} to {high:.{digits}f})"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [list(row) for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def costs(results: Results) -> str:
    small, large = results.sizes[0], results.sizes[-1]
    rows = []
    for peer in results.peers:
        rows.append(
            [
                label(peer),
                _spread(results.all("cpu", peer, large), 1),
                f"{results.ratio('cpu', peer, FLOOR, large):.2f}",
                f"{results.marginal(peer):.0f}",
                _spread(results.all("cpu", peer, small), 2),
                f"{results.median('bytes', peer, large) / large:.0f}",
            ]
        )
    head = (
        "",
        f"CPU s, {large:,} items",
        "of the floor",
        "µs for one more item",
        f"CPU s, {small:,} items",
        "bytes an item",
    )
    return _table(head, rows)


def memory(results: Results) -> str:
    rows = [
        [label(peer), *(_spread(results.all("peak_mb", peer, size), 0) for size in results.sizes)]
        for peer in results.peers
    ]
    rows.append([IMPORTS, _spread(results.all("peak_mb", IMPORTS, 0), 0), *[""] * (len(results.sizes) - 1)])
    return _table(("peak MB", *(f"{size:,} items" for size in results.sizes)), rows)


def latency(results: Results) -> str:
    at = (results.late_items, results.latency)
    peers = [peer for peer in results.peers if results.all("wall", peer, *at)]
    rows = [
        [
            label(peer),
            _spread(results.all("wall", peer, *at), 1),
            f"{results.median('requests', peer, *at):.0f}",
            f"{max(results.all('max_in_flight', peer, *at)):.0f}",
        ]
        for peer in peers
    ]
    return _table(("", "wall s", "requests", "at most in flight"), rows)


def speed(results: Results) -> str:
    """What the README quotes."""
    large, at = results.sizes[-1], (results.late_items, results.latency)
    rows = []
    for peer in results.peers:
        if peer != ONE_AT_A_TIME:
            late = results.all("wall", peer, *at)
            figures = (results.median("cpu", peer, large), results.median("peak_mb", peer, large))
            wall = f"{results.median('wall', peer, *at):.0f}" if late else ""
            rows.append([label(peer), f"{figures[0]:.1f}", f"{figures[1]:.0f}", wall])
    head = (f"{large:,} items", "CPU s", "peak MB", f"s with {results.latency * 1e3:.0f} ms a request")
    raw = results.raw
    versions = raw["versions"]["airflow"] | raw["versions"]["dlt"]
    rounds = f"Medians of {raw['rounds']} rounds" if raw["rounds"] > 1 else "One round"
    how = (
        f"{rounds} of `{raw['command']}` on {raw['date']}; Airflow {versions['apache-airflow']}, "
        f"pyarrow {versions['pyarrow']}, pandas {versions['pandas']}, dlt {versions['dlt']}. Believe ratios, not seconds."
    )
    return f"{_table(head, rows)}\n\n{how}"


def targets(results: Results) -> str:
    large, middle = results.sizes[-1], results.sizes[-2] if len(results.sizes) > 1 else results.sizes[-1]
    at = (results.late_items, results.latency)
    own = results.median("peak_mb", "export operator", large) - results.median("peak_mb", IMPORTS, 0)
    # The peers compare nothing with the snapshot before, so the aims are about exports without changes.
    goals: list[tuple[str, float, float | None, str]] = [
        (f"CPU, {large:,} items, as a multiple of the floor", results.ratio("cpu", OURS, FLOOR, large), 1.35, ".2f"),
        ("the same with changes", results.ratio("cpu", WITH_CHANGES, FLOOR, large), None, ".2f"),
        ("as a multiple of requests + pandas", results.ratio("cpu", OURS, NAIVE, large), 0.25, ".2f"),
        ("the same with changes", results.ratio("cpu", WITH_CHANGES, NAIVE, large), None, ".2f"),
        (
            "CPU for one more item, as a multiple of dlt with Arrow",
            results.marginal(OURS) / results.marginal(ARROW),
            0.85,
            ".2f",
        ),
        ("the same with changes", results.marginal(WITH_CHANGES) / results.marginal(ARROW), None, ".2f"),
        (
            f"peak memory, {large:,} items as a multiple of {middle:,}",
            results.median("peak_mb", OURS, large) / results.median("peak_mb", OURS, middle),
            1.15,
            ".2f",
        ),
        (
            "the operator's peak above its imports, as a multiple of dlt with Arrow's whole",
            own / results.median("peak_mb", ARROW, large),
            1.0,
            ".2f",
        ),
        (
            f"wall with {results.latency * 1e3:.0f} ms a request, 4 at once as a multiple of 1",
            results.ratio("wall", OURS, ONE_AT_A_TIME, *at),
            0.3,
            ".2f",
        ),
        ("the first plan of 1,000 items in a process: CPU in ms", results.inside("small", "first_ms"), 50, ".0f"),
        ("the next ones", results.inside("small", "later_ms"), 50, ".0f"),
        ("the same with changes", results.inside("small", "with_changes_ms"), None, ".0f"),
        ("requests", results.inside("small", "requests"), 1, ".0f"),
        (
            "a DAG file's import beyond Airflow's, CPU in ms",
            results.inside("imports", "import_ms") + results.inside("imports", "dag_ms"),
            30,
            ".0f",
        ),
        (
            "a page with one value to rescue, as a multiple of a clean one",
            results.inside("rescued", "one-misfit-a-page"),
            4,
            ".1f",
        ),
        ("a page with an unknown field in every item", results.inside("rescued", "every-item-a-new-field"), 4, ".1f"),
        ("a page with a misfit in every item", results.inside("rescued", "every-item-misfit"), 4, ".1f"),
    ]
    return _aims((what, value, goal, "at most", form) for what, value, goal, form in goals)


def _aims(goals: Iterable[tuple[str, float, float | None, str, str]]) -> str:
    """A table of what was measured; where there is an aim, `at most` or `at least` so much, whether it is met."""
    rows = []
    for what, value, goal, bound, form in goals:
        aim = ("", "")
        if goal is not None:
            met = value <= goal if bound == "at most" else value >= goal
            aim = (f"{bound} {goal:g}", "yes" if met else "**no**")
        rows.append([what, f"{value:{form}}", *aim])
    return _table(("", "measured", "aim", "met"), rows)


def portfolio(raw: dict[str, Any]) -> str:
    """Many plans in one task."""

    def middle(part: str, one: str, other: str) -> float:
        return statistics.median(found[part][one] / found[part][other] for found in raw["found"])

    one, mapped = raw["airflow"]["one_task"], raw["airflow"]["mapped_tasks"]
    each = statistics.median(found["cpu_s"]["all"] for found in raw["found"]) / raw["plans"] * 1e3
    many, most = f"{raw['plans']} plans", "at most"
    return _aims([
        (f"CPU of all processes of an Airflow, {many} of {raw['items']} items: mapped tasks as a multiple of one task", mapped["cpu_s"] / one["cpu_s"], 12, "at least", ".0f"),
        ("the same, wall", mapped["wall_s"] / one["wall_s"], None, "", ".0f"),
        (f"CPU of {many} in a program, as a multiple of the floor program run once for each", middle("cpu_s", "all", "floor_each"), 1.6, most, ".2f"),
        ("the same without changes, of the floor in one process, plan after plan", middle("cpu_s", "no_changes", "floor"), 1.6, most, ".2f"),
        ("the same with changes", middle("cpu_s", "all", "floor"), None, "", ".2f"),
        ("CPU a plan with changes, in ms", each, None, "", ".0f"),
        (f"wall with {raw['latency'] * 1e3:.0f} ms a request, 4 in flight as a multiple of 1", middle("late_s", "four", "one"), 0.3, most, ".2f"),
        (f"peak memory of {many}, as a multiple of one", middle("peak_mb", "many", "one"), 1.3, most, ".2f"),
        (f"of {many} and one of {raw['large']:,} items, as a multiple of that one alone", middle("peak_mb", "large_and_many", "large"), 1.2, most, ".2f"),
        ("resident memory after 1,000 exports in one process, as a multiple of after 200", middle("resident_mb", "at_end", "at_fifth"), 1.05, most, ".2f"),
        (f"XCom of one task with {many} and child tables, kB", raw["airflow"]["xcom_kb"], None, "", ".0f"),
        (f"extras of {raw['airflow']['events']} of its asset events, kB", raw["airflow"]["events_kb"], None, "", ".0f"),
    ])  # fmt: skip


def changes(raw: dict[str, Any]) -> str:
    """What the table of changes costs on top of an export."""
    small, large = sorted(raw["found"], key=int)
    first, last = raw["found"][small], raw["found"][large]

    def middle(runs: list[dict[str, float]], what: str) -> float:
        return statistics.median(run[what] for run in runs)

    on_top = statistics.median(run["cpu_s"] / run["cpu_s_without"] - 1 for run in last)
    grown = middle(last, "peak_mb") / middle(first, "peak_mb")
    what = f"{int(large):,} items of which {raw['share']:.0%} were edited"
    return _aims([
        (f"CPU of the changes, {what}, as a share of the export without them", on_top, 0.5, "at most", ".2f"),
        ("CPU of that export in s, without changes", middle(last, "cpu_s_without"), None, "", ".1f"),
        ("the same, with changes", middle(last, "cpu_s"), None, "", ".1f"),
        (f"peak memory with changes, as a multiple of {int(small):,} items", grown, 1.3, "at most", ".2f"),
        ("peak memory in MB, without changes", middle(last, "peak_mb_without"), None, "", ".0f"),
        ("the same, with changes", middle(last, "peak_mb"), None, "", ".0f"),
    ])  # fmt: skip


def when(raw: dict[str, Any]) -> str:
    """When and where a part was measured."""
    rounds = f"{raw['rounds']} interleaved rounds" if raw["rounds"] > 1 else "one round"
    return (
        f"Version {raw['provider_version']}, measured on {raw['date']} with `{raw['command']}`: {rounds} on a machine of {raw['machine']['cpus']} shared cores"
        f" ({raw['machine']['system']})."
    )


def stages(results: Results) -> str:
    names = results.raw["inside"]["stages"][0]
    order = ("download", "decode", "type", "check", "changes", "encode", "hash", "upload", "rest")
    middles = {name: results.inside("stages", name) for name in order if name in names}
    whole = sum(middles.values())
    return _table(
        ("stage", "µs CPU an item", "share"),
        [[name, f"{value:.2f}", f"{value / whole:.0%}"] for name, value in middles.items()],
    )


def watching(results: Results) -> str:
    figures = results.raw["inside"]["watching"][-1]
    lags = " / ".join(f"{figures[f'lag_ms_{which}']:.0f}" for which in ("median", "99", "max"))
    rows = [
        ("plans, interval", f"{figures['plans']}, {figures['interval_s']:g} s"),
        ("CPU of one core", f"{figures['cpu_share']:.1%}"),
        ("requests a minute", f"{figures['requests_a_minute']:.0f}"),
        ("lag of the event loop, median / 99 % / most", f"{lags} ms"),
        ("most lag while all start at once", f"{figures['lag_ms_max_while_all_start']:.0f} ms"),
    ]
    return _table(("figure", "value"), rows)


def versions(results: Results) -> str:
    lines = []
    for environment, found in results.raw["versions"].items():
        lines.append(f"- `{environment}`: " + ", ".join(f"{name} {version}" for name, version in found.items()))
    return "\n".join(lines)


def main(folder: Path) -> None:
    found = folder / "benchmarks"
    text = (Path(__file__).parent / "benchmarks.md.in").read_text()
    if (found / "portfolio.json").exists():
        raw = json.loads((found / "portfolio.json").read_text())
        text = text.replace("{when_portfolio}", when(raw)).replace("{portfolio}", portfolio(raw))
    if (found / "year.json").exists():
        raw = json.loads((found / "year.json").read_text())
        _put(
            PROJECT / "docs" / "table-formats.md", folder / "table-formats.md", "year", f"{when(raw)} {year_table(raw)}"
        )
    if (found / "changes.json").exists():
        raw = json.loads((found / "changes.json").read_text())
        text = text.replace("{when_changes}", when(raw)).replace("{changes}", changes(raw))
    if (found / "peers.json").exists():
        text = _peers(Results(found / "peers.json"), text, folder)
    (folder / "benchmarks.md").write_text(text)


def _put(page: Path, into: Path, what: str, text: str) -> None:
    """Put a table where a page has its mark."""
    before, begin, rest = page.read_text().partition(f"<!-- {what}: written by make bench -->\n")
    _, end, after = rest.partition(f"<!-- end of {what} -->")
    into.write_text(f"{before}{begin}{text}\n{end}{after}")


def _peers(results: Results, text: str, folder: Path) -> str:
    plot_sizes(results, "cpu", "CPU seconds", folder / "benchmarks" / "cpu.svg")
    plot_sizes(results, "peak_mb", "peak resident MB", folder / "benchmarks" / "memory.svg")
    plot_linearity(results, folder / "benchmarks" / "linearity.svg")
    plot_latency(results, folder / "benchmarks" / "latency.svg")
    tables: tuple[Callable[[Results], str], ...] = (targets, costs, memory, latency, stages, watching, versions)
    for table in tables:
        text = text.replace(f"{{{table.__name__}}}", table(results))
    for name, value in {
        "when_peers": when(results.raw), "large": f"{results.sizes[-1]:,}", "milliseconds": f"{results.latency * 1e3:.0f}",
    }.items():  # fmt: skip
        text = text.replace(f"{{{name}}}", value)
    readme = folder.parent / "README.md"
    if readme.exists():
        _put(readme, readme, "speed", speed(results))
    return text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
