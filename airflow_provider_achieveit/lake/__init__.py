"""From a plan to Parquet: schema, decoding, consistent snapshot, publishing, manifest.

Needs pyarrow and an fsspec filesystem, and no Airflow. Nothing is imported here: importing pyarrow takes a while.
"""
