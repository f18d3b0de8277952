"""The events of exports that ran in Airflow: valid, of the same datasets at start and end, with what execute found."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deltalake
import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit.lake.schema import PLAN_ITEMS
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS
from tests.lineage.spec import check_event

if TYPE_CHECKING:
    from tests.lineage.conftest import Run

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "lineage.md"
ENDS = {
    "one": "COMPLETE",
    "first": "COMPLETE",
    "again": "COMPLETE",
    "later": "COMPLETE",
    "skipped": "COMPLETE",
    "many": "COMPLETE",
    "some_fail": "FAIL",
    "refused": "FAIL",
    "unreachable": "FAIL",
    "mapped-0": "COMPLETE",
    "mapped-1": "COMPLETE",
    "s3": "COMPLETE",
    "delta": "COMPLETE",
    "iceberg": "COMPLETE",
}
OURS = {
    "ColumnLineageDatasetFacet",
    "DataQualityAssertionsDatasetFacet",
    "DatasetVersionDatasetFacet",
    "DocumentationDatasetFacet",
    "LifecycleStateChangeDatasetFacet",
    "OutputStatisticsOutputDatasetFacet",
    "SchemaDatasetFacet",
    "StorageDatasetFacet",
    "SymlinksDatasetFacet",
}


def names(datasets: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What an event calls its datasets."""
    return [(dataset["namespace"], dataset["name"]) for dataset in datasets]


def statistics(output: dict[str, Any]) -> dict[str, int]:
    """What was written, without where its schema is."""
    facet = output["outputFacets"]["outputStatistics"]
    return {key: value for key, value in facet.items() if not key.startswith("_")}


def version(dataset: dict[str, Any]) -> str | None:
    """The version of a dataset, where the event has it."""
    return dataset["facets"].get("version", {}).get("datasetVersion")


def change(output: dict[str, Any]) -> str | None:
    """What became of a dataset as a whole."""
    return output["facets"].get("lifecycleStateChange", {}).get("lifecycleStateChange")


def assertions(event: dict[str, Any], plan_id: str) -> dict[str, bool]:
    """Which checks of a plan there were, and how they ended."""
    (plan,) = [plan for plan in event["inputs"] if plan["name"] == f"exports/plans/{plan_id}"]
    facet = plan.get("inputFacets", {}).get("dataQualityAssertions", {"assertions": []})
    return {one["assertion"]: one["success"] for one in facet["assertions"]}


def test_every_task_has_a_start_and_an_end(run: Run) -> None:
    """One run of OpenLineage each."""
    ends = {task: [event["eventType"] for event in events] for task, events in run.events.items() if task}
    assert ends == {task: ["START", end] for task, end in ENDS.items()}
    for events in run.events.values():
        assert len({event["run"]["runId"] for event in events}) == 1


def test_every_event_is_valid(run: Run) -> None:
    """The event itself and each of its facets, by the schemas of the specification; all kinds of ours are there."""
    checked = set()
    for events in run.events.values():
        for event in events:
            checked |= check_event(event)
    assert checked >= OURS


@pytest.mark.parametrize("task", ENDS)
def test_start_and_end_name_the_same_datasets_each_once(run: Run, task: str) -> None:
    """Whatever became of the task; what Airflow collects of hooks does not come on top."""
    start, end = run.start(task), run.end(task)
    for kind in ("inputs", "outputs"):
        assert names(start[kind]) == names(end[kind])
        assert len(set(names(end[kind]))) == len(end[kind]) > 0


def test_datasets_are_named_by_the_rules_of_the_specification(run: Run) -> None:
    """A plan by the API's host, files by path or bucket, an Iceberg table by its catalog."""
    assert names(run.end("one")["inputs"]) == [(run.api, "exports/plans/p1")]
    assert names(run.end("one")["outputs"]) == [("file", f"{run.lake}/one/{table}/plan=p1") for table in SCHEMAS]
    assert names(run.end("s3")["outputs"]) == [
        ("s3://lake-bucket", f"some/where/{table}/plan=p1") for table in ("plan_items", "plan_item_changes")
    ]
    assert names(run.end("delta")["outputs"]) == [
        ("file", f"{run.lake}/delta/{table}") for table in ("plan_items", "plan_item_changes")
    ]
    assert names(run.end("iceberg")["outputs"]) == [
        (f"sqlite:///{run.lake.parent}/catalog.db", f"achieveit.{table}")
        for table in ("plan_items", "plan_item_changes")
    ]


def test_a_version_is_the_hash_of_what_lies_in_the_lake(run: Run) -> None:
    """Of the file for an output, of the plan's content for the input, the same in every format."""
    file = run.lake / "plan_items/plan=p1/snapshot=later/plan_items.parquet"
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    assert version(run.output("later", "/plan_items/plan=p1")) == content
    assert {version(run.end(task)["inputs"][0]) for task in ("one", "s3", "delta", "later")} == {content}


def test_a_table_has_its_own_version(run: Run) -> None:
    """As Spark tells it, so that who reads the table is joined to who wrote it."""
    table = deltalake.DeltaTable(run.lake / "delta/plan_items")
    assert version(run.output("delta", "/plan_items")) == str(table.version())
    (place,) = run.output("iceberg", ".plan_items")["facets"]["symlinks"]["identifiers"]
    assert place == {
        "namespace": "file",
        "name": f"{run.lake.parent}/warehouse/achieveit/plan_items",
        "type": "LOCATION",
    }
    assert run.output("iceberg", ".plan_items")["facets"]["storage"]["storageLayer"] == "iceberg"


def test_statistics_are_those_of_the_files(run: Run) -> None:
    """Rows, bytes and files, as the lake has them."""
    file = run.lake / "one/plan_item_members/plan=p1/snapshot=today/plan_item_members.parquet"
    found = run.output("one", "/plan_item_members/plan=p1")
    assert statistics(found) == {"rowCount": 34, "size": file.stat().st_size, "fileCount": 1}
    assert pq.read_metadata(file).num_rows == 34
    assert statistics(run.output("many", "/plan_items/plan=empty"))["rowCount"] == 0
    assert statistics(run.output("delta", "/plan_items"))["rowCount"] == 26


def test_a_first_snapshot_creates_the_same_label_overwrites_and_another_does_neither(run: Run) -> None:
    """What earlier snapshots hold stays what it was."""
    assert change(run.output("first", "/plan_items/plan=p1")) == "CREATE"
    assert change(run.output("again", "/plan_items/plan=p1")) == "OVERWRITE"
    assert change(run.output("later", "/plan_items/plan=p1")) is None
    assert change(run.output("delta", "/plan_items")) == "CREATE"
    assert change(run.output("iceberg", ".plan_items")) == "CREATE"


def test_a_skipped_export_wrote_nothing_and_names_the_version_that_is_there(run: Run) -> None:
    """So nobody takes it for a new version."""
    found = run.output("skipped", "/plan_items/plan=p1")
    assert statistics(found) == {"rowCount": 0, "size": 0, "fileCount": 0}
    assert version(found) == version(run.output("later", "/plan_items/plan=p1")) is not None
    assert change(found) is None


def test_a_failed_export_tells_which_plans_landed(run: Run) -> None:
    """One of three did; one was refused by a guard, and one is not there."""
    end = run.end("some_fail")
    written = {plan: statistics(run.output("some_fail", f"plan={plan}"))["fileCount"] for plan in ("p1", "one", "gone")}
    assert written == {"p1": 1, "one": 0, "gone": 0}
    assert assertions(end, "one") == {"guards": False}
    assert assertions(end, "gone") == {}
    assert all(assertions(end, "p1").values())
    assert "2 of 3 plans failed" in end["run"]["facets"]["errorMessage"]["message"]
    assert assertions(run.end("refused"), "p1") == {"guards": False}


def test_an_error_that_ends_the_task_leaves_the_names(run: Run) -> None:
    """With a refused key nothing is known of any plan; the event says so by what it does not have."""
    (plan, *_) = run.end("unreachable")["inputs"]
    assert not plan.get("facets")
    assert all(not output.get("outputFacets") for output in run.end("unreachable")["outputs"])


def test_the_proof_of_a_snapshot_is_told_as_assertions(run: Run) -> None:
    """Also the guards, where there are some."""
    proof = {"consistent": True, "unique": True, "row_count": True, "values_fit": True}
    assert assertions(run.end("one"), "p1") == {**proof, "guards": True}
    assert assertions(run.end("again"), "p1") == proof


def test_columns_are_told_with_their_origin(run: Run) -> None:
    """Every column of the API has the field that it is made of; the input declares that field."""
    end = run.end("one")
    fields = {field["name"] for field in end["inputs"][0]["facets"]["schema"]["fields"]}
    for output in end["outputs"]:
        table = Path(output["name"]).parent.name
        columns = [field["name"] for field in output["facets"]["schema"]["fields"]]
        assert columns == SCHEMAS[table].names
        lineage = output["facets"]["columnLineage"]["fields"]
        assert lineage.keys() <= set(columns)
        for column in lineage.values():
            (source,) = column["inputFields"]
            assert (source["namespace"], source["name"]) == names(end["inputs"])[0]
            assert source["field"].partition(".")[0] in fields
            assert source["transformations"][0].items() >= {"type": "DIRECT", "subtype": "IDENTITY"}.items()
    items = run.output("one", "/plan_items/plan=p1")["facets"]["columnLineage"]["fields"]
    assert set(PLAN_ITEMS.names) - items.keys() == {"_rescued_data"}
    assert items["status_name"]["inputFields"][0]["field"] == "statusName"
    inner = run.output("one", "/plan_item_checklist_items/plan=p1")["facets"]["columnLineage"]["fields"]
    assert inner["checklist_id"]["inputFields"][0]["field"] == "checklists.id"
    assert inner["done_on"]["inputFields"][0]["field"] == "checklists.items.doneOn"


def test_the_event_that_the_page_shows_is_one_of_these(run: Run) -> None:
    """Shortened: every value that it has is in the real one, but for the API's address, and ends that are cut off."""
    (block,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert_part(json.loads(block.replace("https://api.achieveit.com", run.api)), run.end("s3"))


def assert_part(shown: Any, real: Any) -> None:
    """What is shown is what is real, or a part of it: keys, the first entries of lists, the beginnings of texts."""
    if isinstance(shown, dict):
        for key, value in shown.items():
            assert_part(value, real[key])
    elif isinstance(shown, list):
        for one, other in zip(shown, real, strict=False):
            assert_part(one, other)
    elif isinstance(shown, str) and shown.endswith("…"):
        assert real.startswith(shown[:-1])
    else:
        assert shown == real
