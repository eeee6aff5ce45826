/** A database with one of everything that people keep in one, and a way to compare two such. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { readConnection } from '../../src/jobs/postgres/pg-connection.ts';
import { withClient } from './postgres-server.ts';

const richSql = `
  create extension pgcrypto; create extension hstore; create extension citext; create extension pg_trgm;
  create schema "od d""s"; comment on schema "od d""s" is 'it''s a \\ comment – ünïcode 🎷';
  create type mood as enum ('sad', 'so-so', 'happy', ''); create type pair as (a int, b text);
  create type span as range (subtype = float8, subtype_diff = float8mi);
  create domain positive as numeric(30, 10) check (value > 0); create domain nested as positive not null;
  create collation by_number (provider = icu, locale = 'en-u-kn');
  create table kinds (
    id bigint generated always as identity (start 40 increment 7) primary key,
    small int2, n numeric, d float8, r float4, b bool, c char(5), v varchar(20), t text, x bytea,
    day date, clock time, clockz timetz, at timestamp, atz timestamptz, iv interval,
    j json, jb jsonb, u uuid, ip inet, net cidr, mac macaddr, bits bit(3), vb bit varying, money money,
    pt point, bx box, pg polygon, ci circle, ts tsvector, tq tsquery, m mood, p pair, ps pair[], ints int[], texts text[][],
    ir int4range, tr tstzrange, mr int4multirange, sp span, dom positive, h hstore, cs citext, x_ml xml, o oid, nm name, lsn pg_lsn,
    twice numeric generated always as (n * 2) stored
  );
  insert into kinds (small, n, d, r, b, c, v, t, x, day, clock, clockz, at, atz, iv, j, jb, u, ip, net, mac, bits, vb, money,
    pt, bx, pg, ci, ts, tq, m, p, ps, ints, texts, ir, tr, mr, sp, dom, h, cs, x_ml, o, nm, lsn) values
  (-32768, 12345678901234567890.123456789012345678901234567890, 0.1, 1e-38, true, 'ab', 'tab\\\\t', E'line\\nfeed\\ttab\\\\back\\r', '\\x00ff5c0a'::bytea,
   '2026-02-28', '23:59:59.999999', '24:00:00+15:59', '0001-01-01 BC', '2026-10-25 02:30:00+02', '-1 year 2 mons -3 days 04:05:06.000007',
   '{"b": 1,  "a": [1, null], "b": 2}', '{"n": 1e400, "ü": "🎷\\\\u0041"}', gen_random_uuid(), '::ffff:10.0.0.1/96', '10.0.0.0/8', '08:00:2b:01:02:03',
   '101', '0101010', -12.34, '(1e300,-0)', '((0,0),(1,1))', '((0,0),(1,1),(1,0))', '<(0,0),5>', to_tsvector('english', 'the quick brown foxes'),
   'a & !b', 'happy', row(1, 'a "quoted", (one)'), array[row(null, '')::pair, null], '[2:4]={1,NULL,3}', '{{a,"NULL"},{NULL,"\\""}}',
   '[1,5)', '(,2026-01-01 00:00+00]', '{[1,2],[5,7)}', '[0.1,Infinity]', 0.0000000001, 'a=>1, "b c"=>NULL', 'CiTeXt', '<a b="1">&amp;</a>', 4294967295, 'na me', '16/B374D848'),
  (32767, 'NaN', 'NaN', '-Infinity', false, '', '', '', '', 'infinity', '00:00', '00:00-12', '-infinity', 'infinity', '178000000 years',
   'null', 'null', '00000000-0000-0000-0000-000000000000', '::', '::/0', 'ff:ff:ff:ff:ff:ff', '000', '', 0, null, null, null, null, '', '', '', row(null, null), '{}', '{}', '{}',
   'empty', 'empty', '{}', null, 99999999999999999999.9999999999, '', '', null, 0, '', '0/0'),
  (0, 'Infinity', '-0', 'Infinity', null, null, null, 'COPY terminator \\\\. inside', null, '-infinity', null, null, '294276-12-31 23:59:59.999999', '-infinity', '-178000000 years',
   null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
  insert into kinds (t) select repeat(md5(i::text), 300) from generate_series(1, 200) i;
  insert into kinds (d) values (5e-324), (1.7976931348623157e308), (0.30000000000000004), (123456789.12345679);
  create table "od d""s"."Müller 🎷" ("a b" int, "from" text default 'x''y', check ("a b" <> 7));
  insert into "od d""s"."Müller 🎷" select i, null from generate_series(10, 20) i;
  create table empty_one (); create table no_columns (); insert into no_columns default values; insert into no_columns default values;
  create table parent (id serial primary key, other int); select setval('parent_id_seq', 4711, false);
  create table child (id int primary key, parent_id int references parent on delete cascade deferrable initially deferred);
  alter table parent add constraint circle foreign key (other) references child deferrable initially deferred;
  insert into parent values (1, 1), (2, null); insert into child values (1, 1), (2, 2); set constraints all immediate;
  create sequence counting as smallint increment -3 minvalue -900 maxvalue 9 start 9 cycle; select nextval('counting'), nextval('counting');
  create sequence untouched start 77;
  create table measured (day date not null, place text, value float8, primary key (day, place)) partition by range (day);
  create table measured_2025 partition of measured for values from ('2025-01-01') to ('2026-01-01');
  create table measured_2026 partition of measured for values from ('2026-01-01') to ('2027-01-01') partition by list (place);
  create table measured_2026_b partition of measured_2026 for values in ('b'); create table measured_rest partition of measured default;
  insert into measured select '2024-12-30'::date + i, 'b', i / 3.0 from generate_series(0, 700) i where i < 2 or i > 360;
  create table animal (name text); create table dog (barks bool) inherits (animal); insert into dog values ('Rex', true);
  create function tripled(x int) returns int language sql immutable as 'select x * 3';
  create function stamp() returns trigger language plpgsql as $$ begin new.other := coalesce(new.other, tripled(null)); return new; end $$;
  create procedure noop(inout x int) language plpgsql as $$ begin x := x + 1; commit; end $$;
  create trigger stamped before insert or update on parent for each row execute function stamp();
  create function alike(mood, mood) returns bool language sql immutable as 'select $1::text = $2::text';
  create aggregate total (int) (sfunc = int4pl, stype = int, initcond = '0');
  create operator === (leftarg = mood, rightarg = mood, function = alike);
  create view shown as select id, n from kinds where n > 0 with check option;
  create materialized view frozen as select count(*) as many, tripled(2) as six from kinds; create unique index on frozen (many);
  create materialized view unfilled as select 1 as one with no data;
  create rule quiet as on delete to animal do instead nothing;
  create index on kinds using gin (t gin_trgm_ops); create index on kinds (lower(v) collate by_number) where v is not null;
  create unique index on kinds (u) nulls not distinct where u is not null and id > 1000;
  create statistics linked (dependencies) on small, b from kinds;
  alter table child enable row level security; create policy own on child using (id > 0);
  alter table animal add constraint later check (name <> '') not valid; alter table kinds cluster on kinds_pkey;
  comment on column kinds.n is 'exact'; comment on function tripled(int) is 'three times'; comment on table measured is e'two\\nlines';
  create publication news for table kinds where (n > 0);
  select lo_from_bytea(90001, '\\x00010203ff'::bytea), lo_from_bytea(90002, (select string_agg(gen_random_bytes(1000), ''::bytea) from generate_series(1, 3000))); comment on large object 90001 is 'small';
`;

/** All in one transaction, as a query of several statements is. */
export async function fillRichly(url: string): Promise<void> {
  await withClient(url, (client) => client.query(richSql));
}

/** Definitions as pg_dump writes them, and contents as texts, in one value that can be compared. */
export async function portrait(url: string, bin: string): Promise<Record<string, unknown>> {
  const definitions = execFileSync(join(bin, 'pg_dump'), ['--schema-only', '--no-owner'], {
    env: { ...readConnection(url).environment },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const found: Record<string, unknown> = {
    definitions: definitions.split('\n').filter((line) => !/^\\(un)?restrict /.test(line)),
  };
  await withClient(url, async (client) => {
    await client.query("set timezone = 'UTC'; set search_path = public"); // whatever the database's own
    const rows = async (sql: string) => (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;
    const tables = await rows(
      `select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where relkind in ('r', 'm') and relispopulated and n.nspname not in ('pg_catalog', 'information_schema') order by 1`,
    );
    for (const [table] of tables) {
      found[String(table)] = await rows(`select each::text from only ${table} each order by 1`);
    }
    found.sequences = await rows(
      'select schemaname, sequencename, last_value, start_value from pg_sequences order by 1, 2',
    );
    found.largeObjects = await rows('select oid, md5(lo_get(oid)) from pg_largeobject_metadata order by 1');
  });
  return found;
}
