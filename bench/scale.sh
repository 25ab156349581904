#!/bin/bash
# Part of run.sh: what deploys cost by the file and by the MB. Uses the
# functions of deploys.sh.

measure_scale() {
    settle "$shm"
    local n all scale_runs=$(((runs + 1) / 2))
    printf '\n## scale: on %s, %s runs each\n' "$(stat -f -c %T "$place")" "$scale_runs"
    mapfile -t all < <(strategies 2>"$work/skipped")
    cat "$work/skipped"
    printf '%7s %8s  %-9s %-8s %7s %9s %8s %7s %8s %7s\n' files MB strategy case 'time s' us/file ms/MB 'CPU s' 'peak MB' 'own MB'
    for n in ${FILES:-1000 10000 100000}; do
        scale_tree "$n" "$scale_runs" "$n" 4096 4 1048576
    done
    # Next to no files, and large ones: the cost of a MB.
    scale_tree big "$scale_runs" 0 0 40 10000000
}

# scale_tree NAME RUNS FILES SIZE BIG BIGSIZE
scale_tree() {
    local tree=$1 times=$2 who
    shift 2
    "$bench" make "$work/$tree" "$@"
    pack "$tree"
    offer "$tree" "${all[@]}"
    rm -f "$work/results"
    for _ in $(seq "$times"); do
        for who in "${all[@]}"; do round "$who" "$work/results"; done
    done
    # shellcheck disable=SC2046 # two numbers
    "$bench" scale "$work/results" $(find "$work/$tree" -type f -printf '%s\n' | awk '{ n++; s += $1 } END { printf "%d %.0f", n, s }')
    rm -rf "${work:?}/$tree" "$work/$tree".*
}
