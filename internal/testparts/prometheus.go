package testparts

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"
)

// NodeExporter starts a node_exporter that collects from the files in dir alone,
// and gives its address.
func NodeExporter(t testing.TB, dir string) (addr string) {
	t.Helper()
	addr = hostPort(FreePort(t))
	p := start(t, nil, Need(t, "prometheus-node-exporter"), "--web.listen-address="+addr,
		"--collector.disable-defaults", "--collector.textfile", "--collector.textfile.directory="+dir)
	p.ready(t, func() bool { return answers(addr) })
	return addr
}

// PrometheusServer is a running Prometheus.
type PrometheusServer struct{ URL string }

// Prometheus starts a Prometheus with a configuration file.
func Prometheus(t testing.TB, config string) PrometheusServer {
	t.Helper()
	addr := hostPort(FreePort(t))
	p := start(t, nil, Need(t, "prometheus"), "--config.file="+config, "--web.listen-address="+addr,
		"--storage.tsdb.path="+filepath.Join(t.TempDir(), "data"), "--log.level=warn")
	p.ready(t, func() bool { return answers(addr) })
	return PrometheusServer{"http://" + addr}
}

// Sample is one of what a query gives.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query gives what an expression is now. An expression that is none fails the test.
func (p PrometheusServer) Query(t testing.TB, expr string) (all []Sample) {
	t.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	p.Get(t, "/api/v1/query?query="+url.QueryEscape(expr), &data)
	for _, r := range data.Result {
		value, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		all = append(all, Sample{r.Metric, value})
	}
	return all
}

// Get reads the data of an answer of the server's API.
func (p PrometheusServer) Get(t testing.TB, path string, data any) {
	t.Helper()
	client := httpClient()
	defer client.CloseIdleConnections()
	resp, err := client.Get(p.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusServiceUnavailable { // it reads its data
		return
	}
	answer := struct {
		Data  any
		Error string
	}{Data: data}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Error != "" {
		t.Fatalf("%s: %v, %s", path, err, body)
	}
}
