-- Debian's package index as a small, real database: every script of the world, long texts, a
-- composite key, an enum, an array, dates, a foreign key.
create type priority as enum ('required', 'important', 'standard', 'optional', 'extra');

create table maintainers (
    maintainer_id int primary key,
    name          text not null,
    email         text
);

create table packages (
    package_id     int primary key,
    name           text not null,
    version        text not null,
    architecture   text not null,
    section        varchar(60),
    priority       priority,
    maintainer_id  int not null references maintainers,
    installed_kib  bigint,
    size_bytes     bigint,
    mib            numeric(12, 3),
    essential      boolean not null default false,
    tags           text[],
    homepage       text,
    sha256         bytea,
    indexed_on     date not null,
    indexed_at     timestamptz not null
);
comment on table packages is 'One binary package of the distribution.';
comment on column packages.installed_kib is 'Disk space once installed, in KiB.';

create table dependencies (
    package_id  int not null,
    kind        text not null,
    position    int not null,
    alternative int not null,
    target      text not null,
    version     text,
    primary key (package_id, kind, position, alternative)
);

create table descriptions (
    digest   text not null,
    language text not null,
    summary  text not null,
    body     text not null,
    primary key (digest, language)
);
