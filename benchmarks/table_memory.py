"""One export of one long plan into a table format: `table_memory.py URL ROOT FORMAT LABEL`, for its peak memory.

With a snapshot before, that one is read back and compared, as by default.
"""

import json
import sys
from pathlib import Path

from table_day import open_sink

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.portfolio import export_plans


def main(url: str, root: str, table_format: str, label: str) -> None:
    with AchieveItClient("sandbox-key", ClientSettings(base_url=url)) as client:
        report = export_plans(client, open_sink(Path(root), table_format), ["long"], snapshot=label)
    print(json.dumps({"rows": report.manifests["long"]["rows"]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
