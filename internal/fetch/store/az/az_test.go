package az

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
	"stretcher/internal/testparts"
)

// alone takes every source of credentials away, save what env gives.
func alone(t *testing.T, env ...string) {
	t.Helper()
	for _, name := range []string{"CONNECTION_STRING", "ACCOUNT", "KEY", "SAS_TOKEN", "SERVICE_ENDPOINT"} {
		t.Setenv("AZURE_STORAGE_"+name, "")
	}
	for _, name := range []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET",
		"AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"} {
		t.Setenv(name, "")
		os.Unsetenv(name) // an empty one counts as one
	}
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential") // no metadata server, no az
	testparts.Setenv(t, env)
}

// TestCredentials: the variables of the az command, each by itself.
func TestCredentials(t *testing.T) {
	srv := testparts.Azure(t)
	srv.Put(t, "container", "dir/key", []byte("x"))
	account, at := "AZURE_STORAGE_ACCOUNT="+srv.Account, "AZURE_STORAGE_SERVICE_ENDPOINT="+srv.Endpoint
	token := srv.SAS(t, sas.AccountPermissions{Read: true})
	others := "AZURE_STORAGE_CONNECTION_STRING=AccountName=account1;AccountKey=U0VLUklU"
	for name, c := range map[string]struct {
		env  []string
		want string // part of the error; "" = it is read
	}{
		"a connection string":    {srv.Env(), ""},
		"with a signature":       {[]string{connection(srv, "SharedAccessSignature="+token)}, ""},
		"a key":                  {[]string{account, at, "AZURE_STORAGE_KEY=" + srv.Key}, ""},
		"a signature":            {[]string{account, at, "AZURE_STORAGE_SAS_TOKEN=" + token}, ""},
		"with its question mark": {[]string{account, at + "/", "AZURE_STORAGE_SAS_TOKEN=?" + token}, ""},
		"beside one of another":  {[]string{others, account, at, "AZURE_STORAGE_KEY=" + srv.Key}, ""},
		"none":                   {nil, "no Azure credentials"},
		"of another account":     {[]string{others}, "no Azure credentials"},
		"a key of another account": {[]string{"AZURE_STORAGE_ACCOUNT=account1", at, "AZURE_STORAGE_KEY=" + srv.Key},
			"no Azure credentials"},
		"a signature of no account": {[]string{at, "AZURE_STORAGE_SAS_TOKEN=" + token}, "no Azure credentials"},
		"a wrong key":               {[]string{account, at, "AZURE_STORAGE_KEY=U0VLUklU"}, "403 "},
		"a key that is none":        {[]string{account, at, "AZURE_STORAGE_KEY=SEKRIT!"}, "not in base64"},
		"a signature that is none":  {[]string{account, at, "AZURE_STORAGE_SAS_TOKEN=sv=2024-11-04&sig=SEKRIT"}, "403 "},
		"no connection string":      {[]string{"AZURE_STORAGE_CONNECTION_STRING=SEKRIT"}, "not NAME=VALUE"},
		"one without anything":      {[]string{connection(srv, "X=SEKRIT")}, "neither AccountKey nor"},
		"an endpoint that is no URL": {[]string{account, "AZURE_STORAGE_SERVICE_ENDPOINT=SEKRIT", "AZURE_STORAGE_KEY=eA=="},
			"endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, c.env...)
			set := newSet()
			defer set.Close()
			obj, err := set.Open(t.Context(), "az://"+srv.Account+"/container//dir/key", store.Position{})
			if err == nil {
				obj.Body.Close()
			}
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) ||
				store.Retryable(err) || !errors.Is(err, store.ErrDenied) && !strings.Contains(c.want, "endpoint")) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error()+store.Hint(err), "SEKRIT") || strings.Contains(err.Error(), "U0VL") ||
				strings.Contains(err.Error(), "\n")) {
				t.Errorf("it tells a secret, or in lines: %v", err)
			}
		})
	}
}

func connection(srv testparts.AzureServer, with string) string {
	return "AZURE_STORAGE_CONNECTION_STRING=AccountName=" + srv.Account + ";BlobEndpoint=" + srv.Endpoint + "/;" +
		with + ";"
}

// TestIdentity: without keys the identity of the machine is asked for a token,
// once, and the token goes to the account alone.
func TestIdentity(t *testing.T) {
	tokens := 0
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens++
		if r.Header.Get("X-Identity-Header") != "of-this-machine" {
			w.WriteHeader(http.StatusForbidden)
		}
		io.WriteString(w, `{"access_token":"SEKRIT","expires_on":"4102444800","resource":"https://storage.azure.com",`+
			`"token_type":"Bearer"}`)
	}))
	defer metadata.Close()
	var asked []string
	blobs := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Authorization"))
		switch r.URL.Path {
		case "/container/away":
			w.Header().Set("Location", metadata.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		case "/container/busy":
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			fmt.Fprint(w, "data")
		}
	}))
	defer blobs.Close()
	alone(t, "AZURE_TOKEN_CREDENTIALS=ManagedIdentityCredential", "IDENTITY_ENDPOINT="+metadata.URL,
		"AZURE_STORAGE_ACCOUNT=account1", "AZURE_STORAGE_SERVICE_ENDPOINT="+blobs.URL)
	t.Setenv("IDENTITY_HEADER", "of another")
	_, err := newSet().Open(t.Context(), "az://account1/container/key", store.Position{})
	if !errors.Is(err, store.ErrDenied) || !strings.Contains(err.Error(), "no Azure access token: 403 Forbidden") ||
		strings.Contains(err.Error(), "SEKRIT") {
		t.Errorf("no token: %v", err)
	}
	t.Setenv("IDENTITY_HEADER", "of-this-machine")
	roots := x509.NewCertPool()
	roots.AddCert(blobs.Certificate())
	set := store.NewSet(store.Options{TLS: &tls.Config{RootCAs: roots}}, store.Schemes{Definition()})
	defer set.Close()
	for range 2 {
		if _, got := storetest.ReadAll(t, set, "az://account1/container/key", store.Position{}); string(got) != "data" {
			t.Errorf("got %q", got)
		}
	}
	_, err = set.Open(t.Context(), "az://account1/container/away", store.Position{})
	if err == nil || !strings.Contains(err.Error(), "307") || store.Retryable(err) {
		t.Errorf("redirected: %v", err)
	}
	_, err = set.Open(t.Context(), "az://account1/container/busy", store.Position{})
	if !store.Retryable(err) || store.RetryAfter(err).Seconds() != 7 {
		t.Errorf("busy: %v, after %s", err, store.RetryAfter(err))
	}
	if tokens != 2 || len(asked) != 4 || asked[0] != "Bearer SEKRIT" {
		t.Errorf("%d tokens, the account was told %q", tokens, asked)
	}
}

// FuzzConnect: a connection string either says where the account is and how it is
// reached, or an error says nothing of it.
func FuzzConnect(f *testing.F) {
	for _, text := range []string{
		"AccountName=a;AccountKey=eA==", "AccountName=a;SharedAccessSignature=?sig=x;EndpointSuffix=e.example",
		"BlobEndpoint=https://a.blob.example;SharedAccessSignature=sig", "AccountName=a;AccountKey=!", "=;;=",
		"BlobEndpoint=::",
		"UseDevelopmentStorage=true", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		acc := &access{}
		_, err := acc.connect(text + ";AccountKey=SEKRIT!")
		if err != nil && strings.Contains(err.Error(), "SEKRIT") {
			t.Errorf("%q: %v", text, err)
		}
		acc = &access{}
		if _, err := acc.connect(text); err == nil && (acc.endpoint == "" || acc.key == nil && acc.sas == "") {
			t.Errorf("%q gives %+v", text, acc)
		}
	})
}
