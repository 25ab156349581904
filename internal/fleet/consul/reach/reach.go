// Package reach makes clients of Consul, as the variables say by which Consul's own
// programs are told where it is, and who asks.
//
// Its words are those of Consul. It imports the packages below text.
package reach

import (
	"fmt"
	"net/http"
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
	for _, name := range []string{api.HTTPSSLEnvName, api.HTTPSSLVerifyEnvName} {
		if text := os.Getenv(name); text != "" {
			if _, err := strconv.ParseBool(text); err != nil {
				return nil, failure.Malformed("%s=%q is neither true nor false", name, text)
			}
		}
	}
	conf := api.DefaultConfigWithLogger(hclog.NewNullLogger())
	if config.Address != "" {
		conf.Address = config.Address
	}
	if strings.Contains(conf.Address, "@") && !strings.HasPrefix(conf.Address, "unix://") { // errors would tell it
		return nil, failure.Malformed("CONSUL_HTTP_ADDR names a user; CONSUL_HTTP_AUTH=USER:PASSWORD does that")
	}
	if config.Token != "" {
		conf.Token, conf.TokenFile = config.Token, ""
	}
	conf.Transport.HTTP2 = pings()
	plain, err := api.NewHttpClient(conf.Transport, conf.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("prepare to reach consul: %w", err)
	}
	if config.Wrap != nil {
		plain.Transport = config.Wrap(plain.Transport)
	}
	plain.Transport, plain.CheckRedirect = discreet{plain.Transport}, stay
	conf.HttpClient = plain
	client, err := api.NewClient(conf)
	if err != nil {
		return nil, fmt.Errorf("prepare to reach consul: %w", err)
	}
	return client, nil
}

// pings find a connection that is dead, and of which nobody says so: by HTTP/2 all
// requests go over one, again and again.
func pings() *http.HTTP2Config {
	return &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second}
}
