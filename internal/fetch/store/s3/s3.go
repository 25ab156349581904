// Package s3 serves the objects of Amazon S3 and of what speaks its language, by
// s3://bucket/key. It alone imports the SDK.
//
// Its words are those of package store and of S3.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
	"stretcher/internal/text/redact"
)

const (
	s3CredentialLimit = 20 * time.Second // for the whole chain: files, STS, instance metadata
	s3Hint            = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the instance a role"
	s3RegionHint      = "set AWS_REGION to the region of the bucket"
)

// bucketS3 serves s3://bucket/key, with ?versionId= for one version of it.
// Credentials, region and endpoint come from the standard chain of the AWS SDK.
type bucketS3 struct {
	opts   store.Options
	mu     sync.Mutex
	client *s3.Client // made by the first Open that succeeds in it
	creds  aws.CredentialsProvider
	http   *http.Client
}

// Definition is that of s3.
func Definition() store.Definition {
	return store.Definition{Schemes: []string{"s3"}, Check: store.CheckBucket, New: open}
}

func open(opts store.Options) store.Store { return &bucketS3{opts: opts} }

// Open sends one GetObject, with Range and If-Match to resume.
func (b *bucketS3) Open(ctx context.Context, u *url.URL, from store.Position) (*store.Object, error) {
	client, err := b.connect(ctx, "get", u)
	if err != nil {
		return nil, err
	}
	in := &s3.GetObjectInput{Bucket: aws.String(u.Host), Key: aws.String(store.Key(u))}
	if v := u.Query().Get("versionId"); v != "" {
		in.VersionId = &v
	}
	if !from.IsWhole() {
		in.Range = aws.String(from.Header())
		if from.Version != "" {
			in.IfMatch = &from.Version
		}
	}
	out, err := b.get(ctx, client, in)
	if err != nil {
		return nil, s3Error(ctx, "get", u, err)
	}
	obj := &store.Object{
		Body: out.Body, Size: -1, Version: wire.StrongETag(aws.ToString(out.ETag)),
		Encoding: wire.EncodingOf(aws.ToString(out.ContentEncoding)),
	}
	if out.ContentLength != nil {
		obj.Size = *out.ContentLength
	}
	if out.ContentRange == nil && !isPart(out) {
		return obj, nil
	}
	if err := s3Part(obj, aws.ToString(out.ContentRange), from); err != nil {
		out.Body.Close()
		return nil, store.Failure(ctx, "get", u, err)
	}
	return obj, nil
}

// isPart tells whether the status of an answer says that it is a part.
func isPart(out *s3.GetObjectOutput) bool {
	resp, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
	return ok && resp.StatusCode == http.StatusPartialContent
}

// s3Part makes obj what its Content-Range says.
func s3Part(obj *store.Object, header string, from store.Position) error {
	first, last, size, err := wire.ContentRange(header)
	if err == nil && from.IsWhole() {
		err = fmt.Errorf("asked for all, got %q", header)
	}
	if err == nil {
		err = from.Holds(first, last)
	}
	obj.Offset, obj.Size, obj.Part = first, size, from.Length > 0
	return err
}

// connect gives the client after it made sure that there are credentials: the
// SDK caches them, and its own message without them is a chain of all it tried.
func (b *bucketS3) connect(ctx context.Context, op string, u *url.URL) (*s3.Client, error) {
	client, creds, err := b.once(ctx, op, u)
	if err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, s3CredentialLimit)
	defer cancel()
	if _, err := creds.Retrieve(wait); err != nil {
		return nil, s3CredentialError(ctx, op, u, err)
	}
	return client, nil
}

// once makes the client, unless an earlier call did. It does not touch the
// network.
func (b *bucketS3) once(ctx context.Context, op string, u *url.URL) (*s3.Client, aws.CredentialsProvider, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client != nil {
		return b.client, b.creds, nil
	}
	cfg, err := b.config(ctx)
	if err != nil {
		return nil, nil, store.Failure(ctx, op, u, err)
	}
	if err := b.setup(cfg); err != nil {
		return nil, nil, &store.Error{Op: op, URL: redact.URL(u.String()), Err: err, Hint: s3RegionHint}
	}
	return b.client, b.creds, nil
}

func (b *bucketS3) config(ctx context.Context) (aws.Config, error) {
	// A BuildableClient, because the SDK adds AWS_CA_BUNDLE to it and makes one
	// with short time limits of it for the instance metadata.
	hc := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		dial := wire.Transport(b.opts).DialContext
		wire.Tune(t, b.opts)
		t.DialContext = dial
	})
	name, version, _ := strings.Cut(b.opts.UserAgent, "/")
	opts := []func(*config.LoadOptions) error{
		config.WithLogger(logging.Nop{}),
		config.WithHTTPClient(hc),
	}
	if name != "" {
		opts = append(opts, config.WithAPIOptions([]func(*middleware.Stack) error{
			awsmiddleware.AddUserAgentKeyValue(name, version),
		}))
	}
	return config.LoadDefaultConfig(ctx, opts...)
}

// setup makes the client of cfg.
func (b *bucketS3) setup(cfg aws.Config) error {
	var tr http.RoundTripper
	if hc, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		tr = hc.GetTransport() // a copy, which CloseIdle can reach
	}
	hc := &http.Client{Transport: tr, CheckRedirect: wire.Stay}
	endpoint := false
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		endpoint = o.BaseEndpoint != nil
		if endpoint && o.Region == "" {
			o.Region = "us-east-1" // servers of one's own rarely have regions, signatures need one
		}
		o.HTTPClient = hc
		o.UsePathStyle = endpoint
		o.Retryer = aws.NopRetryer{} // package transfer retries
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	if cfg.Region == "" && !endpoint {
		return errors.New("no AWS region")
	}
	b.client, b.creds, b.http = client, cfg.Credentials, hc
	return nil
}

// CloseIdle lets go of idle connections.
func (b *bucketS3) CloseIdle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.http != nil {
		b.http.CloseIdleConnections()
	}
}

// s3CredentialError: a chain that ends at the instance metadata found nothing
// before it, so that asking again is no use; STS and SSO may come back.
func s3CredentialError(ctx context.Context, op string, u *url.URL, err error) error {
	fail := store.Failure(ctx, op, u, err)
	var e *store.Error
	if ctx.Err() != nil || !errors.As(fail, &e) {
		return fail
	}
	e.Hint = s3Hint
	var call *smithy.OperationError
	if !errors.As(err, &call) || call.Service() == "ec2imds" {
		e.Retryable = false
		e.Err = store.Mark(store.ErrDenied, errors.New("no AWS credentials"))
		return e
	}
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.HTTPStatusCode() != 0 {
		e.Retryable = wire.PassingStatus(resp.HTTPStatusCode())
	}
	e.Err = store.Mark(store.ErrDenied, fmt.Errorf("get AWS credentials: %w", e.Err))
	return e
}

// s3Error reads the error document of
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func s3Error(ctx context.Context, op string, u *url.URL, err error) error {
	var resp *smithyhttp.ResponseError
	if ctx.Err() != nil || !errors.As(err, &resp) || resp.HTTPStatusCode() < 300 {
		return store.Failure(ctx, op, u, err)
	}
	code := resp.HTTPStatusCode()
	var api smithy.APIError
	after := wire.RetryAfter(code, resp.HTTPResponse().Header, time.Now())
	if !errors.As(err, &api) {
		e := wire.Status(op, u, code, "")
		e.After = after
		return e
	}
	text := http.StatusText(code)
	if api.ErrorMessage() != "" {
		text = api.ErrorCode() + ": " + api.ErrorMessage()
	}
	e := wire.Status(op, u, code, text)
	e.After = after
	switch api.ErrorCode() {
	case "RequestTimeout", "SlowDown": // the former comes with status 400
		e.Retryable = true
	case "TemporaryRedirect":
		e.Hint = "the bucket is new; try again when DNS has caught up, in some minutes to an hour"
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		e.Hint = s3RegionHint
		if region := resp.HTTPResponse().Header.Get("X-Amz-Bucket-Region"); region != "" {
			e.Hint = "set AWS_REGION to " + store.OneLine(region)
		}
	case "RequestTimeTooSkewed":
		e.Hint = "set this machine's clock"
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AccessDenied":
		e.Err = store.Mark(store.ErrDenied, e.Err)
		e.Hint = s3Hint
	}
	return e
}
