package az

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/url"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"stretcher/internal/fetch/store"
)

const (
	blockSize   = 8 << 20 // what is not larger is sent at once
	connections = 4       // that blocks are sent on
	sumKey      = "sha256"
)

// Put sends blocks, which are no blob before the list of them is sent: what is
// broken off is forgotten by the service within a week.
func (b *blobs) Put(ctx context.Context, u *url.URL, body io.ReaderAt, size int64, opts store.PutOptions) error {
	client, err := b.client(ctx, "put", u)
	if err != nil {
		return err
	}
	up := &upload{client: client, opts: opts, sum: sha256.New()}
	up.block = max(blockSize, (size+blockblob.MaxBlocks-1)/blockblob.MaxBlocks)
	if size <= up.block {
		err = up.whole(ctx, body, size)
	} else {
		err = up.blocks(ctx, body, size)
	}
	if err != nil {
		return putFailure(ctx, u, err, opts)
	}
	return nil
}

// Stat asks for the properties of a blob.
func (b *blobs) Stat(ctx context.Context, u *url.URL) (store.Info, error) {
	client, err := b.client(ctx, "stat", u)
	if err != nil {
		return store.Info{}, err
	}
	resp, err := client.GetProperties(ctx, nil)
	if err != nil {
		return store.Info{}, failure(ctx, "stat", u, err)
	}
	info := store.Info{Size: value(resp.ContentLength, -1), Version: string(value(resp.ETag, ""))}
	for name, text := range resp.Metadata {
		sum, err := hex.DecodeString(value(text, ""))
		if strings.EqualFold(name, sumKey) && err == nil && len(sum) == sha256.Size {
			info.SHA256 = (*[sha256.Size]byte)(sum)
		}
	}
	return info, nil
}

// upload is a blob on its way.
type upload struct {
	client *blockblob.Client
	opts   store.PutOptions
	block  int64
	sum    interface {
		io.Writer
		Sum([]byte) []byte
	}
	mu   sync.Mutex
	done int64
}

// errOther: the body was another one when its digest was taken.
var errOther = errors.New("what is to be written changed meanwhile")

// read reads a block, of a body that is read in order.
func (up *upload) read(body io.ReaderAt, from, size int64) ([]byte, error) {
	data := make([]byte, min(up.block, size-from))
	if n, err := body.ReadAt(data, from); n < len(data) {
		return nil, err
	}
	up.sum.Write(data)
	return data, nil
}

// isOther tells whether what was read is not what was to be sent.
func (up *upload) isOther() bool { return !bytes.Equal(up.sum.Sum(nil), up.opts.SHA256[:]) }

// sent counts what the service has.
func (up *upload) sent(n int) {
	up.mu.Lock()
	defer up.mu.Unlock()
	up.done += int64(n)
	up.opts.Report(up.done)
}

// whole sends a small blob.
func (up *upload) whole(ctx context.Context, body io.ReaderAt, size int64) error {
	data, err := up.read(body, 0, size)
	if err != nil {
		return err
	}
	if up.isOther() {
		return errOther
	}
	_, err = up.client.Upload(ctx, streaming.NopCloser(bytes.NewReader(data)), &blockblob.UploadOptions{
		HTTPHeaders: up.headers(), Metadata: up.metadata(), AccessConditions: up.conditions(),
	})
	if err == nil {
		up.sent(len(data))
	}
	return err
}

// blocks sends a large blob.
func (up *upload) blocks(ctx context.Context, body io.ReaderAt, size int64) error {
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(connections)
	var ids []string
	for from := int64(0); from < size && sending.Err() == nil; from += up.block {
		data, err := up.read(body, from, size)
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		id := newID()
		ids = append(ids, id)
		group.Go(func() error {
			_, err := up.client.StageBlock(sending, id, streaming.NopCloser(bytes.NewReader(data)), nil)
			if err == nil {
				up.sent(len(data))
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if up.isOther() {
		return errOther
	}
	_, err := up.client.CommitBlockList(ctx, ids, &blockblob.CommitBlockListOptions{
		HTTPHeaders: up.headers(), Metadata: up.metadata(), AccessConditions: up.conditions(),
	})
	return err
}

// newID names a block. Two that write to one name do not mix their blocks.
func newID() string {
	id := uuid.New()
	return base64.StdEncoding.EncodeToString(id[:])
}

func (up *upload) headers() *blob.HTTPHeaders {
	kind := up.opts.Type()
	return &blob.HTTPHeaders{BlobContentType: &kind}
}

func (up *upload) metadata() map[string]*string {
	sum := hex.EncodeToString(up.opts.SHA256[:])
	return map[string]*string{sumKey: &sum}
}

func (up *upload) conditions() *blob.AccessConditions {
	if !up.opts.New {
		return nil
	}
	none := azcore.ETagAny
	return &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: &none}}
}

// putFailure tells that a blob is there already.
func putFailure(ctx context.Context, u *url.URL, err error, opts store.PutOptions) error {
	var resp *azcore.ResponseError
	fail := failure(ctx, "put", u, err)
	var e *store.Error
	if errors.As(err, &resp) && errors.As(fail, &e) && opts.New &&
		(resp.ErrorCode == "BlobAlreadyExists" || resp.ErrorCode == "ConditionNotMet") {
		e.Err, e.Retryable = store.Mark(store.ErrExists, e.Err), false
	}
	return fail
}
