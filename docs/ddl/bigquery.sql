-- Not run: parsed by tests/queries/test_ddl.py only. Replace the location, and add the other tables likewise.
-- The columns are those of the files. Without enable_list_inference every list would be a record with a list in it.
CREATE EXTERNAL TABLE achieveit.plan_items
WITH PARTITION COLUMNS (plan STRING, snapshot STRING)
OPTIONS (
  format = 'PARQUET',
  uris = ['gs://lake/achieveit/plan_items/*'],
  hive_partition_uri_prefix = 'gs://lake/achieveit/plan_items',
  enable_list_inference = TRUE
);

CREATE EXTERNAL TABLE achieveit.plan_item_changes
WITH PARTITION COLUMNS (plan STRING, snapshot STRING)
OPTIONS (
  format = 'PARQUET',
  uris = ['gs://lake/achieveit/plan_item_changes/*'],
  hive_partition_uri_prefix = 'gs://lake/achieveit/plan_item_changes',
  enable_list_inference = TRUE
);
