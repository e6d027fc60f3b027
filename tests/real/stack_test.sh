#!/bin/bash
# The test stack itself: servers answer, come back on the same port with the same data, stand beside
# another stack, and leave nothing behind, whoever ends and whoever runs it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
stack=$here/../stack/stack
unset FRESHET_STACK FRESHET_STACK_LOGS
work=$(mktemp -d)
chmod 755 "$work"
cleanup() {
    local d
    for d in "$work"/*/; do "$stack" down --dir "$d" >/dev/null 2>&1; done
    rm -rf "$work"
}
trap cleanup EXIT

check() { # NAME COMMAND...
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then
        echo "ok stack.$name"
    else
        echo "not ok stack.$name: $(printf %s "$out" | tail -n 3 | tr '\n' ' ')"
    fi
}

within() { # SECONDS COMMAND...: until it succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

gone() { # PID...
    local p
    for p in "$@"; do [ ! -d "/proc/$p" ] || return 1; done
}

answers() { # after eval of a stack's env
    [ "$(psql -XAtqd "$PG_DSN" -c "show wal_level")" = logical ] &&
        [ "$(psql -XAtqd "$PG_SCRAM_DSN" -c "select current_user")" = "$PG_SCRAM_USER" ] &&
        ! psql -XAtqd "${PG_SCRAM_DSN/:$PG_SCRAM_PASSWORD@/:wrong@}" -c "select 1" 2>/dev/null &&
        kcat -b "$KAFKA_BOOTSTRAP" -L -m 10 | grep -q "1 brokers" &&
        curl -fsS "$REGISTRY_URL/config" | grep -q BACKWARD
}

tree() { # PID: it and all below it
    echo "$1"
    local c
    for c in $(ps -o pid= --ppid "$1"); do tree "$c"; done
}

again() { # NAME VERB...: end it, see it ended, start it, same port
    local name=$1 port before
    shift
    port=$("$stack" status | awk -v n="$name" '$1 == n { print $4 }')
    before=$("$stack" pid "$name") || return 1
    "$stack" "$1" "$name" "${@:2}" && gone "$before" && ! "$stack" pid "$name" 2>/dev/null &&
        "$stack" start "$name" >/dev/null &&
        [ "$("$stack" status | awk -v n="$name" '$1 == n { print $4 }')" = "$port" ]
}

data() { # put|get: a mark in each server
    case $1 in
    put)
        psql -XAtqd "$PG_DSN" -c "create table mark as select 7 as n" &&
            "$stack" env >/dev/null &&
            curl -fsS -o /dev/null -H 'Content-Type: application/json' -d '{"schema":"\"string\""}' \
                "$REGISTRY_URL/subjects/mark-value/versions" &&
            topic create
        ;;
    get)
        [ "$(psql -XAtqd "$PG_DSN" -c "select n from mark")" = 7 ] &&
            curl -fsS "$REGISTRY_URL/subjects" | grep -q mark-value &&
            [ "$(kcat -b "$KAFKA_BOOTSTRAP" -C -t mark -e -q -o beginning -m 20)" = seven ]
        ;;
    esac
}

topic() {
    "$FRESHET_PYTHON" - "$KAFKA_BOOTSTRAP" <<'P'
import sys
from confluent_kafka.admin import AdminClient, NewTopic
admin = AdminClient({"bootstrap.servers": sys.argv[1]})
admin.create_topics([NewTopic("mark", 1, 1)])["mark"].result(20)
P
    echo seven | kcat -b "$KAFKA_BOOTSTRAP" -P -t mark -m 20
}

frozen() {
    "$stack" freeze pg && ! timeout 1 psql -XAtqd "$PG_DSN" -c "select 1" 2>/dev/null &&
        "$stack" cont pg && [ "$(timeout 20 psql -XAtqd "$PG_DSN" -c "select 1")" = 1 ]
}

beside() { # a second stack beside the first, with other ports
    (
        port=$PG_PORT
        out=$("$stack" up --dir "$work/two" pg) || exit 1
        eval "$out"
        [ "$PG_PORT" != "$port" ] && [ "$(psql -XAtqd "$PG_DSN" -c "select 1")" = 1 ] &&
            "$stack" down && [ ! -e "$work/two" ]
    ) && answers
}

supervisor() { # of the stack in $FRESHET_STACK: the parent of a server
    ps -o ppid= -p "$("$stack" pid pg)" | tr -d ' '
}

end_by() { # SIGNAL: nothing is left of a stack whose supervisor gets it
    local out pids
    out=$("$stack" up --dir "$work/end$1" pg kafka) || return 1
    (
        eval "$out"
        boss=$(supervisor)
        pids=$(tree "$boss")
        [ "$(echo "$pids" | wc -l)" -ge 4 ] || exit 1
        kill "-$1" "$boss"
        # shellcheck disable=SC2086
        within 20 gone $pids || exit 1
        [ "$1" = KILL ] || [ ! -e "$work/end$1" ]
    )
}

interrupted() { # SIGNAL while the servers start: nothing is left
    local up boss pids
    "$stack" up --dir "$work/cut" pg kafka registry >/dev/null 2>&1 &
    up=$!
    within 20 test -e "$work/cut/kafka/broker.properties" || return 1
    boss=$(ps -o pid= --ppid $up | tr -d ' ')
    pids=$(tree "$boss")
    kill "-$1" $up
    # shellcheck disable=SC2086
    within 20 gone $up $pids && [ ! -e "$work/cut" ]
}

owner_ends() {
    local out pids owner
    sleep 600 &
    owner=$!
    out=$("$stack" up --dir "$work/owned" --owner $owner pg) || return 1
    (
        eval "$out"
        pids=$(tree "$(supervisor)")
        kill $owner
        # shellcheck disable=SC2086
        within 20 gone $pids
    )
}

run_ends() { # how "run" ends: the command's exit code, and nothing left when it is killed itself
    "$stack" run --dir "$work/r1" pg -- sh -c 'exit 7'
    [ $? = 7 ] && [ ! -e "$work/r1" ] || return 1
    # shellcheck disable=SC2016
    "$stack" run --dir "$work/r2" pg -- sh -c 'echo $$ >"$0/command"; echo up >"$0/port"; exec sleep 600' "$work" &
    local runner=$! pids command
    within 60 test -s "$work/port" || return 1
    pids=$(FRESHET_STACK=$work/r2 && export FRESHET_STACK && tree "$(supervisor)")
    command=$(cat "$work/command")
    kill -"$1" $runner
    # shellcheck disable=SC2086
    within 20 gone $pids "$command" && rm -f "$work/port" "$work/command"
}

not_root() { # the same as user nobody, with a copy of the stack's files and the cache
    local home=$work/nobody cache=${FRESHET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/freshet} c
    mkdir -p "$home/cache" "$home/tests"
    cp -r "$here/../stack" "$home/tests/stack"
    for c in "$cache"/kafka-[0-9]* "$cache"/apicurio-* "$cache"/archives-*; do
        cp -al "$c" "$home/cache/" 2>/dev/null || cp -a "$c" "$home/cache/"
    done
    chown nobody "$home" "$home/cache"
    env -i PATH="/usr/bin:/bin" HOME="$home" TMPDIR="$home" FRESHET_CACHE="$home/cache" setpriv --reuid nobody \
        --regid nogroup --clear-groups "$home/tests/stack/stack" run pg kafka registry -- sh -euc '
            [ "$(id -un)" = nobody ]
            [ "$(psql -XAtqd "$PG_DSN" -c "show wal_level")" = logical ]
            kcat -b "$KAFKA_BOOTSTRAP" -L -m 10 | grep -q "1 brokers"
            curl -fsS "$REGISTRY_URL/config" | grep -q BACKWARD'
}

if out=$("$stack" up --dir "$work/one" pg kafka registry 2>&1); then
    eval "$out"
    check up answers
    check mark data put
    for name in pg kafka registry; do
        check "kill.$name" again $name kill -9
        check "stop.$name" again $name stop
    done
    check data_after_restarts data get
    check freeze frozen
    check side_by_side beside
    check down sh -c '"$1" down && [ ! -e "$2" ]' sh "$stack" "$work/one"
    unset FRESHET_STACK
    check end_by_term end_by TERM
    check end_by_int end_by INT
    check end_by_kill end_by KILL
    check up_cut_by_term interrupted TERM
    check up_cut_by_kill interrupted KILL
    check owner_ends owner_ends
    check run_by_term run_ends TERM
    check run_by_kill run_ends KILL
    if [ "$(id -u)" = 0 ]; then
        check not_root not_root
    else
        echo "skip stack.not_root: runs as a plain user already"
    fi
else
    echo "not ok stack.up: $(printf %s "$out" | tail -n 3 | tr '\n' ' ')"
fi
