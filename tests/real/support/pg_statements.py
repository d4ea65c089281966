"""What is said to a PostgreSQL twice, directly and through a proxy: whatever answers differently is a fault of the proxy.

Nothing here may answer otherwise when it is said again: no clock, no process id, no order that is not asked for.
"""

#: Run once, in the database that the others are copied from.
GROUND = """
create type mood as enum ('sad', 'ok', 'happy');
create type pair as (a int, b text);
create domain positive as int check (value > 0);
create table item (id int primary key, name text not null, price numeric(10, 2), tags text[], feeling mood, more jsonb);
create table part (id serial primary key, item int references item (id), kind pair, amount positive);
create table wide (id int, body text);
insert into item select n, 'item ' || n, n * 1.25, array['a' || n, null], 'ok', jsonb_build_object('n', n)
    from generate_series(1, 50) n;
insert into part (item, kind, amount) select n, (n, 'k' || n)::pair, n from generate_series(1, 20) n;
create view dear as select id, name from item where price > 50;
create function told(words text) returns int language plpgsql as $$ begin
    raise notice 'told %', words using detail = 'in detail', hint = 'a hint'; raise warning 'and warned'; return length(words);
end $$;
create function broken(n int) returns int language plpgsql as $$ begin return 1 / (n - n); end $$;
create function raised() returns void language plpgsql as $$ begin
    raise exception 'raised here' using errcode = 'ZZ001', detail = 'why', hint = 'do not', schema = 's', table = 't',
        column = 'c', constraint = 'k', datatype = 'd';
end $$;
create procedure add_item(n int) language sql as $$ insert into item (id, name) values (n, 'added') $$;
"""

_VALUES = """
select 1
select 1 as one, 'two' as two, 3.0 as three, null as nothing
select
select where false
select ''
select null::int, null::text, null::int[], null::mood
select true, false, null::bool
select 32767::int2, 2147483647::int4, 9223372036854775807::int8, -1::int2
select 1.5::float4, 1e300::float8, 'NaN'::float8, '-Infinity'::float4
select 12345678901234567890.123456789::numeric, 'NaN'::numeric, 0.0000000001::numeric
select 'a'::char, 'ab'::char(5), 'abc'::varchar(10), 'name'::name, 'ünï→\U0001f600'::text
select '\\xdeadbeef00'::bytea, ''::bytea
select date '2026-02-28', time '12:34:56.789', timetz '12:34:56+02', timestamp '2026-01-02 03:04:05.6'
select timestamptz '2026-01-02 03:04:05+00', interval '1 year 2 days 03:04:05.678', 'infinity'::timestamp
select '{"a": [1, 2, {"b": null}]}'::json, '{"b": 1, "a": 2}'::jsonb, '<x>1</x>'::text
select 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '10.0.0.0/8'::cidr, '::1'::inet, '08:00:2b:01:02:03'::macaddr
select array[1, 2, null], array[[1, 2], [3, 4]], '{}'::text[], array['a,b', 'c"d', 'null', null], '[2:3]={1,2}'::int[]
select int4range(1, 5), '[2026-01-01,)'::daterange, 'empty'::int8range, '{[1,2),[5,6)}'::int4multirange
select point(1, 2), box '((0,0),(1,1))', circle '<(0,0),5>', '101'::bit(3), '10101'::varbit
select 'sad'::mood, enum_range(null::mood), (1, 'x')::pair, row(1, 'two', null), array[(1, 'a')::pair]
select 5::positive, 'fat & rat'::tsquery, to_tsvector('simple', 'a fat cat'), '12.34'::money
select pg_typeof(1), 'pg_class'::regclass, '1'::oid, 'pg_catalog.now'::regproc
select 1 as "a b", 2 as "Ä", 3 as "a", 4 as "a"
select n, n * n as square, repeat('x', n) from generate_series(1, 200) n
select n from generate_series(1, 5000) n
select repeat('y', 1000000)
select repeat('z', 1000000), n from generate_series(1, 3) n
select array_agg(n) from generate_series(1, 10000) n
select md5(string_agg(n::text, ',' order by n)) from generate_series(1, 1000) n
values (1, 'a'), (2, 'b'), (null, null)
table dear
select * from item order by id
select id, name from item where id = 7
select * from item where false
select i.id, p.kind, p.amount from item i left join part p on p.item = i.id order by i.id, p.id limit 30
with recursive t(n) as (values (1) union all select n + 1 from t where n < 20) select sum(n), count(*) from t
select id, sum(price) over (order by id rows 3 preceding) from item order by id limit 10
select more ->> 'n', tags[1] from item order by id limit 3
select count(*), sum(price), avg(price), min(name) from item
select id % 3 as k, count(*) from item group by grouping sets ((id % 3), ()) order by k nulls last
select * from part where kind = (3, 'k3')::pair
select exists (select 1 from item where id = 51), 5 in (select id from item), 1 = any (array[1, 2])
select id from item order by id offset 10 fetch next 5 rows only
select * from item where id = 3 for update
select * from item where id = 3 for share skip locked
select told('hello')
select told(n::text) from generate_series(1, 3) n
select set_config('marchproxy.mine', 'x', true)
select current_database() <> '', current_user, session_user, current_schema
explain (costs off) select * from item where id = 1
explain (costs off, format json) select 1
show server_version_num
show client_encoding
show transaction_isolation
show search_path
"""
_ERRORS = """
selekt 1
select 1 +
select nothing
select * from nowhere
select * from item where nothing = 1
select 1 / 0
select 1 / (id - 3) from item order by id
select 'x'::int
select cast('2026-99-99' as date)
select nothing(1)
select broken(3)
select raised()
select 300::int2 * 300::int2
select 'wrong'::mood
select (-1)::positive
select array[1, 2] || 'x'::int
select 1 where 'a' = 1
select 'unterminated
select $$unterminated
select 1; select 2
insert into item (id, name) values (1, 'again')
insert into item (id) values (1000)
insert into part (item) values (1000)
insert into part (amount) values (0)
insert into nowhere values (1)
delete from item where id = 1
update item set id = 2 where id = 1
create table item (n int)
create table bad (n nothing)
drop table nowhere
alter table item add column name int
set nothing to 1
set work_mem to 'lots'
show nothing
commit prepared 'nothing'
execute nothing
deallocate nothing
fetch from nothing
close nothing
rollback to nothing
release nothing
declare c cursor for select 1
lock table item
vacuum nowhere
copy nowhere to stdout
listen
set role nobody_at_all
begin isolation level nothing
call add_item(1)
do $$ begin raise exception 'done %', 1; end $$
"""
_COMMANDS = """
insert into wide values (1, 'a'), (2, 'b')
insert into wide values (3, 'c') returning id, body
update wide set body = body || '!' where id < 3
update wide set body = 'x' where false
delete from wide where id = 2 returning *
delete from wide
merge into wide w using (values (1, 'm'), (2, 'n')) v(id, body) on w.id = v.id when not matched then insert values (v.id, v.body)
truncate wide
insert into wide select n, repeat('w', 1000) from generate_series(1, 1000) n
select sum(length(body)) from wide
truncate wide
create table if not exists wide (n int)
drop table if exists nowhere
create table made (n int)
insert into made select generate_series(1, 3)
create index on made (n)
analyze made
alter table made add column words text default 'w'
select * from made order by n
create or replace view seen as select n from made
comment on table made is 'made'
drop view seen
drop table made
create schema side
drop schema side
create sequence counted
select nextval('counted'), nextval('counted')
drop sequence counted
do $$ begin raise notice 'from a block'; end $$
do $$ begin perform told('in a block'); end $$
create table made_of as select 1 as n
select * into made_too from made_of
drop table made_of, made_too
call add_item(1001)
delete from item where id = 1001
begin
select 1
insert into wide values (9, 'kept')
savepoint one
insert into nowhere values (1)
select 2
rollback to one
select count(*) from wide
release one
commit
delete from wide
begin read only
insert into wide values (1, 'no')
rollback
rollback
commit
begin isolation level serializable read only deferrable
show transaction_isolation
commit and chain
abort
start transaction
select 1 / 0
commit
begin
declare walked cursor for select n from generate_series(1, 10) n
fetch 3 from walked
fetch backward 1 from walked
move 2 in walked
fetch all from walked
fetch from walked
close walked
commit
begin
set local timezone to 'Asia/Tokyo'
show timezone
select timestamptz '2026-01-01 00:00:00+00'
rollback
show timezone
set datestyle to 'German, DMY'
select date '2026-02-28'
reset datestyle
set timezone to 'Europe/Berlin'
select timestamptz '2026-07-01 00:00:00+00'
set intervalstyle to 'iso_8601'
select interval '1 year 2 days'
set application_name to 'teller'
show application_name
set client_min_messages to warning
select told('less')
reset client_min_messages
set bytea_output to escape
select '\\x00ff'::bytea
set standard_conforming_strings to off
set standard_conforming_strings to on
set client_encoding to 'latin1'
select 'ü'::text
set client_encoding to 'utf8'
reset all
discard plans
checkpoint
"""
#: Said as they are, each as one string of the simple protocol.
SCRIPTS = (
    "",
    ";",
    "-- only a comment",
    "/* one */ select 1 /* two */; -- three",
    "select 1; select 'two'; select null",
    "select 1;; select 2;",
    "select 1; selekt; select 2",
    "select 1; select 1 / 0; select 2",
    "insert into wide values (1, 'a'); select count(*) from wide; delete from wide",
    "begin; insert into wide values (1, 'a'); rollback; select count(*) from wide",
    "begin; select 1; select 1 / 0; select 2; commit; select 3",
    "select 1; begin; select 2",
    "commit",
    "insert into wide values (1, 'lost'); select 1 / 0",
    "select count(*) from wide",
    "create table twice (n int); insert into twice values (1); select * from twice; drop table twice",
    "select told('a'); select told('b')",
    "set timezone to 'Asia/Tokyo'; show timezone; reset timezone; show timezone",
    "select repeat('s', 100000); select repeat('t', 100000)",
    "select " + ", ".join(str(number) for number in range(1000)),
    "select '" + "long " * 50_000 + "'",
)
#: A statement, its parameters as text, and their types; 0: the server finds out.
PARAMETERS: tuple[tuple[str, tuple[str | None, ...], tuple[int, ...]], ...] = (
    ("select $1::int + $2::int", ("40", "2"), ()),
    ("select $1, $2", ("a", "b"), (25, 1043)),
    ("select $1::text is null, $2::text", (None, ""), ()),
    ("select * from item where id = $1", ("7",), ()),
    ("select * from item where id = any($1) order by id", ("{1,2,50,51}",), ()),
    ("select * from item where name like $1 and price > $2 order by id", ("item 4%", "1.5"), ()),
    ("select $1::mood, $2::pair, $3::positive", ("happy", "(1,x)", "5"), ()),
    ("select $1::mood", ("wrong",), ()),
    ("select $1::int", ("x",), ()),
    ("select $1::int", ("99999999999",), ()),
    ("select 1 / $1::int", ("0",), ()),
    ("select $1::jsonb -> 'a', $2::bytea", ('{"a": [1]}', "\\x00ff"), ()),
    ("select length($1)", ("x" * 1_000_000,), ()),
    ("select $1::text || $1::text", ("y" * 200_000,), ()),
    ("insert into wide values ($1, $2) returning *", ("5", "five"), ()),
    ("update wide set body = $2 where id = $1", ("5", None), ()),
    ("delete from wide where id = $1", ("5",), ()),
    ("select $1", ("untyped",), ()),
    ("select $3::int, $1::int", ("1", "2", "3"), ()),
    ("select told($1)", ("with a parameter",), ()),
    ("select * from nowhere where n = $1", ("1",), ()),
    ("select n from generate_series(1, $1::int) n", ("3000",), ()),
    ("select " + ", ".join(f"${number}::int" for number in range(1, 301)), tuple("7" * 300), ()),
)
#: A statement, and what is sent when it is a COPY FROM STDIN; None: the client gives up.
COPIES: tuple[tuple[str, tuple[bytes, ...] | None], ...] = (
    ("copy item to stdout", ()),
    ("copy (select * from item order by id) to stdout with (format csv, header)", ()),
    ("copy (select id, name from item order by id) to stdout with (format binary)", ()),
    ("copy (select repeat('c', 100000) from generate_series(1, 20)) to stdout", ()),
    ("copy (select 1 / (3 - n) from generate_series(1, 5) n) to stdout", ()),
    ("copy wide from stdin", (b"1\ta\n", b"2\t\\N\n3\t", b"split\n")),
    ("copy wide from stdin", ()),
    ("copy wide from stdin with (format csv)", (b'4,"a,b"\n5,\n',)),
    ("copy wide from stdin", tuple(b"%d\t%s\n" % (number, b"r" * 1000) for number in range(2000))),
    ("copy wide from stdin", (b"not a number\tx\n",)),
    ("copy wide from stdin", (b"1\ta\tb\n", b"2\tlate\n" * 5000)),
    ("copy wide from stdin", None),
    ("copy nowhere from stdin", ()),
    ("copy (select count(*), sum(length(body)) from wide) to stdout", ()),
)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line for line in text.splitlines() if line)


VALUES, ERRORS, COMMANDS = _lines(_VALUES), _lines(_ERRORS), _lines(_COMMANDS)
