package s3

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
)

const (
	partSize   = 16 << 20 // more when there would be too many
	maxParts   = 10_000   // S3's
	atOnce     = 4        // parts on their way
	abortLimit = 30 * time.Second
	abortPause = time.Second
	partsHint  = "a rule for the bucket that ends incomplete multipart uploads removes what may be left of it"
	listHint   = "let these credentials get the object and list the bucket: S3 denies what is not there else"
	aVersion   = "names a version; a new one gets its own name"
)

// Put sends one PutObject, or the parts of a multipart upload, which becomes an
// object by its last request. A failed upload is aborted.
func (b *bucketS3) Put(ctx context.Context, u *url.URL, body io.ReaderAt, size int64, opts store.PutOptions) error {
	if u.Query().Has("versionId") {
		return store.Failure(ctx, "put", u, errors.New(aVersion))
	}
	client, err := b.connect(ctx, "put", u)
	if err != nil {
		return err
	}
	up := &upload{
		client: client, u: u, key: store.Key(u), body: body, size: size, opts: opts, patience: patience,
	}
	if size <= partSize {
		return up.whole(ctx)
	}
	return up.multipart(ctx)
}

// upload is one object on its way.
type upload struct {
	client *s3.Client
	u      *url.URL
	key    string
	body   io.ReaderAt
	size   int64
	opts   store.PutOptions

	patience   time.Duration // see patiently
	unanswered atomic.Bool   // of a request it is not known what the server made of it

	mu   sync.Mutex
	done int64
}

// metadata is what Stat finds again.
func (up *upload) metadata() map[string]string {
	return map[string]string{wire.SumKey: wire.SumOf(up.opts.SHA256)}
}

// condition lets nothing be replaced.
func (up *upload) condition() *string {
	if up.opts.New {
		return aws.String("*")
	}
	return nil
}

// fail is the error of a request.
func (up *upload) fail(ctx context.Context, err error) error {
	err = s3Error(ctx, "put", up.u, err)
	var e *store.Error
	if up.opts.New && errors.As(err, &e) && e.Status == http.StatusPreconditionFailed {
		e.Err = store.Mark(store.ErrExists, errors.New("412 exists already"))
	}
	if errors.As(err, &e) && e.Status == http.StatusConflict { // another upload at the same time
		e.Retryable = true
	}
	return err
}

func (up *upload) whole(ctx context.Context) error {
	_, err := up.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &up.u.Host, Key: &up.key,
		Body:           io.NewSectionReader(up.body, 0, up.size),
		ContentLength:  &up.size,
		ContentType:    aws.String(up.opts.Type()),
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(up.opts.SHA256[:])),
		Metadata:       up.metadata(),
		IfNoneMatch:    up.condition(),
	})
	if err != nil {
		return up.fail(ctx, err)
	}
	up.opts.Report(up.size)
	return nil
}

func (up *upload) multipart(ctx context.Context) error {
	if err := up.absent(ctx); err != nil {
		return err
	}
	id, err := up.create(ctx)
	if err != nil {
		return err
	}
	parts, err := up.parts(ctx, id)
	if err == nil {
		err = up.complete(ctx, id, parts)
	}
	if err != nil {
		up.abort(ctx, id, err)
	}
	return err
}

// create begins an upload, which has to be known to be aborted.
func (up *upload) create(ctx context.Context) (id *string, err error) {
	err = up.patiently(ctx, func(ctx context.Context) error {
		made, err := up.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
			Bucket: &up.u.Host, Key: &up.key,
			ContentType:       aws.String(up.opts.Type()),
			Metadata:          up.metadata(),
			ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
		})
		if err == nil {
			id = made.UploadId
		}
		return err
	})
	return id, err
}

// absent saves the sending of what would be refused at its end.
func (up *upload) absent(ctx context.Context) error {
	if !up.opts.New {
		return nil
	}
	_, err := up.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &up.u.Host, Key: &up.key})
	if err == nil {
		return store.Failure(ctx, "put", up.u, store.ErrExists)
	}
	return nil // what else is wrong the upload will tell
}

// parts sends all parts, some at a time.
func (up *upload) parts(ctx context.Context, id *string) ([]types.CompletedPart, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	length := max(partSize, (up.size+maxParts-1)/maxParts)
	list := make([]types.CompletedPart, (up.size+length-1)/length)
	numbers := make(chan int)
	var wg sync.WaitGroup
	var once sync.Once
	var failed error
	for range atOnce {
		wg.Go(func() {
			for i := range numbers {
				part, err := up.part(ctx, id, i, length)
				if err != nil {
					once.Do(func() { failed = err; stop(err) })
				}
				list[i] = part
			}
		})
	}
	for i := range list {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
	return list, failed
}

func (up *upload) complete(ctx context.Context, id *string, parts []types.CompletedPart) error {
	return up.patiently(ctx, func(ctx context.Context) error {
		_, err := up.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &up.u.Host, Key: &up.key, UploadId: id,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
			MpuObjectSize:   &up.size,
			IfNoneMatch:     up.condition(),
		})
		return err
	})
}

// abort removes the parts that the server has. It has its own time: the context
// may be why the upload failed. Where a request was not answered, the server may
// still be at it: it is asked twice, and even then something may be left.
func (up *upload) abort(ctx context.Context, id *string, why error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortLimit)
	defer cancel()
	unsure := up.unanswered.Load()
	err := up.abortOnce(ctx, id)
	if err == nil && unsure {
		select {
		case <-time.After(abortPause):
		case <-ctx.Done():
		}
		err = up.abortOnce(ctx, id)
	}
	var e *store.Error
	if (err != nil || unsure) && errors.As(why, &e) {
		e.Hint = strings.TrimPrefix(e.Hint+"; "+partsHint, "; ")
	}
}

// abortOnce aborts it, and tries again where that may help. One that is not known is
// aborted.
func (up *upload) abortOnce(ctx context.Context, id *string) error {
	return store.Again(ctx, func() error {
		_, err := up.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
			Bucket: &up.u.Host, Key: &up.key, UploadId: id,
		})
		var none *types.NoSuchUpload
		if err == nil || errors.As(err, &none) {
			return nil
		}
		return up.fail(ctx, err)
	})
}

// Stat sends one HeadObject.
func (b *bucketS3) Stat(ctx context.Context, u *url.URL) (store.Info, error) {
	client, err := b.connect(ctx, "stat", u)
	if err != nil {
		return store.Info{}, err
	}
	in := &s3.HeadObjectInput{Bucket: aws.String(u.Host), Key: aws.String(store.Key(u))}
	if v := u.Query().Get("versionId"); v != "" {
		in.VersionId = &v
	}
	out, err := client.HeadObject(ctx, in)
	if err != nil {
		return store.Info{}, statError(ctx, u, err)
	}
	info := store.Info{Size: -1, Version: wire.StrongETag(aws.ToString(out.ETag))}
	if out.ContentLength != nil {
		info.Size = *out.ContentLength
	}
	info.SHA256 = wire.ReadSum(out.Metadata[wire.SumKey])
	return info, nil
}

// statError says what a denial may mean: S3 denies what is not there to who may
// not list the bucket.
func statError(ctx context.Context, u *url.URL, err error) error {
	err = s3Error(ctx, "stat", u, err)
	var e *store.Error
	if errors.As(err, &e) && e.Status == http.StatusForbidden {
		e.Hint = listHint
	}
	return err
}
