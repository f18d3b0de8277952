"""dlt's rest_api source to Parquet files.

Usage: dlt_rest_api.py URL PLAN OUT [MAX_TABLE_NESTING]      child tables unless MAX_TABLE_NESTING is 0
"""

import sys

import dlt_settings  # isort: skip # before dlt, which reads the environment

from dlt.sources.rest_api import rest_api_source


def main(url: str, plan: str, out: str, nesting: str | None = None) -> None:
    source = rest_api_source(
        {
            "client": {
                "base_url": url,
                "auth": {
                    "type": "api_key",
                    "name": "Authorization",
                    "api_key": "API-KEY sandbox-key",
                    "location": "header",
                },
                "paginator": {
                    "type": "offset",
                    "limit": 1500,
                    "limit_param": "take",
                    "offset_param": "skip",
                    "total_path": "totalCount",
                },
            },
            "resources": [
                {
                    "name": "plan_items",
                    "write_disposition": "replace",
                    "endpoint": {"path": f"exports/plans/{plan}", "data_selector": "items"},
                }
            ],
        }
    )
    if nesting is not None:
        source.max_table_nesting = int(nesting)
    with dlt_settings.pipeline(out) as pipeline:
        pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()


if __name__ == "__main__":
    main(*sys.argv[1:])
