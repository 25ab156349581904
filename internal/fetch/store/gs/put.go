package gs

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"cloud.google.com/go/storage"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
)

const (
	chunkSize = 16 << 20 // of a resumable upload
	aVersion  = "names a generation; a new one gets its own number"
)

// Put sends a resumable upload, or one request where the object is small. It
// becomes an object by its last request, if its CRC-32C is right.
func (g *bucketGS) Put(ctx context.Context, u *url.URL, body io.ReaderAt, size int64, opts store.PutOptions) error {
	if u.Query().Has("generation") {
		return store.Failure(ctx, "put", u, errors.New(aVersion))
	}
	client, err := g.connect(ctx, scopeWrite)
	if err != nil {
		return gsError(ctx, "put", u, err)
	}
	object := client.Bucket(u.Host).Object(store.Key(u)).Retryer(storage.WithPolicy(storage.RetryAlways))
	if opts.New {
		object = object.If(storage.Conditions{DoesNotExist: true})
	}
	if err := send(ctx, object, io.NewSectionReader(body, 0, size), opts); err != nil {
		return putError(ctx, u, err, opts)
	}
	opts.Report(size)
	return nil
}

// send uploads the body, and takes the upload back when it can't be read.
func send(ctx context.Context, object *storage.ObjectHandle, body *io.SectionReader, opts store.PutOptions) error {
	crc := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := io.Copy(crc, body); err != nil {
		return err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := object.NewWriter(ctx)
	w.ChunkSize = int(min(chunkSize, body.Size()+1))
	w.ContentType = opts.Type()
	w.Metadata = map[string]string{wire.SumKey: wire.SumOf(opts.SHA256)}
	w.CRC32C, w.SendCRC32C = crc.Sum32(), true
	w.ProgressFunc = opts.Report
	if _, err := io.Copy(w, body); err != nil {
		cancel() // before Close, which would make the object of what came so far
		_ = w.Close()
		return err
	}
	return w.Close()
}

func putError(ctx context.Context, u *url.URL, err error, opts store.PutOptions) error {
	err = gsError(ctx, "put", u, err)
	var e *store.Error
	if opts.New && errors.As(err, &e) && e.Status == http.StatusPreconditionFailed {
		e.Err = store.Mark(store.ErrExists, fmt.Errorf("412 exists already"))
	}
	return err
}

// Stat asks for what the server knows of the object.
func (g *bucketGS) Stat(ctx context.Context, u *url.URL) (store.Info, error) {
	client, err := g.connect(ctx, scopeRead)
	if err != nil {
		return store.Info{}, gsError(ctx, "stat", u, err)
	}
	object := client.Bucket(u.Host).Object(store.Key(u)).Retryer(storage.WithPolicy(storage.RetryNever))
	if version := u.Query().Get("generation"); version != "" {
		gen, err := strconv.ParseInt(version, 10, 64)
		if err != nil {
			return store.Info{}, store.Failure(ctx, "stat", u, fmt.Errorf("generation %q is no number", version))
		}
		object = object.Generation(gen)
	}
	attrs, err := object.Attrs(ctx)
	if err != nil {
		return store.Info{}, gsError(ctx, "stat", u, err)
	}
	return store.Info{
		Size: attrs.Size, Version: strconv.FormatInt(attrs.Generation, 10),
		SHA256: wire.ReadSum(attrs.Metadata[wire.SumKey]),
	}, nil
}
