-- The ready queries of docs/queries.md that the page is made of, word for word, by their titles there. /data/lake is replaced.

-- Setup
create view manifests as
  select * from read_json('/data/lake/_manifests/*/snapshot=*.json', hive_partitioning=false, union_by_name=true,
    columns={plan_id: 'varchar', plan_name: 'varchar', snapshot: 'varchar', rows: 'bigint', consistent: 'boolean',
             version_read_at: 'timestamptz'});
create view latest as
  select * from read_json('/data/lake/_manifests/*/latest.json', hive_partitioning=false, union_by_name=true,
    columns={plan_id: 'varchar', plan_name: 'varchar', snapshot: 'varchar', rows: 'bigint', consistent: 'boolean',
             version_read_at: 'timestamptz'});
create view items as
  select * from read_parquet('/data/lake/plan_items/*/*/plan_items.parquet',
    hive_partitioning=true, hive_types_autocast=false, union_by_name=true)
  semi join manifests using (plan_id, snapshot);
create view changes as
  select * from read_parquet('/data/lake/plan_item_changes/*/*/plan_item_changes.parquet',
    hive_partitioning=true, hive_types_autocast=false, union_by_name=true)
  semi join manifests using (plan_id, snapshot);

-- Which plans there are, and which have not been exported for a week
select plan_id, plan_name, snapshot, rows, version_read_at as as_of,
  version_read_at < (select max(version_read_at) from latest) - interval 7 day as is_old
from latest;

-- Status over time
select plan_id, snapshot, status_name, count(*) as items from items group by all;

-- Status over time, all plans together
with counts as (
    select plan_id, snapshot, status_name, count(*) as items from items group by all),
  as_of as (
    select labels.snapshot as label, plan_id, max(manifests.snapshot) as snapshot
    from (select distinct snapshot from manifests) as labels
    join manifests on manifests.snapshot <= labels.snapshot group by all)
select label as snapshot, status_name, sum(items)::bigint as items
from as_of join counts using (plan_id, snapshot) group by all;

-- What changed in the last seven days
select plan_id,
  count(*) filter (change = 'added') as added,
  count(*) filter (change = 'removed') as removed,
  count(distinct item_id) filter (field_kind = 'edited') as edited,
  count(*) filter (field = 'status_name') as status_moved,
  count(*) filter (field = 'due' and try_cast(new_value->>'$' as timestamptz) > try_cast(old_value->>'$' as timestamptz)) as slipped,
  count(*) filter (field = 'assigned_to_id') as reassigned
from changes
where from_snapshot is not null and detected_at > (select max(version_read_at) from latest) - interval 7 day
group by all;

-- Slipped due dates, and by how many days
with moved as (
  select *, try_cast(old_value->>'$' as timestamptz) as old, try_cast(new_value->>'$' as timestamptz) as new
  from changes where field = 'due')
select plan_id, item_name, to_snapshot, date_diff('day', old::date, new::date) as days
from moved where new > old;

-- Overdue by owner
select coalesce(assigned_to_full_name, 'nobody') as owner, count(*) as overdue
from items semi join latest using (plan_id, snapshot)
where is_past_due group by all;
