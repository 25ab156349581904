package az

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
)

const (
	identityLimit = 20 * time.Second // for all that there may be: files, the token service, instance metadata
	identityScope = "https://storage.azure.com/.default"
	hint          = "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or " +
		"AZURE_STORAGE_SAS_TOKEN, or give the machine an identity"
)

// access is how one account is reached: where it is, and one of key, sas and
// identity.
type access struct {
	endpoint string // https://ACCOUNT.blob.core.windows.net
	key      *blob.SharedKeyCredential
	sas      string
	identity azcore.TokenCredential
}

// access finds out how the account of a URL is reached, once.
func (b *blobs) access(ctx context.Context, op string, u *url.URL) (*access, error) {
	acc, err := b.known(u.Host)
	if err == nil && acc.identity != nil {
		wait, cancel := context.WithTimeout(ctx, identityLimit)
		defer cancel()
		_, err = acc.identity.GetToken(wait, policy.TokenRequestOptions{Scopes: []string{identityScope}})
	}
	if err != nil {
		return nil, denied(ctx, op, u, err)
	}
	return acc, nil
}

func (b *blobs) known(account string) (*access, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if acc := b.accounts[account]; acc != nil {
		return acc, nil
	}
	acc, err := find(account)
	if err == nil && acc.key == nil && acc.sas == "" {
		acc.identity, err = azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: b.options(),
		})
	}
	if err != nil {
		return nil, err
	}
	b.accounts[account] = acc
	return acc, nil
}

// badVariable is what is wrong with a variable.
type badVariable struct{ error }

// find reads the variables of the az command. What they say of one account is
// for that alone: a manifest may name others, whose owners must not get a token.
func find(account string) (*access, error) {
	acc := &access{endpoint: "https://" + account + ".blob.core.windows.net"}
	if text := os.Getenv("AZURE_STORAGE_CONNECTION_STRING"); text != "" {
		name, err := acc.connect(text)
		if err != nil {
			return nil, badVariable{fmt.Errorf("AZURE_STORAGE_CONNECTION_STRING: %w", err)}
		}
		if name == account {
			return acc, nil
		}
		acc = &access{endpoint: "https://" + account + ".blob.core.windows.net"}
	}
	if os.Getenv("AZURE_STORAGE_ACCOUNT") != account {
		return acc, nil
	}
	if at := os.Getenv("AZURE_STORAGE_SERVICE_ENDPOINT"); at != "" {
		acc.endpoint = at
	}
	if key := os.Getenv("AZURE_STORAGE_KEY"); key != "" {
		if err := acc.sign(account, key); err != nil {
			return nil, badVariable{fmt.Errorf("AZURE_STORAGE_KEY: %w", err)}
		}
		return acc, nil
	}
	acc.sas = strings.TrimPrefix(os.Getenv("AZURE_STORAGE_SAS_TOKEN"), "?")
	return acc, nil
}

// connect reads a connection string, and gives the account that it is for.
func (a *access) connect(text string) (account string, err error) {
	parts := map[string]string{"DefaultEndpointsProtocol": "https", "EndpointSuffix": "core.windows.net"}
	for part := range strings.SplitSeq(strings.TrimRight(strings.TrimSpace(text), ";"), ";") {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return "", errors.New("a part of it is not NAME=VALUE")
		}
		parts[strings.TrimSpace(name)] = value
	}
	account, a.endpoint = parts["AccountName"], parts["BlobEndpoint"]
	if account == "" {
		if at, err := url.Parse(a.endpoint); err == nil {
			account, _, _ = strings.Cut(at.Hostname(), ".")
		}
	}
	if a.endpoint == "" && account != "" {
		a.endpoint = parts["DefaultEndpointsProtocol"] + "://" + account + ".blob." + parts["EndpointSuffix"]
	}
	switch {
	case a.endpoint == "":
		return "", errors.New("it has neither AccountName nor BlobEndpoint")
	case parts["AccountKey"] != "":
		return account, a.sign(account, parts["AccountKey"])
	case parts["SharedAccessSignature"] != "":
		a.sas = strings.TrimPrefix(parts["SharedAccessSignature"], "?")
		return account, nil
	}
	return "", errors.New("it has neither AccountKey nor SharedAccessSignature")
}

// sign has requests signed with the key of an account.
func (a *access) sign(account, key string) error {
	cred, err := blob.NewSharedKeyCredential(account, key)
	if err != nil {
		return errors.New("the key of the account is not in base64")
	}
	a.key = cred
	return nil
}

// url is where a blob lies.
func (a *access) url(container, key string) (string, error) {
	at, err := url.Parse(a.endpoint)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" || at.RawQuery != "" || at.User != nil {
		return "", errors.New("the endpoint of the account is not the beginning of an http or https URL")
	}
	names := strings.Split(container+"/"+key, "/")
	for i, name := range names {
		names[i] = url.PathEscape(name)
	}
	return strings.TrimRight(at.String(), "/") + "/" + strings.Join(names, "/"), nil
}

// denied is the error of an account that there are no credentials for.
func denied(ctx context.Context, op string, u *url.URL, err error) error {
	fail := store.Failure(ctx, op, u, err)
	var e *store.Error
	if ctx.Err() != nil || !errors.As(fail, &e) {
		return fail
	}
	e.Retryable, e.Hint = false, hint
	var (
		wrong badVariable
		token *azidentity.AuthenticationFailedError
	)
	why := fmt.Errorf("no Azure credentials for account %q", u.Host) // the text of err is all that was tried, in lines
	switch {
	case errors.As(err, &wrong):
		why = wrong.error
	case errors.As(err, &token) && token.RawResponse != nil: // whose body may hold what was sent
		why = fmt.Errorf("no Azure access token: %s", store.OneLine(token.RawResponse.Status))
		e.Retryable = wire.PassingStatus(token.RawResponse.StatusCode)
	}
	e.Err = store.Mark(store.ErrDenied, why)
	return e
}
