-- Orders, and what others are told of them. The same event goes into two outboxes, one for each way of reading it.
create table orders (
    order_id int primary key,
    events   int not null default 0
);

-- Read from the log: the columns of other tools' outboxes, as they are.
create table outbox_tailed (
    id            bigint generated always as identity primary key,
    aggregatetype text not null,
    aggregateid   text not null,
    type          text not null,
    payload       jsonb not null
);

-- Polled, and emptied.
create table outbox_polled (like outbox_tailed including all);
