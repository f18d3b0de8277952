"""Airflow's own HttpOperator with a pagination function, then pandas.

Usage: http_operator.py URL PLAN OUT
"""

import os
import sys
from pathlib import Path
from typing import Any


def next_page(response: Any) -> dict[str, Any] | None:
    page = response.json()
    query = dict(part.split("=") for part in response.request.url.partition("?")[2].split("&"))
    skip = int(query["skip"]) + len(page["items"])
    return {"data": {"skip": skip, "take": 1500}} if skip < page["totalCount"] else None


def all_items(responses: list[Any]) -> list[dict]:
    return [item for response in responses for item in response.json()["items"]]


def main(url: str, plan: str, out: str) -> None:
    os.environ["AIRFLOW_CONN_PEER"] = url.replace("http://", "http://", 1)
    import pandas as pd
    from airflow.providers.http.operators.http import HttpOperator

    operator = HttpOperator(
        task_id="export",
        http_conn_id="peer",
        endpoint=f"/exports/plans/{plan}",
        method="GET",
        data={"skip": 0, "take": 1500},
        headers={"Authorization": "API-KEY sandbox-key"},
        pagination_function=next_page,
        response_filter=all_items,
    )
    items = operator.execute({})
    pd.json_normalize(items).to_parquet(Path(out) / "plan_items.parquet", compression="zstd")


if __name__ == "__main__":
    main(*sys.argv[1:])
