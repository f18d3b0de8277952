create schema if not exists achieveit;
create table if not exists achieveit.plan_items as
  select *, '' as snapshot from read_parquet('/data/lake/plan_items/plan=a0e2ce03-8d0e-4325-9a13-17a8b5936590/snapshot=2026-11-23/plan_items.parquet', hive_partitioning=false) limit 0;
begin;
delete from achieveit.plan_items where plan_id = 'a0e2ce03-8d0e-4325-9a13-17a8b5936590' and snapshot = '2026-11-23';
insert into achieveit.plan_items by name
  select *, '2026-11-23' as snapshot from read_parquet('/data/lake/plan_items/plan=a0e2ce03-8d0e-4325-9a13-17a8b5936590/snapshot=2026-11-23/plan_items.parquet', hive_partitioning=false);
commit;
create schema if not exists achieveit;
create table if not exists achieveit.plan_item_changes as
  select *, '' as snapshot from read_parquet('/data/lake/plan_item_changes/plan=a0e2ce03-8d0e-4325-9a13-17a8b5936590/snapshot=2026-11-23/plan_item_changes.parquet', hive_partitioning=false) limit 0;
begin;
delete from achieveit.plan_item_changes where plan_id = 'a0e2ce03-8d0e-4325-9a13-17a8b5936590' and snapshot = '2026-11-23';
insert into achieveit.plan_item_changes by name
  select *, '2026-11-23' as snapshot from read_parquet('/data/lake/plan_item_changes/plan=a0e2ce03-8d0e-4325-9a13-17a8b5936590/snapshot=2026-11-23/plan_item_changes.parquet', hive_partitioning=false);
commit;
