// Package reach makes clients of Consul, as the variables say by which Consul's own
// programs are told where it is, and who asks.
//
// Its words are those of Consul. The files that variables name are opened here, and
// bounded. It imports disk and the packages below text.
package reach

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-hclog"

	"stretcher/internal/text/failure"
)

// Config says how Consul is reached, besides what the variables CONSUL_HTTP_*,
// CONSUL_CACERT and so on say.
type Config struct {
	Address string                                    // "" = as the environment says
	Token   string                                    // "" = as the environment says
	Wrap    func(http.RoundTripper) http.RoundTripper // sees the requests; nil = nobody does
}

// Secrets tells mask which values of the variables nobody is to read in a log. Commands
// of a deployment get the variables, as all others, and may print them.
func Secrets(value func(name string) string, mask func(name, value string)) {
	mask(api.HTTPTokenEnvName, value(api.HTTPTokenEnvName))
	if _, password, ok := strings.Cut(value(api.HTTPAuthEnvName), ":"); ok {
		mask(api.HTTPAuthEnvName, password)
	}
}

// Client makes a client. It asks nobody anything yet.
func Client(config Config) (*api.Client, error) {
	conf := api.DefaultConfigWithLogger(hclog.NewNullLogger())
	if config.Address != "" {
		conf.Address = config.Address
	}
	if config.Token != "" {
		conf.Token, conf.TokenFile = config.Token, ""
	}
	client, err := prepare(conf, config.Wrap)
	if err != nil {
		return nil, fmt.Errorf("prepare to reach consul: %w", err)
	}
	return client, nil
}

// prepare makes a client of what the variables say.
func prepare(conf *api.Config, wrap func(http.RoundTripper) http.RoundTripper) (*api.Client, error) {
	if err := judge(conf); err != nil {
		return nil, err
	}
	token, err := tokenOf(conf)
	if err == nil {
		err = readTLS(&conf.TLSConfig)
	}
	if err != nil {
		return nil, err
	}
	if conf.Token = token; conf.TokenFile != "" {
		conf.TokenFile = libraryReads
	}
	dialAt(conf)
	plain, err := api.NewHttpClient(conf.Transport, conf.TLSConfig)
	if err != nil {
		return nil, err
	}
	if wrap != nil {
		plain.Transport = wrap(plain.Transport)
	}
	plain.Transport, plain.CheckRedirect = discreet{plain.Transport}, stay
	conf.HttpClient = plain
	return api.NewClient(conf)
}

// judge tells what is wrong with the variables: the library takes no notice of it, or
// each request fails.
func judge(conf *api.Config) error {
	for _, name := range []string{api.HTTPSSLEnvName, api.HTTPSSLVerifyEnvName} {
		if text := os.Getenv(name); text != "" {
			if _, err := strconv.ParseBool(text); err != nil {
				return failure.Malformed("%s=%q is neither true nor false", name, text)
			}
		}
	}
	scheme, host, ok := strings.Cut(conf.Address, "://")
	if !ok {
		scheme, host = "http", conf.Address
	}
	switch {
	case scheme == "unix" && conf.Scheme == "https":
		return failure.Malformed("CONSUL_HTTP_ADDR names a socket, which has no TLS: CONSUL_HTTP_SSL is not for it")
	case scheme == "unix" && host != "":
		return nil
	case strings.Contains(host, "@"): // errors would tell it
		return failure.Malformed("CONSUL_HTTP_ADDR names a user; CONSUL_HTTP_AUTH=USER:PASSWORD does that")
	}
	u, err := url.Parse(scheme + "://" + host)
	if err != nil || u.Host == "" || scheme != "http" && scheme != "https" {
		return failure.Malformed("CONSUL_HTTP_ADDR=%q is no address: HOST:PORT is expected, or http://, https://, unix://",
			conf.Address)
	}
	return nil
}

// dialAt says how connections are made: they break when nothing answers any more. A
// socket is not left to the library, which would make a client of its own for it.
func dialAt(conf *api.Config) {
	dialer := &net.Dialer{
		Timeout:         10 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	conf.Transport.DialContext, conf.Transport.HTTP2 = dialer.DialContext, pings()
	if socket, ok := strings.CutPrefix(conf.Address, "unix://"); ok {
		conf.Address = "localhost"
		conf.Transport.Proxy = nil
		conf.Transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
}

// pings find a connection that is dead, and of which nobody says so: by HTTP/2 all
// requests go over one, again and again.
func pings() *http.HTTP2Config {
	return &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second}
}
