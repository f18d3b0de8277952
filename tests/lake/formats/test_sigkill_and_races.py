"""Writers that die, and writers that get in each other's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lake.formats.conftest import FORMATS
from tests.lake.formats.lakes import problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.lake.formats.lakes import Lake

    #: Starts a program that lands what it is told.
    Start = Callable[[], "Lander"]

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]


class Lander:
    """Lands in processes of their own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def send(self, *orders: dict[str, Any]) -> None:
        """Let it land these, one after the other."""
        assert self.process.stdin is not None
        self.process.stdin.write("".join(json.dumps(order) + "\n" for order in orders))
        self.process.stdin.flush()

    def outcome(self) -> str:
        """How the next of them ended."""
        assert self.process.stdout is not None
        outcome: str = json.loads(self.process.stdout.readline())[0]
        return outcome


@pytest.fixture
def start(lake: Lake) -> Iterator[Start]:
    """Starts programs that land in the lake."""
    lake.sink()  # makes the catalog's database, which pyiceberg cannot do in two processes at once
    with ExitStack() as stack:

        def begin() -> Lander:
            kind = next(kind for kind, made in FORMATS.items() if type(lake) is made)
            command = [sys.executable, "-m", "tests.lake.formats.lander", kind, str(lake.root)]
            process = subprocess.Popen(
                [*command, tempfile.gettempdir()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )
            stack.enter_context(process)
            assert process.stdin is not None
            stack.callback(process.stdin.close)
            return Lander(process)

        yield begin


def assert_whole(lake: Lake, label: str, plans: dict[str, Sequence[str]]) -> None:
    """The label has these rows and no others, and each manifest's rows can be read back."""
    there = [(plan, row) for at, plan, row in lake.ids() if at == label]
    assert there == [(plan, row) for plan in sorted(plans) for row in plans[plan]]
    sink = lake.sink()
    manifests = list(sink.manifests())
    assert {manifest["plan_id"] for manifest in manifests if manifest["snapshot"] == label} == set(plans)
    with tempfile.TemporaryDirectory() as directory:
        assert [problem for manifest in manifests for problem in problems(sink, manifest, Path(directory))] == []
    assert list(sink.orphans()) == []


def test_sigkill_at_every_step_leaves_a_readable_table_which_the_next_export_repairs(
    lake: Lake, start: Start, spools: Path
) -> None:
    """Rows are the old ones or the new ones, of all plans; the other label and the other plan are untouched."""
    lander = start()
    lander.send({"plans": {"a": ["0"], "b": ["0", "1"], "other": ["x"]}, "label": "monday", "read_at": 0})
    lander.send({"plans": {"a": ["y"]}, "label": "tuesday", "read_at": 1})
    assert [lander.outcome(), lander.outcome()] == ["landed", "landed"]
    others = [("monday", "other", "x"), ("tuesday", "a", "y")]
    old, seen = {"a": ["0"], "b": ["0", "1"]}, set()
    for step in count(1):
        new = {"a": [f"{step}", "2"], "b": [f"{step}"]}
        order = {"plans": new, "label": "monday", "read_at": 2 * step}
        lander.send({**order, "kill": step})
        outcome = lander.outcome()
        there = lake.ids()
        rows = [row for row in there if row not in others]
        is_new = rows == [("monday", plan, row) for plan in new for row in new[plan]]
        assert is_new or rows == [("monday", plan, row) for plan in old for row in old[plan]]
        assert [row for row in there if row in others] == others
        seen.add((outcome, is_new))
        if outcome == "landed":
            break
        assert outcome == "killed"
        lander.send({**order, "read_at": 2 * step + 1})
        assert lander.outcome() == "landed"
        assert_whole(lake, "monday", {**new, "other": ["x"]})
        old = new
    assert_whole(lake, "monday", {**new, "other": ["x"]})
    assert seen == {("killed", False), ("killed", True), ("landed", True)}
    assert list(spools.glob("achieveit-*")) == []


def test_four_processes_land_other_plans_under_the_same_labels(lake: Lake, start: Start) -> None:
    """Ten commits each, from the first one on: nothing is lost or doubled, and none gives up."""
    landers = {f"p{number}": start() for number in range(4)}
    for plan, lander in landers.items():
        lander.send(
            *({"plans": {plan: [f"{n}", "x"]}, "label": f"day{n % 3}", "read_at": n} for n in range(10)),
        )
    for lander in landers.values():
        assert [lander.outcome() for _ in range(10)] == ["landed"] * 10
    for day, last in {"day0": 9, "day1": 7, "day2": 8}.items():
        assert_whole(lake, day, {plan: [f"{last}", "x"] for plan in landers})


def test_four_processes_land_the_same_plan_under_the_same_label(lake: Lake, start: Start) -> None:
    """Rows and manifest are those of one of them: of all that landed, the one that was read last.

    Who comes with an earlier read is told so.
    """
    landers = [start() for _ in range(4)]
    reads = {
        number: [40 + number if round_ == 9 else round_ * 4 + (number + round_) % 4 for round_ in range(10)]
        for number in range(4)
    }
    for number, lander in enumerate(landers):
        lander.send(
            *({"plans": {"p": [f"{at}", "x"][: 1 + at % 2]}, "label": "monday", "read_at": at} for at in reads[number])
        )
    outcomes = {at: lander.outcome() for number, lander in enumerate(landers) for at in reads[number]}
    landed = [at for at, outcome in outcomes.items() if outcome == "landed"]
    assert {outcome.partition(":")[0] for outcome in outcomes.values()} <= {
        "landed",
        "AchieveItOutdatedError",
        "AchieveItContendedError",
    }
    assert max(landed) == max(outcomes)
    assert_whole(lake, "monday", {"p": [f"{max(landed)}", "x"][: 1 + max(landed) % 2]})
