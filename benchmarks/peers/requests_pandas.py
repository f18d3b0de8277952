"""What most people write: requests, a list of dicts, json_normalize, to_parquet.

Usage: requests_pandas.py URL PLAN OUT
"""

import sys
from pathlib import Path

import pandas as pd
import requests


def main(url: str, plan: str, out: str) -> None:
    session = requests.Session()
    session.headers["Authorization"] = "API-KEY sandbox-key"
    items: list[dict] = []
    while True:
        response = session.get(f"{url}/exports/plans/{plan}", params={"skip": len(items), "take": 1500})
        response.raise_for_status()
        page = response.json()
        items += page["items"]
        if len(items) >= page["totalCount"]:
            break
    pd.json_normalize(items).to_parquet(Path(out) / "plan_items.parquet", compression="zstd")


if __name__ == "__main__":
    main(*sys.argv[1:])
