package s3

import (
	"context"
	"encoding/base64"
	"errors"
	"hash/crc32"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"stretcher/internal/fetch/store"
)

// patience is how long requests on their way go on when their upload has ended. Who
// ends a build kills it after some ten seconds.
const patience = 5 * time.Second

// part sends a part, again where that may help.
func (up *upload) part(ctx context.Context, id *string, i int, length int64) (types.CompletedPart, error) {
	if ctx.Err() != nil { // what is left need not be read
		return types.CompletedPart{}, store.Failure(ctx, "put", up.u, ctx.Err())
	}
	from := int64(i) * length
	length = min(length, up.size-from)
	number := int32(i + 1)
	sum, err := crcOf(io.NewSectionReader(up.body, from, length))
	if err != nil {
		return types.CompletedPart{}, store.Failure(ctx, "put", up.u, err)
	}
	var out *s3.UploadPartOutput
	err = store.Again(ctx, func() error {
		return up.patiently(ctx, func(ctx context.Context) (err error) {
			out, err = up.client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: &up.u.Host, Key: &up.key, UploadId: id, PartNumber: &number,
				Body:          io.NewSectionReader(up.body, from, length),
				ContentLength: &length,
				ChecksumCRC32: &sum,
			})
			return err
		})
	})
	switch {
	case err != nil && ctx.Err() != nil: // which may have ended between two attempts
		return types.CompletedPart{}, store.Failure(ctx, "put", up.u, ctx.Err())
	case err != nil:
		return types.CompletedPart{}, err
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	up.done += length
	up.opts.Report(up.done)
	return types.CompletedPart{ETag: out.ETag, ChecksumCRC32: &sum, PartNumber: &number}, nil
}

// crcOf is the checksum of a part. It goes into the head: not every server knows
// the trailers that the SDK would write.
func crcOf(part io.Reader) (string, error) {
	h := crc32.NewIEEE()
	if _, err := io.Copy(h, part); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
}

// patiently makes a request, which goes on for a while when the context ends, and is
// broken off after that: what comes while its upload is aborted the server may keep, says
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
// Its error is that of the context, if that has ended.
func (up *upload) patiently(ctx context.Context, request func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return store.Failure(ctx, "put", up.u, err)
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-own.Done():
		case <-time.After(up.patience):
			cancel()
		}
	})()
	err := request(own)
	if err == nil {
		return nil
	}
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() == 0 {
		up.unanswered.Store(true)
	}
	return up.fail(ctx, err)
}
