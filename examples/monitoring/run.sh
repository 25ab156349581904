#!/bin/bash
# The rules are tested by series that promtool makes. Then a real Prometheus sees a real
# host, by a node_exporter that reads what each run leaves: an alert comes with a run that
# fails, and goes with the next good one.
. "$(dirname "$0")/../lib.sh"
need promtool prometheus curl
exporter=$(command -v prometheus-node-exporter || command -v node_exporter) || missing 'node_exporter is not installed'

title 'promtool takes what is here, and the rules do what their tests say'
(cd "$here" && promtool check config prometheus.yml && promtool test rules stretcher.rules.test.yml)

# The host's policy has each run write what Prometheus reads.
mkdir "$dir/collected" "$dir/published"
echo "metrics: $dir/collected/stretcher.prom" >"$dir/policy.yml"
# deploys VERSION COMMAND: a deployment whose post command is that.
deploys() {
    mkdir -p "$dir/build" && echo "version $1" >"$dir/build/index.html"
    "$stretcher" pack "$dir/build" --to "$dir/published/web-$1.yml" --name web --version "$1" --manifest - \
        >>"$dir/pack.log" 2>&1 <<END
dest: $dir/srv/web
sync_strategy: native
commands: {post: ["$2"]}
END
    "$stretcher" "$dir/published/web-$1.yml" >>"$dir/deploy.log" 2>&1
}
# expect_series TEXT: what is written has that in it, and promtool takes it.
expect_series() {
    promtool check metrics <"$dir/collected/stretcher.prom" || die 'promtool does not take what is written'
    holds "$1" "$dir/collected/stretcher.prom" || die "no $1 in what is written"
}
mkdir "$dir/srv"

title 'a good run'
deploys 1 true
expect_series "stretcher_deployed_info{dest=\"$dir/srv/web\",name=\"web\",version=\"1\"} 1"

title 'Prometheus sees the host'
cp "$here/stretcher.rules.yml" "$dir"
sed "s|30s|1s|; s|localhost:9100|$net.1:9100|" "$here/prometheus.yml" >"$dir/prometheus.yml"
serve exporter "$exporter" --web.listen-address="$net.1:9100" --collector.disable-defaults --collector.textfile \
    --collector.textfile.directory="$dir/collected"
serve prometheus prometheus --config.file="$dir/prometheus.yml" --web.listen-address="$net.1:9090" \
    --storage.tsdb.path="$dir/data" --log.level=warn
# sees QUERY: a series is what the query asks for. sees_none QUERY: none is.
ask() { curl -fsS --data-urlencode "query=$1" "http://$net.1:9090/api/v1/query" >"$dir/answer"; }
sees() { ask "$1" && holds '"metric":' "$dir/answer"; }
sees_none() { ask "$1" && holds '"result":[]' "$dir/answer"; }
wait_for sees 'stretcher_deployed_info{name="web",version="1"}'
sees_none 'ALERTS{alertstate="firing"}' || die "there are alerts: $(cat "$dir/answer")"

title 'a run fails: an alert'
expect 1 deploys 2 'exit 3'
expect_series "stretcher_last_run_result{dest=\"$dir/srv/web\",result=\"failed\"} 1"
wait_for sees 'ALERTS{alertname="StretcherRunFailed",alertstate="firing",name="web",version="2",step="post"}'
cat "$dir/answer"

title 'the next one is good: none'
deploys 3 true
wait_for sees 'stretcher_deployed_info{version="3"}'
wait_for sees_none 'ALERTS{alertstate="firing"}'

title 'nobody looks any more, and what is known grows old: an alert'
sed -i 's/^\(stretcher_metrics_timestamp_seconds.*\) .*/\1 1/' "$dir/collected/stretcher.prom"
wait_for sees 'ALERTS{alertname="StretcherMetricsOld",alertstate="firing"}'
