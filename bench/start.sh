#!/bin/bash
# Part of run.sh: size and start-up.

start_goal_ms=20

measure_start() {
    settle "$shm"
    printf '\n## size\n'
    echo "stretcher: $(megabytes "$program"), stripped"
    [ -z "$peer" ] || echo "peer: $(megabytes "$peer")"
    printf '\n## start-up (200 runs)\n'
    echo 'commands: {pre: ["true"]}' >"$place/true.yml"
    start_of stretcher "$program"
    [ -z "$peer" ] || start_of peer "$peer"
    echo "stretcher: whole run of one \`true\`  $(hyper "$program file://$place/true.yml") ms (hyperfine)"
}

megabytes() { stat -c %s "$1" | awk '{ printf "%.1f MB", $1 / 1e6 }'; }

# start_of NAME PROGRAM: 220 starts, of which the first 20 do not count.
start_of() {
    local ms whole
    for _ in $(seq 220); do "$bench" first "$2" "$place" 2>/dev/null; done | tail -n 200 >"$place/first"
    ms=$("$bench" median <"$place/first")
    echo "$1: start to first command   $ms ms (goal $start_goal_ms: $(verdict "$ms" $start_goal_ms))"
    whole=$(hyper "$2 -version") # a peer may not have it
    [ -z "$whole" ] || echo "$1: -version                 $whole ms (hyperfine)"
}

verdict() { awk -v v="$1" -v goal="$2" 'BEGIN { print (v <= goal) ? "met" : "MISSED" }'; }

# hyper COMMAND: its median in milliseconds; nothing when it fails.
hyper() {
    hyperfine -N --warmup 20 --runs 200 --export-json "$place/hyper.json" "$1" >"$place/hyper.log" 2>&1 || return 0
    awk -F '[:,]' '/"median"/ { printf "%.2f", $2 * 1000 }' "$place/hyper.json"
}
