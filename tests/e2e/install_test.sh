#!/bin/bash
# What is installed from the build at hand works from where it was put, and says the truth about itself.
set -u
cd "$(dirname "$0")/../.." || exit
build=$(dirname "${FRESHET:-build/dev/freshet}")
to=$(mktemp -d)
trap 'rm -rf "$to"' EXIT
rc=0
case_() { # NAME COMMAND...
    if "${@:2}" >"$to/out" 2>&1; then
        echo "ok install.$1"
    else
        sed 's/^/    /' "$to/out"
        echo "not ok install.$1: exit code $?, see above"
        rc=1
    fi
}

files_are_there() {
    local f missing=0
    for f in bin/freshet share/man/man1/freshet.1 share/man/man1/freshet-run.1 share/man/man5/freshet.yaml.5 \
        share/bash-completion/completions/freshet share/zsh/vendor-completions/_freshet \
        share/fish/vendor_completions.d/freshet.fish share/freshet/freshet.schema.json \
        share/freshet/schemas/checkpoint.schema.json share/freshet/schemas/control.schema.json share/doc/freshet/examples/freshet.yaml \
        share/doc/freshet/LICENSE lib/systemd/system/freshet.service lib/sysusers.d/freshet.conf; do
        [ -s "$to/usr/$f" ] || { echo "$f is missing or empty"; missing=1; }
    done
    return $missing
}

version() {
    "$to/usr/bin/freshet" version | tee /dev/stderr | grep -q "^freshet $(sed -n 's/^project(freshet VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)$"
}

# The configuration that README.md shows, by a user who copies it; and the same with a mistake in it.
readme_example() {
    awk '/^```yaml/ { on = 1; next } /^```/ { on = 0 } on' README.md >"$to/freshet.yaml"
    [ "$(wc -l <"$to/freshet.yaml")" -gt 10 ] || { echo "README.md shows no configuration"; return 1; }
    sed -i "s,/run/secrets/\(erp\|warehouse\),$to/secret," "$to/freshet.yaml"
    (umask 077 && echo secret >"$to/secret")
    "$to/usr/bin/freshet" validate "$to/freshet.yaml" || return
    sed 's/^sources:/source:/' "$to/freshet.yaml" >"$to/wrong.yaml"
    "$to/usr/bin/freshet" validate "$to/wrong.yaml"
    [ $? = 2 ] || { echo "a mistake was not refused"; return 1; }
}

shipped_example() {
    ERP_PASSWORD=x CREDENTIALS_DIRECTORY=$to "$to/usr/bin/freshet" validate "$to/usr/share/doc/freshet/examples/freshet.yaml"
}

examples_of_docs() {
    for f in examples/migrating/*.yaml; do
        CREDENTIALS_DIRECTORY=$to "$to/usr/bin/freshet" validate --strict "$f" || return
        sed 's/tls=verify/tls=verify-full/; s/sslmode=/sslmod=/' "$f" >"$to/wrong.yaml"
        "$to/usr/bin/freshet" validate "$to/wrong.yaml" && { echo "a dsn that nobody can read was not refused"; return 1; }
    done
    return 0
}

schema_is_the_programs() {
    "$to/usr/bin/freshet" config schema | cmp - "$to/usr/share/freshet/freshet.schema.json"
}

completions_parse() {
    bash -n "$to/usr/share/bash-completion/completions/freshet" || return
    # Zsh's quoting is that of sh as far as we use it: an apostrophe left open shows.
    sed 's/^    local -a verbs//; s/^    verbs=(/    verbs=(/' "$to/usr/share/zsh/vendor-completions/_freshet" | bash -n
}

unit() {
    local file=$to/usr/lib/systemd/system/freshet.service
    grep -q "^ExecStart=$to/usr/bin/freshet run$" "$file" || { echo "ExecStart names another program"; return 1; }
    command -v systemd-analyze >/dev/null || return 0
    # Other units of this machine may complain: only ours count. Its user may not exist here.
    systemd-analyze verify --man=no "$file" 2>&1 | grep -F freshet.service | grep -v 'Unit freshet.service not found' >"$to/verify"
    cat "$to/verify"
    ! [ -s "$to/verify" ]
}

case_ install cmake --install "$build" --prefix "$to/usr"
case_ files files_are_there
case_ version version
case_ readme_example readme_example
case_ shipped_example shipped_example
case_ examples_of_docs examples_of_docs
case_ schema schema_is_the_programs
case_ completions completions_parse
case_ unit unit
exit $rc
