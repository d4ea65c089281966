"""What is said to a MariaDB twice, directly and through a proxy: whatever answers differently is a fault of the proxy.

Nothing here may answer otherwise when it is said again: no clock, no number of a connection, no order that is not asked for.
"""

from pymysql.constants import COMMAND

#: Run first, each time: the database is made anew, so that it has the same name and the same numbers in it.
GROUND = """\
drop database if exists same
create database same character set utf8mb4
use same
create table item (id int unsigned primary key auto_increment, name varchar(50) not null, price decimal(10, 2), feeling enum('sad', 'ok') default 'ok', tags set('a', 'b'), unique (name))
create table part (id bigint primary key auto_increment, item int unsigned, foreign key (item) references item (id), amount tinyint check (amount > 0))
create table wide (id int, body mediumtext, raw blob)
insert into item (name, price, tags) select concat('item ', seq), seq * 1.25, 'a,b' from seq_1_to_50
create view dear as select id, name from item where price > 50
create function twice(n int) returns int deterministic return n * 2
create procedure several(n int) begin select n as first; select name from item where id <= n order by id; insert into wide values (n, 'called', null); end
create procedure counted(out n int) begin select count(*) into n from item; end
create procedure raised() signal sqlstate '45000' set message_text = 'raised here', mysql_errno = 31000
create trigger upper_part before insert on part for each row set new.amount = coalesce(new.amount, 7)
"""
_SAID = """
select 1
select 1 as one, 'two' as two, 3.0 as three, null as nothing
select ''
select true, false, -1, 18446744073709551615, 1.5e300, 0x414243, b'101'
select cast(1 as signed), cast(1 as unsigned), cast('1.50' as decimal(5, 2)), cast(1.5 as double), cast('a' as char(5))
select date '2026-02-28', time '12:34:56.789', timestamp '2026-01-02 03:04:05.6', time '-838:59:59', year('2026-01-01')
select '0000-00-00', cast('0000-00-00' as date), cast('not a date' as date)
select 'ünï→😀', _latin1'abc', _binary 'abc', n'abc', char(228 using latin1)
select json_object('a', json_array(1, null)), json_value('{"a": "b"}', '$.a'), uuid() = uuid()
select inet6_aton('::1'), inet_ntoa(16909060), hex(md5('a')), point(1, 2)
select 1 as `a b`, 2 as `Ä`, 3 as a, 4 as a
select seq, seq * seq as square, repeat('x', seq) from seq_1_to_200
select seq from seq_1_to_5000
select repeat('y', 1000000)
select repeat('z', 300000), seq from seq_1_to_3
select * from item order by id
select * from item where false
select * from dear
select i.id, p.amount from item i left join part p on p.item = i.id order by i.id limit 5
select sql_calc_found_rows id from item order by id limit 3
select found_rows()
with recursive t(n) as (values (1) union all select n + 1 from t where n < 20) select sum(n), count(*) from t
select id, sum(price) over (order by id rows 3 preceding) from item order by id limit 5
select group_concat(name order by id separator '|'), avg(price), std(price) from item where id < 5
select twice(21), twice(null)
select database(), user() is not null, current_user(), version() is not null
select * from item where id = 3 for update
select 1 / 0, 'x' + 1, cast('12abc' as signed)
select 1 from dual where 1 = 'x'
show warnings
show tables
show columns from item
show create table part
select index_name, column_name, non_unique from information_schema.statistics where table_schema = 'same' order by 1, 2
show variables like 'autocommit'
show full processlist like
explain select * from item where id = 1
describe dear
do 1
do sleep(0)
insert into part (item, amount) values (1, 5)
select last_insert_id()
insert into part (item) values (2), (3), (4)
select last_insert_id(), row_count()
update part set amount = amount + 1 where item < 3
select row_count()
update part set amount = 6 where item = 1
update part set amount = 100 where false
insert into item (id, name) values (1, 'item 1') on duplicate key update price = 99, id = last_insert_id(id)
replace into item (id, name) values (50, 'item 50')
insert ignore into item (id, name) values (1, 'again'), (2, 'again')
insert into wide values (1, 'one', x'00ff'), (2, null, null) returning id, body
delete from wide where id = 2 returning id
insert into wide values (3, 'a', 'b', 'c')
update item set price = 'many'
update item set price = 12345678901
delete from part where id = 999
truncate wide
begin
insert into part (item, amount) values (5, 50)
select last_insert_id(), count(*) from part
savepoint one
delete from part
rollback to savepoint one
rollback to savepoint nothing
select count(*) from part
release savepoint one
rollback
select count(*) from part
start transaction read only
insert into part (item) values (1)
commit and chain
select count(*) from part
rollback
start transaction with consistent snapshot
select 1 from nowhere
commit
set autocommit = 0
insert into part (item, amount) values (6, 60)
select count(*) from part
rollback
set autocommit = 1
select count(*) from part
set @mine = 41
select @mine + 1, @yours
select @seen := max(id) from item
select @seen
set sql_mode = 'ansi_quotes,strict_all_tables'
select "id" from item where id = 1
insert into wide values ('x', null, null)
set sql_mode = default
set time_zone = '+09:00'
select from_unixtime(0), @@time_zone
set time_zone = default
set names latin1
select 'abc', @@character_set_client, @@collation_connection
set names utf8mb4
set session group_concat_max_len = 5
select group_concat(name order by id) from item
set session group_concat_max_len = default
set @@session.sql_select_limit = 2
select id from item order by id
set @@session.sql_select_limit = default
set transaction isolation level read committed
set session transaction isolation level serializable
select @@tx_isolation
set session transaction isolation level repeatable read
prepare said from 'select id, name from item where id = ? or name = ?'
execute said using @mine, @yours
deallocate prepare said
execute said
create temporary table mine (n int primary key)
insert into mine values (1), (2)
select * from mine order by n
drop temporary table mine
select get_lock('same', 0), is_used_lock('same') is not null
select release_lock('same'), release_lock('same')
lock tables item read
insert into item (name) values ('locked')
select count(*) from part
unlock tables
call several(2)
call several('x')
call counted(@n)
select @n
call raised()
call nothing()
create table made (n int, m int as (n * 2) virtual)
insert into made (n) values (1), (2)
insert into made values (1, 2)
alter table made add column words text default 'w', add index (n)
select * from made order by n
analyze table made
check table made
rename table made to made_too
drop table made_too
drop table if exists nowhere
drop table nowhere
use information_schema
select database()
use same
use nowhere
selekt 1
select 1 +
select nothing
select * from nowhere
select * from item where nothing = 1
select nothing(1)
select twice()
select (select id from item)
select cast(1 as nothing)
select 'unterminated
insert into item (id, name) values (1, 'again')
insert into item (id) values (1000)
insert into part (item) values (1000)
insert into part (item, amount) values (1, -5)
delete from item where id = 1
create table item (n int)
alter table item add column name int
set nothing = 1
set session max_allowed_packet = 1
set session sql_mode = 'nothing'
grant all on nowhere.* to nobody_at_all
kill 999999
handler item open
handler item read first
handler item close
load data infile '/nowhere' into table wide
signal sqlstate '01000' set message_text = 'a warning only'
signal sqlstate '45000' set message_text = 'done'
get diagnostics @conditions = number
xa recover
checksum table item
flush status
"""
#: Said as they are: several statements, comments, and nothing at all.
_SCRIPTS = (
    "",
    ";",
    "-- only a comment",
    "/* one */ select 1 /* two */; -- three",
    "select 1; select 'two'; select null",
    "select 1; selekt; select 2",
    "select 1; select * from nowhere; select 2",
    "begin; insert into part (item) values (9); rollback; select count(*) from part",
    "set @a = 1; select @a; do 0; select @a + 1",
    "call several(1); select 'after'",
    "select 1; begin; select 2",
    "commit",
    "/*!50000 select 'a version' */",
    "select " + ", ".join(str(number) for number in range(400)),
    "select '" + "long " * 50_000 + "'",
)
SAID = tuple(line for line in _SAID.splitlines() if line) + _SCRIPTS
#: Statements with parameters, which only what is prepared has.
PARAMETERS: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    ("select ? + ?", ("40", "2")),
    ("select ?, ?, ?", ("a", None, "ünï→😀")),
    ("select * from item where id = ?", ("7",)),
    ("select id from item where name like ? and price > ? order by id", ("item 4%", "1.5")),
    ("select length(?)", ("x" * 100_000,)),
    ("insert into wide (id, body) values (?, ?)", ("5", "five")),
    ("insert into wide (id, body) values (?, ?)", ("wrong", "five")),
    ("insert into item (name, price) values (?, ?) on duplicate key update price = price + 1", ("new", "1")),
    ("update wide set body = ? where id = ?", (None, "5")),
    ("delete from wide where id = ?", ("5",)),
    ("select * from nowhere where n = ?", ("1",)),
    ("call several(?)", ("2",)),
    ("select seq from seq_1_to_3000 where seq > ? limit ?", ("10", "2000")),
    ("select cast(? as signed), cast(? as date)", ("12abc", "2026-99-99")),
    ("select " + ", ".join("?" * 300), tuple("7" * 300)),
)
#: What is read with a cursor, three rows first.
CURSORS = (
    "select 1",
    "select * from item order by id",
    "select * from item where false",
    "select seq, repeat('c', 1000) from seq_1_to_2000",
    "select * from nowhere",
    "insert into wide (id) values (1)",
    "call several(1)",
)
#: Commands other than statements: the number of each, and what is said with it.
COMMANDS: tuple[tuple[int, bytes], ...] = (
    (COMMAND.COM_PING, b""),
    (COMMAND.COM_QUERY, b"set @kept = 1, time_zone = '+03:00'"),
    (COMMAND.COM_INIT_DB, b"other"),
    (COMMAND.COM_QUERY, b"select database(), @kept, @@time_zone"),
    (COMMAND.COM_INIT_DB, b"nowhere"),
    (COMMAND.COM_INIT_DB, b"same"),
    (COMMAND.COM_QUERY, b"create temporary table mine (n int)"),
    (COMMAND.COM_QUERY, b"begin"),
    (COMMAND.COM_QUERY, b"insert into part (item) values (8)"),
    (0x1F, b""),  # COM_RESET_CONNECTION
    (COMMAND.COM_QUERY, b"select database(), @kept, @@time_zone, @@autocommit, last_insert_id()"),
    (COMMAND.COM_QUERY, b"select count(*) from part"),
    (COMMAND.COM_QUERY, b"select * from mine"),
    (COMMAND.COM_SET_OPTION, b"\x01\x00"),
    (COMMAND.COM_QUERY, b"select 1; select 2"),
    (COMMAND.COM_SET_OPTION, b"\x00\x00"),
    (COMMAND.COM_QUERY, b"select 1; select 2"),
    (COMMAND.COM_SET_OPTION, b"\x07\x00"),
    (COMMAND.COM_STMT_EXECUTE, b"\x63\x00\x00\x00\x00\x01\x00\x00\x00"),
    (COMMAND.COM_STMT_RESET, b"\x63\x00\x00\x00"),
    (COMMAND.COM_STMT_FETCH, b"\x63\x00\x00\x00\x01\x00\x00\x00"),
    (COMMAND.COM_QUERY, b"load data local infile 'nothing' into table wide"),
    (COMMAND.COM_QUERY, b"kill 4294967295"),
    (COMMAND.COM_QUERY, b"show warnings"),
    (COMMAND.COM_PING, b""),
)
#: What does differ, with the reason.
EXCUSED = {
    (COMMAND.COM_QUERY, b"load data local infile 'nothing' into table wide"): (
        "servers are not told that clients send files, so they do not ask for them"
    ),
    (COMMAND.COM_QUERY, b"show warnings"): (
        "the number to be killed was one of the proxy's, which answered by itself: the server warns of what it was asked before"
    ),
}
