package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
	"stretcher/internal/text/redact"
)

// get sends GetObject. A server may send it on to another name of the same
// bucket (status 307), as S3 does while DNS does not know a new bucket: the
// request is signed anew for where it goes. See
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html
func (b *bucketS3) get(ctx context.Context, client *s3.Client, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	out, err := client.GetObject(ctx, in)
	for range wire.MaxRedirects {
		from, to := temporaryRedirect(err)
		if to == nil {
			return out, err
		}
		object, ok := sameBucket(from, to, *in.Bucket)
		if !ok {
			return nil, fmt.Errorf("redirected to %q, which is not known to be of bucket %q",
				redact.URL(to.String()), *in.Bucket)
		}
		query := to.Query()
		if in.VersionId != nil {
			query.Set("versionId", *in.VersionId)
			to.RawQuery = query.Encode()
		}
		if err := store.Ask(ctx, object); err != nil {
			return nil, err
		}
		out, err = client.GetObject(ctx, in, sendTo(to))
	}
	if _, to := temporaryRedirect(err); to != nil {
		return nil, wire.ErrTooManyRedirects
	}
	return out, err
}

// temporaryRedirect gives the URL of a request that was answered by status 307,
// and the one that is to be asked instead; nil for other errors.
func temporaryRedirect(err error) (from, to *url.URL) {
	var resp *smithyhttp.ResponseError
	if !errors.As(err, &resp) || resp.HTTPStatusCode() != http.StatusTemporaryRedirect {
		return nil, nil
	}
	head := resp.HTTPResponse()
	if head.Request == nil || head.Header.Get("Location") == "" {
		return nil, nil
	}
	to, err = head.Location()
	if err != nil {
		return nil, nil
	}
	return head.Request.URL, to
}

// sameBucket tells whether to is an object of the bucket on the service that
// from is a URL of, and names it as s3://BUCKET/KEY.
func sameBucket(from, to *url.URL, bucket string) (object string, ok bool) {
	if to.Scheme != from.Scheme && to.Scheme != "https" || to.User != nil {
		return "", false
	}
	path := to.Path
	service, inName := serviceOf(to, bucket)
	if !inName {
		if path, ok = strings.CutPrefix(path, "/"+bucket); !ok {
			return "", false
		}
	}
	asked, _ := serviceOf(from, bucket)
	if service != asked && !(isAmazon(asked) && isAmazon(service)) {
		return "", false
	}
	object = (&url.URL{Scheme: "s3", Host: bucket, Path: path}).String()
	return object, strings.HasPrefix(path, "/") && strings.Trim(path, "/") != ""
}

// serviceOf is the host of a URL without the bucket, which may stand before it.
func serviceOf(u *url.URL, bucket string) (host string, inName bool) {
	return strings.CutPrefix(strings.ToLower(u.Host), bucket+".")
}

// isAmazon tells whether host is one of S3, bucket aside: s3.eu-west-3.amazonaws.com,
// s3-gztb4pa9sq.amazonaws.com. Others' hosts end in amazonaws.com, too.
func isAmazon(host string) bool {
	host, ok := strings.CutSuffix(strings.TrimSuffix(strings.ToLower(host), ".cn"), ".amazonaws.com")
	name, region, _ := strings.Cut(host, ".")
	region = strings.TrimPrefix(region, "dualstack.")
	return ok && !strings.Contains(region, ".") && (name == "s3" || strings.HasPrefix(name, "s3-"))
}

// sendTo has a request signed for, and sent to, another URL.
func sendTo(to *url.URL) func(*s3.Options) {
	replace := middleware.FinalizeMiddlewareFunc("FollowRedirect", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		if req, ok := in.Request.(*smithyhttp.Request); ok {
			req.URL = to
			req.Host = to.Host
		}
		return next.HandleFinalize(ctx, in)
	})
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Finalize.Insert(replace, "Signing", middleware.Before)
		})
	}
}
