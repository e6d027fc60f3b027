-- What a database has that nobody may read the log of: tables that are changed by many programs at once. It stands
-- beside the tables of examples/debian/schema.sql.

-- By time: each change sets changed_at, which a trigger sees to.
alter table packages add changed_at timestamptz not null default now(), add retired boolean not null default false;
create index on packages (changed_at);
create function touch() returns trigger language plpgsql as $$ begin new.changed_at := now(); return new; end $$;
create trigger touch before update on packages for each row execute function touch();

-- By number: rows are added, and never changed.
create table downloads (
    download_id bigint generated always as identity primary key,
    package_id  int not null references packages,
    client      inet not null,
    at          timestamptz not null default now()
);

-- The tables stay hidden: what others get is this.
create schema catalog;
create view catalog.listing as
    select p.package_id, p.name, p.version, p.section, m.name as maintainer, m.email, p.changed_at
    from packages p join maintainers m using (maintainer_id);
