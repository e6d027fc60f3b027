drop database if exists fr_wire; create database fr_wire; use fr_wire;
set sql_mode='', time_zone='+00:00'; flush logs;
create table t(id int primary key, a varchar(20) character set latin1, d date not null, e enum('x','it''s'), ts timestamp null, ti time, dt datetime) engine=myisam;
insert into t values (1,X'80','0000-00-00','it''s','2001-02-03 04:05:06','-01:02:03','1999-12-31 23:59:59'),(2,null,'2024-02-29',0,null,null,null);
update t set a='b' where id=1; delete from t where id=2;
set session binlog_format=STATEMENT; insert into t(id,d) values (3,'2000-01-01'); set session binlog_format=ROW;
