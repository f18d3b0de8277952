"""The runs of a campaign, and what peers are called in tables and plots."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

OURS, FLOOR, ARROW, NAIVE = "export_plan", "floor", "dlt, Arrow, deferred", "requests + pandas"
WITH_CHANGES, ONE_AT_A_TIME = "export_plan, changes", "export_plan, 1 at a time"
IMPORTS = "export operator, imports only"
_LABELS = {
    OURS: "this package, `export_plan` without changes",
    WITH_CHANGES: "this package, `export_plan`",
    "export operator": "this package, the operator",
    ONE_AT_A_TIME: "this package without changes, one request at a time",
}


def label(peer: str) -> str:
    """What a peer is called in tables."""
    return _LABELS.get(peer, peer)


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
