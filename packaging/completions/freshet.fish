# fish completion of freshet; made by scripts/docs.sh
complete -c freshet -f
complete -c freshet -n __fish_use_subcommand -a run -d 'the daemon, in the foreground'
complete -c freshet -n '__fish_seen_subcommand_from run' -l allow-exec -d 'let ${exec:command} in the configuration run commands'
complete -c freshet -n __fish_use_subcommand -a validate -d 'check the configuration offline: syntax, keys, types, conflicts'
complete -c freshet -n __fish_use_subcommand -a plan -d 'check sources, Kafka, registry and sinks online, and show what apply would do'
complete -c freshet -n '__fish_seen_subcommand_from plan' -l out -rF -d 'write the plan to a file, for apply'
complete -c freshet -n '__fish_seen_subcommand_from plan' -l sql -rF -d 'write the SQL that a DBA would run'
complete -c freshet -n '__fish_seen_subcommand_from plan' -l allow-exec -d 'let ${exec:command} in the configuration run commands'
complete -c freshet -n __fish_use_subcommand -a apply -d 'create topics, register schemas, create target tables'
complete -c freshet -n '__fish_seen_subcommand_from apply' -l plan-hash -x -d 'refuse unless the plan is still this one'
complete -c freshet -n '__fish_seen_subcommand_from apply' -l source-objects -d 'also create the publication on the source'
complete -c freshet -n '__fish_seen_subcommand_from apply' -l dry-run -d 'show what would be done'
complete -c freshet -n '__fish_seen_subcommand_from apply' -l allow-exec -d 'let ${exec:command} in the configuration run commands'
complete -c freshet -n __fish_use_subcommand -a status -d 'health first, then one line per table'
complete -c freshet -n __fish_use_subcommand -a tap -d 'decoded events as they pass'
complete -c freshet -n '__fish_seen_subcommand_from tap' -l limit -x -d 'stop after N events'
complete -c freshet -n '__fish_seen_subcommand_from tap' -l from -x -d 'beginning or end (the default)'
complete -c freshet -n '__fish_seen_subcommand_from tap' -l where -x -d 'not in this version'
complete -c freshet -n '__fish_seen_subcommand_from tap' -l at -x -d 'not in this version: events are shown as they are on Kafka'
complete -c freshet -n __fish_use_subcommand -a position -d 'the checkpoint of a source in human units; adopt the position of a slot; start over; where a sink goes on'
complete -c freshet -n '__fish_seen_subcommand_from position' -a show
complete -c freshet -n '__fish_seen_subcommand_from position' -a set
complete -c freshet -n '__fish_seen_subcommand_from position' -a reset
complete -c freshet -n '__fish_seen_subcommand_from position' -l from-slot -d 'set: adopt the position that the slot has'
complete -c freshet -n '__fish_seen_subcommand_from position' -l to -x -d 'set, of a sink: beginning, end, here, or a time in UTC (2026-01-31T23:59:00Z)'
complete -c freshet -n '__fish_seen_subcommand_from position' -l dry-run -d 'show what would be done'
complete -c freshet -n '__fish_seen_subcommand_from position' -l source -d 'the word is a source\'s, where a sink goes by it too'
complete -c freshet -n '__fish_seen_subcommand_from position' -l sink -d 'the word is a sink\'s, where a source goes by it too'
complete -c freshet -n __fish_use_subcommand -a dlq -d 'dead letters: rows and messages that were set aside, with what waits behind them'
complete -c freshet -n '__fish_seen_subcommand_from dlq' -a list
complete -c freshet -n '__fish_seen_subcommand_from dlq' -a show
complete -c freshet -n '__fish_seen_subcommand_from dlq' -a retry
complete -c freshet -n '__fish_seen_subcommand_from dlq' -a drop
complete -c freshet -n '__fish_seen_subcommand_from dlq' -l source -x -d 'letters of this source'
complete -c freshet -n '__fish_seen_subcommand_from dlq' -l sink -x -d 'letters of this sink'
complete -c freshet -n '__fish_seen_subcommand_from dlq' -l table -x -d 'of source/space.table, or of this topic'
complete -c freshet -n '__fish_seen_subcommand_from dlq' -l all -d 'retry, drop: all that wait'
complete -c freshet -n '__fish_seen_subcommand_from dlq' -l limit -x -d 'list: so many lines; 100'
complete -c freshet -n '__fish_seen_subcommand_from dlq' -l settled -d 'list: also those that are done or dropped'
complete -c freshet -n '__fish_seen_subcommand_from dlq' -l dry-run -d 'show what would be done'
complete -c freshet -n __fish_use_subcommand -a snapshot -d 'read a table again while its changes are streamed; how far snapshots are'
complete -c freshet -n '__fish_seen_subcommand_from snapshot' -a start
complete -c freshet -n '__fish_seen_subcommand_from snapshot' -a cancel
complete -c freshet -n '__fish_seen_subcommand_from snapshot' -a status
complete -c freshet -n '__fish_seen_subcommand_from snapshot' -l where -x -d 'start: only rows for which this condition of the database holds'
complete -c freshet -n '__fish_seen_subcommand_from snapshot' -l dry-run -d 'show what would be done'
complete -c freshet -n __fish_use_subcommand -a pause -d 'let a table, a source or a sink wait, until it is resumed'
complete -c freshet -n '__fish_seen_subcommand_from pause' -l why -x -d 'for those who find it so: status shows it'
complete -c freshet -n '__fish_seen_subcommand_from pause' -l source -d 'TARGET is a source\'s, where a sink goes by its name'
complete -c freshet -n '__fish_seen_subcommand_from pause' -l sink -d 'TARGET is a sink\'s, where a source goes by its name'
complete -c freshet -n '__fish_seen_subcommand_from pause' -l dry-run -d 'show what would be done'
complete -c freshet -n __fish_use_subcommand -a resume -d 'let it go on: what was paused, stopped, or held by an error or a schema'
complete -c freshet -n '__fish_seen_subcommand_from resume' -l anew -d 'a table: by a new snapshot, and not by what has piled up'
complete -c freshet -n '__fish_seen_subcommand_from resume' -l why -x -d 'for those who find it so: status shows it'
complete -c freshet -n '__fish_seen_subcommand_from resume' -l source -d 'TARGET is a source\'s, where a sink goes by its name'
complete -c freshet -n '__fish_seen_subcommand_from resume' -l sink -d 'TARGET is a sink\'s, where a source goes by its name'
complete -c freshet -n '__fish_seen_subcommand_from resume' -l dry-run -d 'show what would be done'
complete -c freshet -n __fish_use_subcommand -a stop -d 'end a source or a sink, until it is resumed; no connection of it is left'
complete -c freshet -n '__fish_seen_subcommand_from stop' -l why -x -d 'for those who find it so: status shows it'
complete -c freshet -n '__fish_seen_subcommand_from stop' -l source -d 'TARGET is a source\'s, where a sink goes by its name'
complete -c freshet -n '__fish_seen_subcommand_from stop' -l sink -d 'TARGET is a sink\'s, where a source goes by its name'
complete -c freshet -n '__fish_seen_subcommand_from stop' -l dry-run -d 'show what would be done'
complete -c freshet -n __fish_use_subcommand -a restart -d 'end a source or a sink, also one that failed, and start it again; try a held table'
complete -c freshet -n '__fish_seen_subcommand_from restart' -l why -x -d 'for those who find it so: status shows it'
complete -c freshet -n '__fish_seen_subcommand_from restart' -l source -d 'TARGET is a source\'s, where a sink goes by its name'
complete -c freshet -n '__fish_seen_subcommand_from restart' -l sink -d 'TARGET is a sink\'s, where a source goes by its name'
complete -c freshet -n '__fish_seen_subcommand_from restart' -l dry-run -d 'show what would be done'
complete -c freshet -n __fish_use_subcommand -a ddl -d 'the SQL that makes an outbox, or triggers that capture a table, and that removes them; runs nothing'
complete -c freshet -n '__fish_seen_subcommand_from ddl' -a outbox
complete -c freshet -n '__fish_seen_subcommand_from ddl' -a triggers
complete -c freshet -n '__fish_seen_subcommand_from ddl' -a grants
complete -c freshet -n '__fish_seen_subcommand_from ddl' -a signal
complete -c freshet -n '__fish_seen_subcommand_from ddl' -l table -x -d 'which: source/space.table'
complete -c freshet -n '__fish_seen_subcommand_from ddl' -l contract -rF -d 'outbox: the database refuses payloads (JSON) that do not fit this Avro schema'
complete -c freshet -n '__fish_seen_subcommand_from ddl' -l drop -d 'the SQL that takes it all away again'
complete -c freshet -n __fish_use_subcommand -a lineage -d 'which column becomes which field, where it is masked, who owns it'
complete -c freshet -n '__fish_seen_subcommand_from lineage' -l dot -d 'a graph for Graphviz'
complete -c freshet -n '__fish_seen_subcommand_from lineage' -l mermaid -d 'a graph for Mermaid'
complete -c freshet -n '__fish_seen_subcommand_from lineage' -l openlineage -d 'OpenLineage events, one a line'
complete -c freshet -n '__fish_seen_subcommand_from lineage' -l dbt-sources -d 'sources.yml of dbt: the sinks\' tables'
complete -c freshet -n '__fish_seen_subcommand_from lineage' -l offline -d 'ask no source: what the configuration alone says'
complete -c freshet -n __fish_use_subcommand -a verify -d 'compare a table of a source with a sink\'s, while both run'
complete -c freshet -n '__fish_seen_subcommand_from verify' -l sink -x -d 'which, where several take the table'
complete -c freshet -n '__fish_seen_subcommand_from verify' -l fast -d 'counts and sums of chunks alone; no rows are read'
complete -c freshet -n '__fish_seen_subcommand_from verify' -l full -d 'every row is read, and compared here'
complete -c freshet -n '__fish_seen_subcommand_from verify' -l settle -x -d 'how long rows that differ are waited for at most; 60s'
complete -c freshet -n '__fish_seen_subcommand_from verify' -l load -x -d 'of the time may a connection of the source be busy with it; 20'
complete -c freshet -n '__fish_seen_subcommand_from verify' -l timeout -x -d 'of one statement; 10m'
complete -c freshet -n '__fish_seen_subcommand_from verify' -l chunk -x -d 'at once, where keys are numbers; 20000'
complete -c freshet -n '__fish_seen_subcommand_from verify' -l fix-sql -rF -d 'write the SQL that makes the sink\'s table equal'
complete -c freshet -n '__fish_seen_subcommand_from verify' -l metrics -rF -d 'write the result for node_exporter\'s textfile collector'
complete -c freshet -n __fish_use_subcommand -a test -d 'run the tests: of the configuration: given a row, expect these events'
complete -c freshet -n '__fish_seen_subcommand_from test' -l junit -rF -d 'write the results as JUnit XML'
complete -c freshet -n __fish_use_subcommand -a schema -d 'the Avro schemas of a table\'s stream: now, against the registry, over time, in other words'
complete -c freshet -n '__fish_seen_subcommand_from schema' -a show
complete -c freshet -n '__fish_seen_subcommand_from schema' -a diff
complete -c freshet -n '__fish_seen_subcommand_from schema' -a check
complete -c freshet -n '__fish_seen_subcommand_from schema' -a register
complete -c freshet -n '__fish_seen_subcommand_from schema' -a history
complete -c freshet -n '__fish_seen_subcommand_from schema' -a export
complete -c freshet -n '__fish_seen_subcommand_from schema' -a sample
complete -c freshet -n '__fish_seen_subcommand_from schema' -l at -x -d 'show, export, sample: source (show\'s usual), contract, registry (the others\')'
complete -c freshet -n '__fish_seen_subcommand_from schema' -l offline -d 'diff: the contract instead of the source'
complete -c freshet -n '__fish_seen_subcommand_from schema' -l against -x -d 'check: DIR with the older files, git:REF (git:HEAD if not given), or registry'
complete -c freshet -n '__fish_seen_subcommand_from schema' -l level -x -d 'diff, check: this compatibility instead of the table\'s'
complete -c freshet -n '__fish_seen_subcommand_from schema' -l compatibility -x -d 'register: under this level, which is put back afterwards; asks twice'
complete -c freshet -n '__fish_seen_subcommand_from schema' -l dry-run -d 'register, sample: show what would be done'
complete -c freshet -n '__fish_seen_subcommand_from schema' -l as -x -d 'export: avro, contract, jsonschema, odcs, sql:postgres, sql:mysql, sql:mariadb, sql:sqlite, sql:clickhouse, sql:duckdb'
complete -c freshet -n '__fish_seen_subcommand_from schema' -l output -s o -rF -d 'export: into a file'
complete -c freshet -n '__fish_seen_subcommand_from schema' -l count -s n -x -d 'sample: so many events; 10'
complete -c freshet -n '__fish_seen_subcommand_from schema' -l seed -x -d 'sample: another seed makes other events; 1'
complete -c freshet -n '__fish_seen_subcommand_from schema' -l to -x -d 'sample: onto a topic that no source of the configuration writes'
complete -c freshet -n '__fish_seen_subcommand_from schema' -l edge -d 'sample: smallest, largest, empty and odd values'
complete -c freshet -n '__fish_seen_subcommand_from schema' -l allow-exec -d 'let ${exec:command} in the configuration run commands'
complete -c freshet -n __fish_use_subcommand -a demo -d 'a pipeline with nothing installed: changes of a SQLite file become events here'
complete -c freshet -n '__fish_seen_subcommand_from demo' -l seconds -x -d 'how long it lasts; 12'
complete -c freshet -n '__fish_seen_subcommand_from demo' -l keep -d 'leave its folder, with the configuration and the log'
complete -c freshet -n __fish_use_subcommand -a config -d 'the merged configuration, its JSON Schema, the meaning of a key'
complete -c freshet -n '__fish_seen_subcommand_from config' -a show
complete -c freshet -n '__fish_seen_subcommand_from config' -a schema
complete -c freshet -n '__fish_seen_subcommand_from config' -a explain
complete -c freshet -n __fish_use_subcommand -a doctor -d 'would run work here: files, cache, ports, libraries, connectors, clock, limits'
complete -c freshet -n '__fish_seen_subcommand_from doctor' -l check -x -d 'only checks whose code begins with NAME'
complete -c freshet -n __fish_use_subcommand -a connectors -d 'the connectors compiled in, and their keys'
complete -c freshet -n '__fish_seen_subcommand_from connectors' -a list
complete -c freshet -n __fish_use_subcommand -a version -d 'version, connectors and libraries'
complete -c freshet -n __fish_use_subcommand -a completion -d 'completions for a shell'
complete -c freshet -n '__fish_seen_subcommand_from completion' -a bash
complete -c freshet -n '__fish_seen_subcommand_from completion' -a zsh
complete -c freshet -n '__fish_seen_subcommand_from completion' -a fish
complete -c freshet -n __fish_use_subcommand -a help -d 'help for a verb'
complete -c freshet -l config -s c -rF -d 'configuration file'
complete -c freshet -l url -x -d 'the running daemon: http://host:port or unix:/path'
complete -c freshet -l json -d 'one JSON document instead of text'
complete -c freshet -l quiet -s q -d 'no text but errors'
complete -c freshet -l verbose -s v -d 'more of it: also what is fine'
complete -c freshet -l color -x -d 'auto, always, never'
complete -c freshet -l no-input -d 'never ask'
complete -c freshet -l yes -s y -d 'answer yes'
complete -c freshet -l strict -d 'warnings of the configuration are errors'
complete -c freshet -l help -s h -d 'help for the verb'
complete -c freshet -l version -d 'version'
