"""Guards: what must not replace a better snapshot is refused before anything is published."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_achieveit.lake.errors import AchieveItInconsistentError
from airflow_provider_achieveit.lake.layout import PLAN_ITEMS_TABLE, latest_key, table_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
    from tests.lake.stores import LocalStores
    from tests.support.faulty_sandbox import Sandbox

    Export = Callable[..., AchieveItExportOperator]

LATEST = latest_key("p1")
DATA = table_key(PLAN_ITEMS_TABLE, "p1", "now")


def shrink(sandbox: Sandbox, count: int) -> None:
    """Delete so many items of the plan."""
    for _ in range(count):
        sandbox.plan("p1").delete(0)


def test_min_rows_refuses_one_row_less(export: Export, lake: LocalStores) -> None:
    """25 items are enough for 25, and not for 26; a refusal publishes nothing."""
    with pytest.raises(AirflowFailException, match="25 rows are fewer than min_rows=26"):
        export(min_rows=26).execute({})
    assert lake.objects() == {}
    assert export(min_rows=25).execute({})["rows"] == 25


def test_max_shrink_refuses_69_after_100_and_allows_70(export: Export, lake: LocalStores, sandbox: Sandbox) -> None:
    """The fraction is that of the latest snapshot's rows, whatever its label."""
    sandbox.put_plan("p1", 100)
    export(snapshot="last-week").execute({})
    before = lake.objects()
    shrink(sandbox, 31)
    with pytest.raises(
        AirflowFailException, match=r"31 of the 100 rows of snapshot last-week are gone.*max_shrink=0.3"
    ):
        export(max_shrink=0.3).execute({})
    assert lake.objects() == before
    sandbox.plan("p1").insert()
    assert export(max_shrink=0.3).execute({})["rows"] == 70


def test_max_shrink_has_nothing_to_say_about_a_first_export(export: Export) -> None:
    """There is nothing that could have shrunk."""
    assert export(max_shrink=0.0).execute({})["rows"] == 25


def test_max_shrink_does_not_pass_over_a_latest_manifest_that_it_cannot_read(export: Export, lake: LocalStores) -> None:
    """A guard that can't look does not open the gate."""
    lake.put(LATEST, b"{")
    with pytest.raises(Exception, match=r"latest\.json is not a manifest"):
        export(max_shrink=0.5).execute({})
    assert set(lake.objects()) == {LATEST}
    assert export().execute({})["rows"] == 25


def test_an_unchanged_plan_is_skipped_with_one_request(export: Export, lake: LocalStores, sandbox: Sandbox) -> None:
    """Nothing is written, whatever the label, and Airflow skips what comes after."""
    export().execute({})
    before = lake.objects()
    sandbox.reset_requests()
    with pytest.raises(AirflowSkipException, match="Plan p1 is unchanged"):
        export(if_unchanged="skip", snapshot="another").execute({})
    assert len(sandbox.requests) == 1
    assert lake.objects() == before


def test_a_changed_plan_is_not_skipped(export: Export, sandbox: Sandbox) -> None:
    """An edit, and a deletion that leaves no newer time behind, are both changes."""
    export().execute({})
    sandbox.plan("p1").edit(0)
    assert export(if_unchanged="skip").execute({})["rows"] == 25
    sandbox.plan("p1").delete(20)
    assert export(if_unchanged="skip").execute({})["rows"] == 24


@pytest.mark.parametrize("damage", [None, b"torn"], ids=["missing", "torn"])
def test_an_unchanged_plan_whose_file_is_damaged_is_exported(
    export: Export, lake: LocalStores, damage: bytes | None
) -> None:
    """A manifest alone does not hold a plan: this is how the next run repairs what a killed one left."""
    export().execute({})
    whole = lake.objects()[DATA]
    lake.put(DATA, damage)
    export(if_unchanged="skip").execute({})
    assert lake.objects()[DATA] == whole


def test_a_plan_that_never_stands_still_fails_and_nothing_lands(
    export: Export, lake: LocalStores, sandbox: Sandbox
) -> None:
    """The error is left to Airflow's retries, and names what moved."""
    sandbox.before_request = lambda _: sandbox.plan("p1").edit()
    with pytest.raises(AchieveItInconsistentError, match=r"3 attempts.*version moved"):
        export().execute({})
    assert lake.objects() == {}


def test_an_unproven_snapshot_is_published_only_where_that_is_accepted(
    export: Export, lake: LocalStores, sandbox: Sandbox
) -> None:
    """Its manifest says so, and it counts as changed for whoever asks later."""
    sandbox.before_request = lambda _: sandbox.plan("p1").edit()
    manifest = export(on_inconsistent="accept").execute({})
    assert (manifest["consistent"], manifest["attempts"]) == (False, 3)
    assert json.loads(lake.objects()[LATEST])["consistent"] is False
    sandbox.before_request = None
    assert export(if_unchanged="skip").execute({})["consistent"] is True


def test_drift_is_kept_and_counted_or_refused_by_name(export: Export, lake: LocalStores, sandbox: Sandbox) -> None:
    """`on_drift="fail"` names the fields; `rescue` keeps the values."""
    sandbox.plan("p1").patch(3, target="n/a", mood="good")
    sandbox.plan("p1").patch(4, mood="bad")
    with pytest.raises(AirflowFailException, match=r"mood \(2\), target \(1\)"):
        export(on_drift="fail").execute({})
    assert lake.objects() == {}
    assert export().execute({})["rescued_values"] == 3
