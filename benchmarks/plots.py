"""The plots of a campaign, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from results import FLOOR, OURS, Results, label

matplotlib.use("svg")
matplotlib.rcParams.update(
    {"svg.hashsalt": "benchmarks", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
)
from matplotlib import pyplot as plt

COLORS = {OURS: "#c0392b", "export operator": "#e08e79", FLOOR: "#222222", "dlt, Arrow, deferred": "#2e6da4"}


def _label(peer: str) -> str:
    return label(peer).replace("`", "")


def plot_sizes(results: Results, what: str, label: str, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for peer in results.peers:
        sizes = results.sizes_of(peer)
        strong = peer in COLORS
        axes.plot(
            sizes, [results.median(what, peer, size) for size in sizes],
            marker="o", markersize=4, label=_label(peer),
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
            label=_label(peer),
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
        [_label(peer) for peer in peers],
        [results.median("wall", peer, *at) for peer in peers],
        color=[COLORS.get(peer, "#bbbbbb") for peer in peers],
    )
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set(xlabel=f"seconds for {at[0]:,} items, {at[1] * 1e3:.0f} ms a request")
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
