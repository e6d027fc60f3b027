# bash completion of freshet; made by scripts/docs.sh
_freshet()
{
    local word=${COMP_WORDS[COMP_CWORD]} verb= i
    case ${COMP_WORDS[COMP_CWORD-1]} in
    -c|--config|--out|--sql) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
    --from) COMPREPLY=($(compgen -W 'beginning end' -- "$word")); return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in -*) ;; *) verb=${COMP_WORDS[i]}; break ;; esac
    done
    case $verb in
    '') set -- 'run validate plan apply status tap position dlq snapshot pause resume stop restart ddl lineage verify test schema demo config doctor connectors version completion help' ;;
    run) set -- ' --allow-exec' ;;
    validate) set -- '' ;;
    plan) set -- ' --out --sql --allow-exec' ;;
    apply) set -- ' --plan-hash --source-objects --dry-run --allow-exec' ;;
    status) set -- '' ;;
    tap) set -- ' --limit --from --where --at' ;;
    position) set -- ' show set reset --from-slot --to --dry-run --source --sink' ;;
    dlq) set -- ' list show retry drop --source --sink --table --all --limit --settled --dry-run' ;;
    snapshot) set -- ' start cancel status --where --dry-run' ;;
    pause) set -- ' --why --source --sink --dry-run' ;;
    resume) set -- ' --anew --why --source --sink --dry-run' ;;
    stop) set -- ' --why --source --sink --dry-run' ;;
    restart) set -- ' --why --source --sink --dry-run' ;;
    ddl) set -- ' outbox triggers grants signal --table --contract --drop' ;;
    lineage) set -- ' --dot --mermaid --openlineage --dbt-sources --offline' ;;
    verify) set -- ' --sink --fast --full --settle --load --timeout --chunk --fix-sql --metrics' ;;
    test) set -- ' --junit' ;;
    schema) set -- ' show diff check register history export sample --at --offline --against --level --compatibility --dry-run --as --output --count --seed --to --edge --allow-exec' ;;
    demo) set -- ' --seconds --keep' ;;
    config) set -- ' show schema explain' ;;
    doctor) set -- ' --check' ;;
    connectors) set -- ' list' ;;
    version) set -- '' ;;
    completion) set -- ' bash zsh fish' ;;
    help) set -- 'run validate plan apply status tap position dlq snapshot pause resume stop restart ddl lineage verify test schema demo config doctor connectors version completion help' ;;
    *) set -- '' ;;
    esac
    COMPREPLY=($(compgen -W "$1 --config --url --json --quiet --verbose --color --no-input --yes --strict --help --version" -- "$word"))
    [[ $verb == validate && $word != -* ]] && COMPREPLY+=($(compgen -f -- "$word"))
}
complete -o filenames -F _freshet freshet
