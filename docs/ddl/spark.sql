-- Run in Spark 3.5 and 4 by tests/spark/test_queries_in_spark.py. Replace the location, and add the other tables likewise.
CREATE TABLE achieveit.plan_items (
  `id` STRING,
  `source_id` STRING,
  `row_number` INT,
  `sequence_id` STRING,
  `plan_id` STRING,
  `plan_name` STRING,
  `source_plan_id` STRING,
  `source_plan_name` STRING,
  `aligns_to` STRING,
  `aligns_to_id` STRING,
  `dependent_on` STRING,
  `dependent_on_id` STRING,
  `level_id` STRING,
  `level` STRING,
  `name` STRING,
  `indented_name` STRING,
  `description` STRING,
  `status` INT,
  `status_name` STRING,
  `start` TIMESTAMP,
  `due` TIMESTAMP,
  `created` TIMESTAMP,
  `has_metric` BOOLEAN,
  `has_advanced_metric` BOOLEAN,
  `units` INT,
  `detail` INT,
  `baseline` DECIMAL(38, 9),
  `target` DECIMAL(38, 9),
  `current_value` DECIMAL(38, 9),
  `advanced_metric_goals` ARRAY<STRUCT<goal_id: STRING, goal_name: STRING, goal_color: STRING, metric_bucket_value: DOUBLE, sort_order: INT>>,
  `last_updated` TIMESTAMP,
  `assigned_to_id` STRING,
  `assigned_to_full_name` STRING,
  `assigned_by_id` STRING,
  `assigned_by_full_name` STRING,
  `members` ARRAY<STRUCT<id: STRING, name: STRING, type: STRING>>,
  `admins` ARRAY<STRUCT<id: STRING, name: STRING, type: STRING>>,
  `update_frequency` STRING,
  `update_frequency_description` STRING,
  `is_past_due` BOOLEAN,
  `late_updates` INT,
  `pending_updates` INT,
  `updates` INT,
  `last_comment_id` STRING,
  `last_comment` STRING,
  `last_update_comment_id` STRING,
  `last_update_comment` STRING,
  `files` INT,
  `checklists` ARRAY<STRUCT<id: STRING, name: STRING, sort_index: INT, items: ARRAY<STRUCT<id: STRING, name: STRING, sort_index: INT, done_on: TIMESTAMP>>>>,
  `tags` ARRAY<STRUCT<id: STRING, organization_id: STRING, name: STRING>>,
  `is_orphan` BOOLEAN,
  `_rescued_data` STRING,
  `plan` STRING,
  `snapshot` STRING
)
USING PARQUET
PARTITIONED BY (plan, snapshot)
LOCATION 's3://lake/achieveit/plan_items/';

MSCK REPAIR TABLE achieveit.plan_items;

CREATE TABLE achieveit.plan_item_changes (
  `plan_id` STRING,
  `item_id` STRING,
  `item_name` STRING,
  `change` STRING,
  `field` STRING,
  `field_kind` STRING,
  `old_value` STRING,
  `new_value` STRING,
  `from_snapshot` STRING,
  `to_snapshot` STRING,
  `detected_at` TIMESTAMP,
  `plan` STRING,
  `snapshot` STRING
)
USING PARQUET
PARTITIONED BY (plan, snapshot)
LOCATION 's3://lake/achieveit/plan_item_changes/';

MSCK REPAIR TABLE achieveit.plan_item_changes;
