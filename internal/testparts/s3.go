package testparts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// S3Server is a running versitygw with an empty directory behind it.
type S3Server struct {
	Endpoint  string // base URL for path-style requests
	AccessKey string
	SecretKey string
	Region    string
}

// S3 starts an S3 server that stops with the test.
func S3(t testing.TB) S3Server {
	t.Helper()
	bin := Need(t, "versitygw")
	dir, addr := t.TempDir(), hostPort(FreePort(t))
	objects, meta := filepath.Join(dir, "objects"), filepath.Join(dir, "meta")
	for _, d := range []string{objects, meta} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := S3Server{"http://" + addr, "test-access", "test-secret", "us-east-1"}
	// The sidecar keeps ETags in files: not every /tmp has extended attributes.
	p := start(t, nil, bin, "--port", addr, "--region", s.Region,
		"--access", s.AccessKey, "--secret", s.SecretKey, "posix", "--sidecar", meta, objects)
	p.ready(t, func() bool { return answers(addr) })
	return s
}

// Env is the environment that leads the AWS SDK to this server and nowhere
// else; no configuration file and no instance metadata is read.
func (s S3Server) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.Endpoint,
		"AWS_ACCESS_KEY_ID=" + s.AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + s.SecretKey,
		"AWS_REGION=" + s.Region,
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE=/dev/null",
	}
}

// Put stores an object, and makes the bucket when there is none.
func (s S3Server) Put(t testing.TB, bucket, key string, data []byte) {
	t.Helper()
	client, ctx := s.client(), context.Background()
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket})
	var owned *types.BucketAlreadyOwnedByYou
	var exists *types.BucketAlreadyExists
	if err != nil && !errors.As(err, &owned) && !errors.As(err, &exists) {
		t.Fatalf("create bucket %q: %v", bucket, err)
	}
	_, err = client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(data),
	})
	if err != nil {
		t.Fatalf("put %q in bucket %q: %v", key, bucket, err)
	}
}

// Get reads an object.
func (s S3Server) Get(t testing.TB, bucket, key string) []byte {
	t.Helper()
	out, err := s.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("get %q of bucket %q: %v", key, bucket, err)
	}
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (s S3Server) client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &s.Endpoint,
		Region:       s.Region,
		UsePathStyle: true,
		HTTPClient:   httpClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.AccessKey, SecretAccessKey: s.SecretKey}, nil
		}),
	})
}

// Uploads counts the multipart uploads that have not ended.
func (s S3Server) Uploads(t testing.TB, bucket string) int {
	t.Helper()
	out, err := s.client().ListMultipartUploads(context.Background(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}

// Remove removes an object, if it is there.
func (s S3Server) Remove(t testing.TB, bucket, key string) {
	t.Helper()
	_, err := s.client().DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
}
