-- A shop that has grown since 2009: several storage engines, two character sets, zero dates, enums and
-- sets, unsigned keys, JSON in text, a table without a primary key.
create table customers (
    id int unsigned not null auto_increment primary key,
    name varchar(120) not null,
    email varchar(190),
    status enum('new', 'regular', 'gold', '') not null default 'new',
    newsletter tinyint(1) not null default 0,
    born date not null default '0000-00-00',
    since datetime not null default '0000-00-00 00:00:00',
    balance decimal(12, 2) not null default 0,
    unique key (email)
) engine=InnoDB default charset=latin1;

create table products (
    sku varchar(120) character set ascii collate ascii_bin not null primary key,
    title varchar(255) not null,
    price decimal(10, 2) unsigned not null,
    weight float,
    flags set('new', 'sale', 'imported', 'fragile') not null default '',
    attributes json,
    picture varbinary(64),
    changed timestamp(3) not null default current_timestamp(3)
) engine=MyISAM default charset=utf8mb4;

create table descriptions (
    sku varchar(120) character set ascii collate ascii_bin not null,
    language varchar(10) not null,
    summary text not null,
    primary key (sku, language)
) engine=InnoDB default charset=utf8mb4;

create table orders (
    id bigint unsigned not null primary key,
    customer_id int unsigned not null,
    placed datetime not null,
    paid datetime,
    state enum('open', 'paid', 'sent', 'returned') not null,
    took time,
    total decimal(14, 4) not null,
    note text character set latin1
) engine=InnoDB default charset=utf8mb4;

create table order_items (
    order_id bigint unsigned not null,
    line smallint unsigned not null,
    sku varchar(120) character set ascii collate ascii_bin not null,
    quantity mediumint unsigned not null,
    price decimal(10, 2) not null,
    primary key (order_id, line)
) engine=InnoDB default charset=utf8mb4;

create table countries (
    code char(2) not null primary key,
    name varchar(60) not null,
    founded year not null
) engine=Aria default charset=utf8mb4;

create table clicks (
    at datetime(6) not null,
    sku varchar(120) character set ascii collate ascii_bin not null,
    session bit(48) not null,
    agent varchar(60)
) engine=InnoDB default charset=latin1;
