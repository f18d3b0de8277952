"""Read a plan through the API into one proven, finished local Parquet file."""
