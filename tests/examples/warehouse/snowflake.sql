create or replace temporary table achieveit.landed like achieveit.plan_items;
copy into achieveit.landed from @achieveit.lake files = ('plan_items/plan=a0e2ce03-8d0e-4325-9a13-17a8b5936590/snapshot=2026-11-23/plan_items.parquet')
  file_format = (type = parquet use_logical_type = true) match_by_column_name = case_insensitive;
begin;
delete from achieveit.plan_items where plan_id = 'a0e2ce03-8d0e-4325-9a13-17a8b5936590' and snapshot = '2026-11-23';
insert into achieveit.plan_items select * replace ('2026-11-23' as snapshot) from achieveit.landed;
commit;
create or replace temporary table achieveit.landed like achieveit.plan_item_changes;
copy into achieveit.landed from @achieveit.lake files = ('plan_item_changes/plan=a0e2ce03-8d0e-4325-9a13-17a8b5936590/snapshot=2026-11-23/plan_item_changes.parquet')
  file_format = (type = parquet use_logical_type = true) match_by_column_name = case_insensitive;
begin;
delete from achieveit.plan_item_changes where plan_id = 'a0e2ce03-8d0e-4325-9a13-17a8b5936590' and snapshot = '2026-11-23';
insert into achieveit.plan_item_changes select * replace ('2026-11-23' as snapshot) from achieveit.landed;
commit;
