load data into temp table landed_plan_items
  from files (format = 'PARQUET', enable_list_inference = true, uris = ['gs://lake/achieveit/plan_items/plan=a0e2ce03-8d0e-4325-9a13-17a8b5936590/snapshot=2026-11-23/plan_items.parquet']);
merge achieveit.plan_items as target
  using (select *, '2026-11-23' as snapshot from landed_plan_items) as source on false
  when not matched by source and target.plan_id = 'a0e2ce03-8d0e-4325-9a13-17a8b5936590' and target.snapshot = '2026-11-23' then delete
  when not matched by target then insert row;
load data into temp table landed_plan_item_changes
  from files (format = 'PARQUET', enable_list_inference = true, uris = ['gs://lake/achieveit/plan_item_changes/plan=a0e2ce03-8d0e-4325-9a13-17a8b5936590/snapshot=2026-11-23/plan_item_changes.parquet']);
merge achieveit.plan_item_changes as target
  using (select *, '2026-11-23' as snapshot from landed_plan_item_changes) as source on false
  when not matched by source and target.plan_id = 'a0e2ce03-8d0e-4325-9a13-17a8b5936590' and target.snapshot = '2026-11-23' then delete
  when not matched by target then insert row;
