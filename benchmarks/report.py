"""From results to `benchmarks.md` and its plots: `report.py FOLDER`, where `FOLDER/benchmarks/results.json` is."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update(
    {"svg.hashsalt": "benchmarks", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
)
from matplotlib import pyplot as plt

OURS, FLOOR, ARROW, NAIVE = "export_plan", "floor", "dlt, Arrow, deferred", "requests + pandas"
IMPORTS = "export operator, imports only"
COLORS = {OURS: "#c0392b", "export operator": "#e08e79", FLOOR: "#222222", ARROW: "#2e6da4"}
LABELS = {
    OURS: "this package, `export_plan`",
    "export operator": "this package, the operator",
    "export_plan, 1 at a time": "this package, one request at a time",
}


class Results:
    """The runs of a campaign, by peer and load."""

    def __init__(self, path: Path) -> None:
        self.raw = json.loads(path.read_text())
        self._runs: dict[tuple[str, int, float], list[dict[str, Any]]] = {}
        for run in self.raw["runs"]:
            self._runs.setdefault((run["peer"], run["items"], run["latency"]), []).append(run)
        self.peers = list(dict.fromkeys(run["peer"] for run in self.raw["runs"] if run["peer"] != IMPORTS))
        plain = [run["items"] for run in self.raw["runs"] if not run["latency"] and run["items"]]
        #: The sizes that every peer was given.
        self.sizes = [
            size for size in sorted(set(plain)) if all((peer, size, 0.0) in self._runs for peer in self.peers)
        ]
        late = [(run["items"], run["latency"]) for run in self.raw["runs"] if run["latency"]]
        self.late_items, self.latency = late[0]

    def sizes_of(self, peer: str) -> list[int]:
        return sorted(items for name, items, latency in self._runs if name == peer and not latency)

    def all(self, what: str, peer: str, items: int, latency: float = 0.0) -> list[float]:
        return [run[what] for run in self._runs.get((peer, items, latency), [])]

    def median(self, what: str, peer: str, items: int, latency: float = 0.0) -> float:
        return statistics.median(self.all(what, peer, items, latency))

    def marginal(self, peer: str) -> float:
        """Microseconds of CPU for one more item, between the two largest sizes."""
        if len(self.sizes) < 2:
            return float("nan")
        low, high = self.sizes[-2:]
        return (self.median("cpu", peer, high) - self.median("cpu", peer, low)) / (high - low) * 1e6

    def ratio(self, what: str, peer: str, other: str, items: int, latency: float = 0.0) -> float:
        """Median over the rounds of one peer's cost as a multiple of another's in the same round."""
        pairs = zip(self.all(what, peer, items, latency), self.all(what, other, items, latency), strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)

    def inside(self, what: str, key: str) -> float:
        return statistics.median(result[key] for result in self.raw["inside"][what])


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


def _name(peer: str) -> str:
    return LABELS.get(peer, peer)


def costs(results: Results) -> str:
    small, large = results.sizes[0], results.sizes[-1]
    rows = []
    for peer in results.peers:
        rows.append(
            [
                _name(peer),
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
        [_name(peer), *(_spread(results.all("peak_mb", peer, size), 0) for size in results.sizes)]
        for peer in results.peers
    ]
    rows.append([IMPORTS, _spread(results.all("peak_mb", IMPORTS, 0), 0), *[""] * (len(results.sizes) - 1)])
    return _table(("peak MB", *(f"{size:,} items" for size in results.sizes)), rows)


def latency(results: Results) -> str:
    at = (results.late_items, results.latency)
    peers = [peer for peer in results.peers if results.all("wall", peer, *at)]
    rows = [
        [
            _name(peer),
            _spread(results.all("wall", peer, *at), 1),
            f"{results.median('requests', peer, *at):.0f}",
            f"{max(results.all('max_in_flight', peer, *at)):.0f}",
        ]
        for peer in peers
    ]
    return _table(("", "wall s", "requests", "at most in flight"), rows)


def targets(results: Results) -> str:
    large, middle = results.sizes[-1], results.sizes[-2] if len(results.sizes) > 1 else results.sizes[-1]
    at = (results.late_items, results.latency)
    own = results.median("peak_mb", "export operator", large) - results.median("peak_mb", IMPORTS, 0)
    goals: list[tuple[str, float, float, str]] = [
        (f"CPU, {large:,} items, as a multiple of the floor", results.ratio("cpu", OURS, FLOOR, large), 1.35, ".2f"),
        ("the same, of requests + pandas", results.ratio("cpu", OURS, NAIVE, large), 0.25, ".2f"),
        (
            "CPU for one more item, as a multiple of dlt with Arrow",
            results.marginal(OURS) / results.marginal(ARROW),
            0.85,
            ".2f",
        ),
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
            results.ratio("wall", OURS, "export_plan, 1 at a time", *at),
            0.3,
            ".2f",
        ),
        ("the first plan of 1,000 items in a process: CPU in ms", results.inside("small", "first_ms"), 50, ".0f"),
        ("the next ones", results.inside("small", "later_ms"), 50, ".0f"),
        ("the same, requests", results.inside("small", "requests"), 1, ".0f"),
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
    rows = [
        [what, f"{value:{form}}", f"at most {goal:g}", "yes" if value <= goal else "**no**"]
        for what, value, goal, form in goals
    ]
    return _table(("", "measured", "aim", "met"), rows)


def stages(results: Results) -> str:
    names = results.raw["inside"]["stages"][0]
    order = ("download", "decode", "type", "check", "encode", "hash", "upload", "rest")
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


def plot_sizes(results: Results, what: str, label: str, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for peer in results.peers:
        sizes = results.sizes_of(peer)
        strong = peer in COLORS
        axes.plot(
            sizes, [results.median(what, peer, size) for size in sizes],
            marker="o", markersize=4, label=_name(peer).replace("`", ""),
            color=COLORS.get(peer), linewidth=2.2 if strong else 1, alpha=1 if strong else 0.6,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="items", ylabel=label)
    axes.grid(which="major", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
    _save(figure, path)


def plot_linearity(results: Results, path: Path) -> None:
    """CPU on linear axes: a straight line is what linear growth looks like."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for peer in (OURS, FLOOR):
        sizes = results.sizes_of(peer)
        axes.plot(
            sizes,
            [results.median("cpu", peer, size) for size in sizes],
            marker="o",
            color=COLORS[peer],
            label=_name(peer).replace("`", ""),
        )
        for size in sizes:
            axes.plot(
                [size, size],
                [min(results.all("cpu", peer, size)), max(results.all("cpu", peer, size))],
                color=COLORS[peer],
                alpha=0.4,
            )
    axes.set(xlabel="items", ylabel="CPU seconds", xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    _save(figure, path)


def plot_latency(results: Results, path: Path) -> None:
    at = (results.late_items, results.latency)
    peers = [peer for peer in results.peers if results.all("wall", peer, *at)][::-1]
    figure, axes = plt.subplots(figsize=(8, 0.5 + 0.4 * len(peers)), layout="constrained")
    bars = axes.barh(
        [_name(peer).replace("`", "") for peer in peers],
        [results.median("wall", peer, *at) for peer in peers],
        color=[COLORS.get(peer, "#bbbbbb") for peer in peers],
    )
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set(xlabel=f"seconds for {at[0]:,} items, {at[1] * 1e3:.0f} ms a request")
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main(folder: Path) -> None:
    results = Results(folder / "benchmarks" / "results.json")
    plot_sizes(results, "cpu", "CPU seconds", folder / "benchmarks" / "cpu.svg")
    plot_sizes(results, "peak_mb", "peak resident MB", folder / "benchmarks" / "memory.svg")
    plot_linearity(results, folder / "benchmarks" / "linearity.svg")
    plot_latency(results, folder / "benchmarks" / "latency.svg")
    text = (Path(__file__).parent / "benchmarks.md.in").read_text()
    raw = results.raw
    tables: tuple[Callable[[Results], str], ...] = (targets, costs, memory, latency, stages, watching, versions)
    for table in tables:
        text = text.replace(f"{{{table.__name__}}}", table(results))
    for name, value in {
        "date": raw["date"], "command": raw["command"], "rounds": str(raw["rounds"]), "cpus": str(raw["machine"]["cpus"]),
        "system": raw["machine"]["system"], "large": f"{results.sizes[-1]:,}", "milliseconds": f"{results.latency * 1e3:.0f}",
    }.items():  # fmt: skip
        text = text.replace(f"{{{name}}}", value)
    (folder / "benchmarks.md").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
