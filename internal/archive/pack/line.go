package pack

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"stretcher/internal/archive/gunzip"
	"stretcher/internal/archive/index"
)

// gzipLevel makes up for what members lose by themselves. The hard one takes up to
// ten times as long, for binaries without any gain.
const gzipLevel, hardGzipLevel = 8, 9

// trial tells whether the pieces of a large file are worth being compressed hard:
// the first of them is compressed both ways. Many logs and dumps are, binaries not.
type trial struct {
	begun bool
	hard  bool          // known when done is closed
	done  chan struct{} // the first piece comes before the others, so none waits forever
}

// line compresses members on several cores and writes them in their order.
// Which core a member comes to makes no difference to it: each begins anew.
type line struct {
	todo  chan *job
	order chan *job
	done  chan struct{} // the goroutine that writes has ended
	cores sync.WaitGroup
	out   io.Writer
	made  []index.Member // what was written, by lengths and digest

	mu  sync.Mutex
	err error
}

// job is one member.
type job struct {
	raw, packed []byte
	sum         index.Sum
	err         error
	ready       chan struct{}
	trial       *trial // nil = none
	tries       bool   // it is the first of its trial
}

// compressor appends a member to b.
type compressor func(b, raw []byte) ([]byte, error)

func newLine(opts Options, out io.Writer) *line {
	cores := opts.Cores
	if cores <= 0 {
		cores = runtime.GOMAXPROCS(0)
	}
	l := &line{todo: make(chan *job), order: make(chan *job, 2*cores), done: make(chan struct{}), out: out}
	for range cores {
		l.cores.Go(func() { l.work(opts.Compression) })
	}
	go l.write()
	return l
}

// add takes a member, and the memory that it is in, and the trial of its file.
func (l *line) add(raw []byte, t *trial) error {
	j := &job{raw: raw, ready: make(chan struct{}), trial: t}
	if t != nil && !t.begun {
		t.begun, j.tries = true, true
	}
	l.order <- j
	l.todo <- j
	return l.failed()
}

func (l *line) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *line) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

// close waits until all is written, and tells what was.
func (l *line) close() ([]index.Member, error) {
	close(l.todo)
	close(l.order)
	l.cores.Wait()
	<-l.done
	return l.made, l.failed()
}

func (l *line) work(c Compression) {
	p := press{how: c}
	for j := range l.todo {
		j.packed, j.err = p.member(j)
		j.sum = sha256.Sum256(j.packed)
		close(j.ready)
	}
}

func (l *line) write() {
	defer close(l.done)
	for j := range l.order {
		<-j.ready
		if l.failed() != nil {
			continue
		}
		err := j.err
		if err == nil && len(j.packed) > index.MaxMember {
			err = errors.New("a member has become too long")
		}
		if err == nil {
			_, err = l.out.Write(j.packed)
		}
		if err != nil {
			l.fail(err)
			continue
		}
		l.made = append(l.made, index.Member{Length: len(j.packed), Unpacked: len(j.raw), Sum: j.sum})
	}
}

// press compresses the members of one core, easily or hard.
type press struct {
	how   Compression
	tools [2]compressor // made when they are needed: they take much memory
}

// member compresses a member.
func (p *press) member(j *job) ([]byte, error) {
	switch {
	case j.trial == nil:
		return p.compress(j.raw, false)
	case j.tries:
		defer close(j.trial.done)
		return p.try(j)
	}
	<-j.trial.done
	return p.compress(j.raw, j.trial.hard)
}

// try compresses a member both ways, if it is text by what becomes of it. The rest
// is compressed hard where that has made it smaller by a 32nd.
func (p *press) try(j *job) ([]byte, error) {
	easy, err := p.compress(j.raw, false)
	if err != nil || len(easy) > len(j.raw)/3 {
		return easy, err
	}
	hard, err := p.compress(j.raw, true)
	if err != nil {
		return nil, err
	}
	if j.trial.hard = len(hard) < len(easy)-len(easy)/32; j.trial.hard {
		return hard, nil
	}
	return easy, nil
}

func (p *press) compress(raw []byte, hard bool) (packed []byte, err error) {
	tool := &p.tools[0]
	if hard {
		tool = &p.tools[1]
	}
	if *tool == nil {
		if *tool, err = newCompressor(p.how, hard); err != nil {
			return nil, err
		}
	}
	return (*tool)(nil, raw)
}

func newCompressor(c Compression, hard bool) (compressor, error) {
	level, speed := gzipLevel, zstd.SpeedBetterCompression
	if hard {
		level, speed = hardGzipLevel, zstd.SpeedBestCompression
	}
	if c == Zstd {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(speed),
			zstd.WithWindowSize(index.MaxMember), zstd.WithSingleSegment(true))
		if err != nil {
			return nil, err
		}
		return func(b, raw []byte) ([]byte, error) { return z.EncodeAll(raw, b), nil }, nil
	}
	z, err := flate.NewWriter(nil, level)
	if err != nil {
		return nil, err
	}
	return func(b, raw []byte) ([]byte, error) { return gzipMember(z, b, raw) }, nil
}

// gzipMember appends a member of RFC 1952.
func gzipMember(z *flate.Writer, b, raw []byte) ([]byte, error) {
	out := &appender{gunzip.AppendHeader(b)}
	z.Reset(out)
	if _, err := z.Write(raw); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	out.b = binary.LittleEndian.AppendUint32(out.b, crc32.ChecksumIEEE(raw))
	out.b = binary.LittleEndian.AppendUint32(out.b, uint32(len(raw)))
	gunzip.SetLength(out.b[len(b):])
	return out.b, nil
}

type appender struct{ b []byte }

// Write appends.
func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
