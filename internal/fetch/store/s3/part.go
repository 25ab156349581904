package s3

import (
	"context"
	"encoding/base64"
	"hash/crc32"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"stretcher/internal/fetch/store"
)

// partPatience is how long the parts on their way go on when their upload has
// ended.
const partPatience = 10 * time.Second

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
	err = store.Again(ctx, func() (err error) {
		out, err = up.sendPart(ctx, &s3.UploadPartInput{
			Bucket: &up.u.Host, Key: &up.key, UploadId: id, PartNumber: &number,
			Body:          io.NewSectionReader(up.body, from, length),
			ContentLength: &length,
			ChecksumCRC32: &sum,
		})
		if err != nil {
			return up.fail(ctx, err)
		}
		return nil
	})
	if err != nil {
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

// sendPart sends one request. It may go on for a while when the context ends: a
// part that comes while its upload is aborted may be kept, says
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
func (up *upload) sendPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-own.Done():
		case <-time.After(up.patience):
			up.broken.Store(true)
			cancel()
		}
	})()
	return up.client.UploadPart(own, in)
}
