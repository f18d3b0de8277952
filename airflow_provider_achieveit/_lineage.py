"""What an export tells OpenLineage: the plans that it reads, the datasets that it writes, and what it knows of both.

Only Airflow's OpenLineage provider asks for it, so only it needs to be installed: nothing else imports this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    InputDatasetFacet,
    column_lineage_dataset,
    dataset_version_dataset,
    documentation_dataset,
    lifecycle_state_change_dataset,
    output_statistics_output_dataset,
    schema_dataset,
    storage_dataset,
    symlinks_dataset,
)

from airflow_provider_achieveit._data_quality import quality, refuted
from airflow_provider_achieveit._dataset_names import DatasetName, TableNames, location_name, plan_name, table_names
from airflow_provider_achieveit._export_arguments import ExportArguments
from airflow_provider_achieveit._places import parse_destination
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.derive import tables_asked_for
from airflow_provider_achieveit.lake.manifest import Manifest, TableEntry
from airflow_provider_achieveit.lake.options import ExportOptions, TableFormat
from airflow_provider_achieveit.lake.portfolio import Report
from airflow_provider_achieveit.lake.schema import ITEM_FIELDS
from airflow_provider_achieveit.lake.tables.declared import DESCRIPTIONS, SCHEMAS
from airflow_provider_achieveit.lake.tables.origins import origins

#: Columns are told for this many plans at most: an event of more would exceed 1 MB, which is Kafka's default limit.
DETAILED_PLANS = 20


def export_lineage(arguments: ExportArguments, report: Report | None) -> OperatorLineage[Any, Any]:
    """Return what an export reads and writes.

    Args:
        arguments: The arguments of the operator.
        report: What became of the plans; None before that is known, and where an error ended the task: then the
            datasets are named alone.

    Raises:
        AchieveItConfigError: A connection cannot be used.
    """
    place = parse_destination(arguments.destination, arguments.destination_conn_id)
    lineage = Lineage(
        AchieveItHook(arguments.achieveit_conn_id)._client_arguments()[1].base_url,
        arguments.plan_ids,
        table_names(place, arguments.table_format, arguments.iceberg_conn_id, arguments.iceberg_namespace),
        arguments.table_format,
        arguments.options,
    )
    inputs = [_input(lineage, plan_id, report) for plan_id in lineage.plan_ids]
    outputs = [_output(lineage, name, table, plans, report) for name, (table, plans) in lineage.outputs().items()]
    return OperatorLineage(inputs=inputs, outputs=outputs)


@dataclass(frozen=True)
class Lineage:
    """What a task exports, as its arguments say it.

    Attributes:
        base_url: The API's address.
        plan_ids: The plans.
        names: Names the datasets in which their tables land.
        table_format: The table format of these.
        options: The options of the export.
    """

    base_url: str
    plan_ids: Sequence[str]
    names: TableNames
    table_format: TableFormat
    options: ExportOptions

    @property
    def is_detailed(self) -> bool:
        """Whether columns are told."""
        return len(self.plan_ids) <= DETAILED_PLANS

    def outputs(self) -> dict[DatasetName, tuple[str, list[str]]]:
        """Return what is written: for each dataset the table, and the plans that land in it."""
        found: dict[DatasetName, tuple[str, list[str]]] = {}
        tables = [table for table in SCHEMAS if table in tables_asked_for(self.options)]
        for plan_id in self.plan_ids:
            for table in tables:
                found.setdefault(self.names(table, plan_id), (table, []))[1].append(plan_id)
        return found


def _input(lineage: Lineage, plan_id: str, report: Report | None) -> InputDataset:
    if report is None:
        return InputDataset(*plan_name(lineage.base_url, plan_id))
    facets: dict[str, DatasetFacet] = {}
    checks: dict[str, InputDatasetFacet] = {}
    manifest = _known(report, plan_id)
    if manifest is not None:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(manifest["content_hash"])
        facets["documentation"] = _documentation(f"The plan {shown(manifest['plan_name'] or plan_id)} of AchieveIt.")
    if lineage.is_detailed:
        facets["schema"] = _schema((field.api_name, field.wire_type) for field in ITEM_FIELDS)
    if plan_id in report.manifests:
        checks["dataQualityAssertions"] = quality(report.manifests[plan_id], lineage.options)
    elif plan_id in report.failures and (check := refuted(report.failures[plan_id])) is not None:
        checks["dataQualityAssertions"] = check
    return InputDataset(*plan_name(lineage.base_url, plan_id), facets=facets, inputFacets=checks)


def _known(report: Report, plan_id: str) -> Manifest | None:
    """Return the manifest of the state in which a plan is, if the task found that out: it landed, or is unchanged."""
    if plan_id in report.manifests:
        return report.manifests[plan_id]
    return report.before[plan_id].latest if plan_id in report.left_out and plan_id in report.before else None


def _output(
    lineage: Lineage, name: DatasetName, table: str, plans: Sequence[str], report: Report | None
) -> OutputDataset:
    if report is None:
        return OutputDataset(*name)
    landed = [plan_id for plan_id in plans if plan_id in report.manifests]
    written = [entry for plan_id in landed if (entry := _entry(report.manifests[plan_id], table)) is not None]
    # An unchanged plan's file still is what its manifest says; a table has new versions, of other plans.
    known = plans if lineage.table_format == "parquet" else landed
    there = [entry for plan_id in known if (entry := _entry(_known(report, plan_id), table)) is not None]
    facets: dict[str, DatasetFacet] = {"documentation": _documentation(DESCRIPTIONS[table])}
    if lineage.is_detailed:
        facets["schema"] = _schema((field.name, field.type) for field in SCHEMAS[table])
        facets["columnLineage"] = _column_lineage(lineage, table, plans)
    if there:
        facets.update(_facets_of_format(lineage.table_format, there[0]))
    if (change := _change(lineage.table_format, table, landed, report)) is not None:
        facets["lifecycleStateChange"] = change
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=sum(entry["rows"] for entry in written),
        size=sum(entry["bytes"] for entry in written),
        # A table format puts the rows of many plans into few files.
        fileCount=len(written) if lineage.table_format == "parquet" else None,
    )
    return OutputDataset(*name, facets=facets, outputFacets={"outputStatistics": statistics})


def _entry(manifest: Manifest | None, table: str) -> TableEntry | None:
    files = [] if manifest is None else manifest["files"]
    return next((entry for entry in files if entry["table"] == table), None)


def _facets_of_format(table_format: TableFormat, entry: TableEntry) -> dict[str, DatasetFacet]:
    """Return version and storage: a file is known by its content, a table by its own version or snapshot id."""
    if table_format == "parquet":
        return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(entry["sha256"])}
    facets: dict[str, DatasetFacet] = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(str(entry.get("version"))),
        "storage": storage_dataset.StorageDatasetFacet(storageLayer=table_format, fileFormat="parquet"),
    }
    if table_format == "iceberg":
        place = symlinks_dataset.Identifier(*location_name(entry["path"]), type="LOCATION")
        facets["symlinks"] = symlinks_dataset.SymlinksDatasetFacet(identifiers=[place])
    return facets


def _change(
    table_format: TableFormat, table: str, landed: Iterable[str], report: Report
) -> lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet | None:
    """Say whether a dataset is new, or rows of it were replaced; one more snapshot beside others is neither."""
    before = [report.before[plan_id] for plan_id in landed]
    if not before:
        return None
    if table_format == "parquet":
        is_new = all(_entry(one.latest, table) is None and _entry(one.replaced, table) is None for one in before)
    else:
        is_new = table in report.created
    changes = lifecycle_state_change_dataset.LifecycleStateChange
    if is_new:
        return lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(changes.CREATE)
    if any(_entry(one.replaced, table) is not None for one in before):
        return lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(changes.OVERWRITE)
    return None


def _column_lineage(
    lineage: Lineage, table: str, plans: Sequence[str]
) -> column_lineage_dataset.ColumnLineageDatasetFacet:
    """Say which columns hold a field of the plans as it is."""
    fields = {}
    for column, field in origins(table).items():
        sources = [
            column_lineage_dataset.InputField(
                *plan_name(lineage.base_url, plan_id),
                field=field,
                transformations=[column_lineage_dataset.Transformation(type="DIRECT", subtype="IDENTITY")],
            )
            for plan_id in plans
        ]
        fields[column] = column_lineage_dataset.Fields(inputFields=sources)
    return column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields)


def _schema(fields: Iterable[tuple[str, object]]) -> schema_dataset.SchemaDatasetFacet:
    return schema_dataset.SchemaDatasetFacet(
        fields=[schema_dataset.SchemaDatasetFacetFields(name=name, type=str(kind)) for name, kind in fields]
    )


def _documentation(text: str) -> documentation_dataset.DocumentationDatasetFacet:
    return documentation_dataset.DocumentationDatasetFacet(description=text)
