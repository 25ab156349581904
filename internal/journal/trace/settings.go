package trace

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"stretcher/internal/disk"
)

// The variables that are read here. The SDK reads others.
const (
	disabled  = "OTEL_SDK_DISABLED"
	exporters = "OTEL_TRACES_EXPORTER"
	parent    = "TRACEPARENT"
	sampler   = "OTEL_TRACES_SAMPLER"
	share     = "OTEL_TRACES_SAMPLER_ARG"
	state     = "TRACESTATE"
)

// settings are what the environment says of the collector. The exporter of the SDK
// would open the files of certificates by itself, and follow INSECURE from https:// to
// http://; it is given all by options, and nothing to read.
type settings struct {
	to      *url.URL    // without user and password
	headers http.Header // what lets somebody in, and others
	zipped  bool
	limit   time.Duration // of an export, all attempts together
	tls     *tls.Config   // nil = as the system has it
	odd     []string      // what is not as it should be, and passed over
}

// variables is os.Getenv, or what a test has in its place.
type variables func(string) string

// setting is one that has two variables, of which that for traces wins.
func (e variables) setting(name string) (value, variable string) {
	for _, variable = range []string{"OTEL_EXPORTER_OTLP_TRACES_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value = strings.TrimSpace(e(variable)); value != "" {
			return value, variable
		}
	}
	return "", variable
}

// exporters are those that are asked for. Words of OpenTelemetry have no case.
func (e variables) exporters() (names []string) {
	for name := range strings.SplitSeq(strings.ToLower(e(exporters)), ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// IsOn tells whether runs are traced.
func IsOn(getenv func(string) string) bool {
	e := variables(getenv)
	names := e.exporters()
	endpoint, _ := e.setting("ENDPOINT")
	none := len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool { return name != "none" })
	off := none || strings.EqualFold(strings.TrimSpace(e(disabled)), "true")
	return !off && (len(names) > 0 || endpoint != "")
}

// settings reads all of it. What can't be followed is an error; what can be left out is
// passed over, and told of.
func (e variables) settings() (s settings, err error) {
	for _, read := range []func(*settings) error{
		e.whether, e.howMany, e.where, e.whoAsks, e.howPacked, e.howLong, e.whomToTrust,
	} {
		if err := read(&s); err != nil {
			return s, err
		}
	}
	return s, nil
}

// whether judges what turns traces on.
func (e variables) whether(s *settings) error {
	names := e.exporters()
	known := slices.Contains(names, "otlp")
	switch others := slices.ContainsFunc(names, func(name string) bool { return name != "otlp" }); {
	case !others:
	case !known, slices.Contains(names, "none"):
		return fmt.Errorf("%s is %q: only otlp is known here, and none", exporters, strings.TrimSpace(e(exporters)))
	default:
		s.pass("%s is %q: only otlp is known here", exporters, strings.TrimSpace(e(exporters)))
	}
	if value := strings.TrimSpace(e(disabled)); value != "" && !strings.EqualFold(value, "false") {
		s.pass("%s is %q: only true turns traces off", disabled, value)
	}
	value, variable := e.setting("PROTOCOL")
	if value != "" && !strings.EqualFold(value, "http/protobuf") {
		return fmt.Errorf("%s is %q: only http/protobuf is known here", variable, value)
	}
	return nil
}

// howMany judges what tells which runs are traced. The SDK reads it, and names no
// variable.
func (e variables) howMany(*settings) error {
	name := strings.ToLower(strings.TrimSpace(e(sampler)))
	switch name {
	case "", "always_on", "always_off", "parentbased_always_on", "parentbased_always_off":
		return nil
	case "traceidratio", "parentbased_traceidratio":
	default:
		return fmt.Errorf("%s is %q, a sampler that is not known", sampler, name)
	}
	text := strings.TrimSpace(e(share))
	if n, err := strconv.ParseFloat(text, 64); text != "" && (err != nil || !(n >= 0 && n <= 1)) { // nor NaN
		return fmt.Errorf("%s is %q: it must be a number from 0 to 1", share, text)
	}
	return nil
}

// pass notes what is passed over.
func (s *settings) pass(format string, args ...any) {
	s.odd = append(s.odd, fmt.Sprintf(format, args...))
}

// where reads the URL of the collector. That for traces is taken as it is; the general
// one has a path added.
func (e variables) where(s *settings) error {
	text, variable := e.setting("ENDPOINT")
	if text == "" {
		text = "http://localhost:4318"
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("%s is no http:// or https:// URL", variable) // which may hold a password
	}
	if u.Path == "" {
		u.Path = "/"
	}
	if variable != "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" {
		u = u.JoinPath("v1", "traces")
	}
	s.headers = http.Header{}
	if user := u.User; user != nil {
		password, _ := user.Password()
		of := http.Request{Header: s.headers}
		of.SetBasicAuth(user.Username(), password)
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	s.to = u
	return nil
}

// whoAsks reads the headers. It repeats nothing of what is wrong: it may be a password.
func (e variables) whoAsks(s *settings) error {
	text, variable := e.setting("HEADERS")
	for pair := range pairs(text) {
		name, value, ok := header(pair)
		if !ok {
			return fmt.Errorf("%s is no list of NAME=VALUE", variable)
		}
		s.headers.Set(name, value)
	}
	return nil
}

// howPacked reads whether spans are compressed.
func (e variables) howPacked(s *settings) error {
	switch value, variable := e.setting("COMPRESSION"); strings.ToLower(value) {
	case "", "none":
	case "gzip":
		s.zipped = true
	default:
		s.pass("%s is %q: only gzip is known here, and none", variable, value)
	}
	return nil
}

// Export times, in all.
const (
	defaultLimit = 10 * time.Second // that of OpenTelemetry
	maxLimit     = time.Minute
)

// howLong reads how long an export may take, all attempts together.
func (e variables) howLong(s *settings) error {
	s.limit = defaultLimit
	text, variable := e.setting("TIMEOUT")
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case n <= 0 || err != nil && !errors.Is(err, strconv.ErrRange):
		s.pass("%s is %q: it must be a number of milliseconds above 0", variable, text)
	case n > maxLimit.Milliseconds():
		s.limit = maxLimit
	default:
		s.limit = time.Duration(n) * time.Millisecond
	}
	return nil
}

// whomToTrust reads who must have signed the collector's certificate, and what it is
// shown.
func (e variables) whomToTrust(s *settings) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	roots, variable, err := e.file("CERTIFICATE")
	if err != nil {
		return err
	}
	if roots != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(roots) {
			return fmt.Errorf("%s: there is no certificate in the file", variable)
		}
	}
	shown, variable, err := e.file("CLIENT_CERTIFICATE")
	if err != nil {
		return err
	}
	key, keyVariable, err := e.file("CLIENT_KEY")
	switch {
	case err != nil:
		return err
	case (shown == nil) != (key == nil):
		return fmt.Errorf("of %s and %s there is only one", variable, keyVariable)
	case shown != nil:
		pair, err := tls.X509KeyPair(shown, key)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", variable, keyVariable, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	switch given := roots != nil || shown != nil; {
	case given && s.to.Scheme != "https":
		return errors.New("there are files for https://, and the URL of the collector is http://")
	case given:
		s.tls = config
	}
	return nil
}

// maxFile bounds the file of a certificate or key, in bytes.
const maxFile = 1 << 20

// file reads the file that a setting names; nil = it names none. Nothing is waited for,
// as a FIFO's writer would be, and nothing is read without end.
func (e variables) file(setting string) (text []byte, variable string, err error) {
	name, variable := e.setting(setting)
	if name == "" {
		return nil, variable, nil
	}
	f, err := disk.OpenRegular(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, variable, fmt.Errorf("%s: %w", variable, err)
	}
	defer f.Close()
	text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, variable, fmt.Errorf("%s: %w", variable, err)
	case len(text) > maxFile:
		return nil, variable, fmt.Errorf("%s: %q has more than %d bytes", variable, name, maxFile)
	case len(text) == 0:
		return nil, variable, fmt.Errorf("%s: %q is empty", variable, name)
	}
	return text, variable, nil
}
