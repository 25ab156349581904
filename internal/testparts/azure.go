package testparts

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
)

// AzureServer is a running Azurite that keeps blobs in memory.
type AzureServer struct {
	Endpoint string // of the blob service: http://127.0.0.1:PORT/ACCOUNT
	Account  string
	Key      string
}

// Azure starts an Azure Blob server that stops with the test. Its account and
// key are those of every Azurite.
func Azure(t testing.TB) AzureServer {
	t.Helper()
	bin := Need(t, "azurite")
	port := FreePort(t)
	// The SDK speaks a newer version of the protocol than the server knows.
	p := start(t, nil, bin, "--blobHost", "127.0.0.1", "--blobPort", strconv.Itoa(port),
		"--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent")
	p.ready(t, func() bool { return answers(hostPort(port)) })
	const account = "devstoreaccount1"
	return AzureServer{
		Endpoint: "http://" + hostPort(port) + "/" + account,
		Account:  account,
		Key:      "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
	}
}

// Env is the environment that leads the program to this server, with the key.
func (s AzureServer) Env() []string {
	return []string{"AZURE_STORAGE_CONNECTION_STRING=DefaultEndpointsProtocol=http;AccountName=" + s.Account +
		";AccountKey=" + s.Key + ";BlobEndpoint=" + s.Endpoint}
}

// SAS is a token that allows what permissions say, for an hour.
func (s AzureServer) SAS(t testing.TB, permissions sas.AccountPermissions) string {
	t.Helper()
	cred, err := blob.NewSharedKeyCredential(s.Account, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	kinds := sas.AccountResourceTypes{Service: true, Container: true, Object: true}
	values := sas.AccountSignatureValues{
		Version:  "2024-11-04", // the newest that this server knows how to check
		Protocol: sas.ProtocolHTTPSandHTTP, ExpiryTime: time.Now().Add(time.Hour),
		Permissions: permissions.String(), ResourceTypes: kinds.String(),
	}
	query, err := values.SignWithSharedKey(cred)
	if err != nil {
		t.Fatal(err)
	}
	return query.Encode()
}

// Put stores a blob, and makes the container when there is none. The requests
// are those of https://learn.microsoft.com/rest/api/storageservices.
func (s AzureServer) Put(t testing.TB, container, name string, data []byte) {
	t.Helper()
	token := s.SAS(t, sas.AccountPermissions{Read: true, Write: true, Create: true, Add: true})
	at := s.Endpoint + "/" + container
	if code := s.put(t, at+"?restype=container&"+token, nil); code != http.StatusCreated && code != http.StatusConflict {
		t.Fatalf("create container %q: status %d", container, code)
	}
	if code := s.put(t, at+"/"+url.PathEscape(name)+"?"+token, data); code != http.StatusCreated {
		t.Fatalf("put %q in container %q: status %d", name, container, code)
	}
}

func (s AzureServer) put(t testing.TB, to string, data []byte) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, to, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Ms-Version", "2024-11-04")
	req.Header.Set("X-Ms-Blob-Type", "BlockBlob")
	resp, err := httpClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
