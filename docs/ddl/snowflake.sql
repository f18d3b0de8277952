-- Not run: parsed by tests/queries/test_ddl.py only. Replace the location, and add the other tables likewise.
-- @lake is a stage of s3://lake/achieveit/.
CREATE EXTERNAL TABLE plan_items (
  id VARCHAR AS (value:id::VARCHAR),
  source_id VARCHAR AS (value:source_id::VARCHAR),
  row_number INT AS (value:row_number::INT),
  sequence_id VARCHAR AS (value:sequence_id::VARCHAR),
  plan_id VARCHAR AS (value:plan_id::VARCHAR),
  plan_name VARCHAR AS (value:plan_name::VARCHAR),
  source_plan_id VARCHAR AS (value:source_plan_id::VARCHAR),
  source_plan_name VARCHAR AS (value:source_plan_name::VARCHAR),
  aligns_to VARCHAR AS (value:aligns_to::VARCHAR),
  aligns_to_id VARCHAR AS (value:aligns_to_id::VARCHAR),
  dependent_on VARCHAR AS (value:dependent_on::VARCHAR),
  dependent_on_id VARCHAR AS (value:dependent_on_id::VARCHAR),
  level_id VARCHAR AS (value:level_id::VARCHAR),
  level VARCHAR AS (value:level::VARCHAR),
  name VARCHAR AS (value:name::VARCHAR),
  indented_name VARCHAR AS (value:indented_name::VARCHAR),
  description VARCHAR AS (value:description::VARCHAR),
  status INT AS (value:status::INT),
  status_name VARCHAR AS (value:status_name::VARCHAR),
  start TIMESTAMP_TZ AS (value:start::TIMESTAMP_TZ),
  due TIMESTAMP_TZ AS (value:due::TIMESTAMP_TZ),
  created TIMESTAMP_TZ AS (value:created::TIMESTAMP_TZ),
  has_metric BOOLEAN AS (value:has_metric::BOOLEAN),
  has_advanced_metric BOOLEAN AS (value:has_advanced_metric::BOOLEAN),
  units INT AS (value:units::INT),
  detail INT AS (value:detail::INT),
  baseline DECIMAL(38, 9) AS (value:baseline::DECIMAL(38, 9)),
  target DECIMAL(38, 9) AS (value:target::DECIMAL(38, 9)),
  current_value DECIMAL(38, 9) AS (value:current_value::DECIMAL(38, 9)),
  advanced_metric_goals ARRAY AS (value:advanced_metric_goals::ARRAY),
  last_updated TIMESTAMP_TZ AS (value:last_updated::TIMESTAMP_TZ),
  assigned_to_id VARCHAR AS (value:assigned_to_id::VARCHAR),
  assigned_to_full_name VARCHAR AS (value:assigned_to_full_name::VARCHAR),
  assigned_by_id VARCHAR AS (value:assigned_by_id::VARCHAR),
  assigned_by_full_name VARCHAR AS (value:assigned_by_full_name::VARCHAR),
  members ARRAY AS (value:members::ARRAY),
  admins ARRAY AS (value:admins::ARRAY),
  update_frequency VARCHAR AS (value:update_frequency::VARCHAR),
  update_frequency_description VARCHAR AS (value:update_frequency_description::VARCHAR),
  is_past_due BOOLEAN AS (value:is_past_due::BOOLEAN),
  late_updates INT AS (value:late_updates::INT),
  pending_updates INT AS (value:pending_updates::INT),
  updates INT AS (value:updates::INT),
  last_comment_id VARCHAR AS (value:last_comment_id::VARCHAR),
  last_comment VARCHAR AS (value:last_comment::VARCHAR),
  last_update_comment_id VARCHAR AS (value:last_update_comment_id::VARCHAR),
  last_update_comment VARCHAR AS (value:last_update_comment::VARCHAR),
  files INT AS (value:files::INT),
  checklists ARRAY AS (value:checklists::ARRAY),
  tags ARRAY AS (value:tags::ARRAY),
  is_orphan BOOLEAN AS (value:is_orphan::BOOLEAN),
  _rescued_data VARCHAR AS (value:_rescued_data::VARCHAR),
  plan VARCHAR AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, 'plan=', 2), '/', 1)),
  snapshot VARCHAR AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, 'snapshot=', 2), '/', 1))
)
PARTITION BY (plan, snapshot)
LOCATION = @lake/plan_items/
PATTERN = '.*[.]parquet'
FILE_FORMAT = (TYPE = PARQUET);

CREATE EXTERNAL TABLE plan_item_changes (
  plan_id VARCHAR AS (value:plan_id::VARCHAR),
  item_id VARCHAR AS (value:item_id::VARCHAR),
  item_name VARCHAR AS (value:item_name::VARCHAR),
  change VARCHAR AS (value:change::VARCHAR),
  field VARCHAR AS (value:field::VARCHAR),
  field_kind VARCHAR AS (value:field_kind::VARCHAR),
  old_value VARCHAR AS (value:old_value::VARCHAR),
  new_value VARCHAR AS (value:new_value::VARCHAR),
  from_snapshot VARCHAR AS (value:from_snapshot::VARCHAR),
  to_snapshot VARCHAR AS (value:to_snapshot::VARCHAR),
  detected_at TIMESTAMP_TZ AS (value:detected_at::TIMESTAMP_TZ),
  plan VARCHAR AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, 'plan=', 2), '/', 1)),
  snapshot VARCHAR AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, 'snapshot=', 2), '/', 1))
)
PARTITION BY (plan, snapshot)
LOCATION = @lake/plan_item_changes/
PATTERN = '.*[.]parquet'
FILE_FORMAT = (TYPE = PARQUET);
