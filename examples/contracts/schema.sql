-- A shop whose tables are changed while it is open. Each table meets one change; writers tell rows apart by rev.
create table visits (
    id   bigint primary key,
    rev  int not null,
    page text not null
);

create table payments (
    id     bigint primary key,
    rev    int not null,
    amount int not null
);

create table customers (
    id    bigint primary key,
    rev   int not null,
    fname text not null,
    city  text
);

create table stock (
    id       bigint primary key,
    rev      int not null,
    shelf    text not null,
    quantity int not null
);

-- Its events have a contract: schemas/shop.public.orders.avsc.
create table orders (
    id    bigint primary key,
    rev   int not null,
    email text not null,
    total numeric(12, 2) not null,
    state text not null
);

-- Else an update does not log texts that are large and stay as they are, and the contract asks for each value.
alter table orders replica identity full;
