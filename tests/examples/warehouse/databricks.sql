insert into achieveit.plan_items replace where plan_id = 'a0e2ce03-8d0e-4325-9a13-17a8b5936590' and snapshot = '2026-11-23'
  select *, '2026-11-23' as snapshot from parquet.`abfss://lake@account.dfs.core.windows.net/achieveit/plan_items/plan=a0e2ce03-8d0e-4325-9a13-17a8b5936590/snapshot=2026-11-23/plan_items.parquet`;
insert into achieveit.plan_item_changes replace where plan_id = 'a0e2ce03-8d0e-4325-9a13-17a8b5936590' and snapshot = '2026-11-23'
  select *, '2026-11-23' as snapshot from parquet.`abfss://lake@account.dfs.core.windows.net/achieveit/plan_item_changes/plan=a0e2ce03-8d0e-4325-9a13-17a8b5936590/snapshot=2026-11-23/plan_item_changes.parquet`;
