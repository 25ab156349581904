package wire

import (
	"context"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fresh is how long a connection is good that nobody has used. Servers hang up on
// those that say nothing.
const fresh = 5 * time.Second

// Ahead makes some connections before they are asked for.
type Ahead struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	mu   sync.Mutex
	made map[string][]*coming // by address
}

// coming is a connection that is being made, or was.
type coming struct {
	done chan struct{}
	conn net.Conn // nil = it could not be made
	at   time.Time
}

// NewAhead makes one of a function that makes connections.
func NewAhead(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *Ahead {
	return &Ahead{dial: dial, made: map[string][]*coming{}}
}

// Make begins to make n connections over TCP. Those that nobody has asked for when
// ctx ends are closed.
func (a *Ahead) Make(ctx context.Context, addr string, n int) {
	for range n {
		c := &coming{done: make(chan struct{})}
		a.mu.Lock()
		a.made[addr] = append(a.made[addr], c)
		a.mu.Unlock()
		go func() {
			c.conn, _ = a.dial(ctx, "tcp", addr)
			c.at = time.Now()
			close(c.done)
		}()
		context.AfterFunc(ctx, func() { a.drop(addr, c) })
	}
}

// DialContext gives a connection that was made ahead, or makes one.
func (a *Ahead) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if c := a.take(addr); c != nil {
		select {
		case <-c.done:
			if c.conn != nil && time.Since(c.at) < fresh && isOpen(c.conn) {
				return c.conn, nil
			}
			c.close()
		case <-ctx.Done():
			go c.close()
			return nil, context.Cause(ctx)
		}
	}
	return a.dial(ctx, network, addr)
}

// isOpen tells whether the other side has neither hung up nor said anything. It waits
// for nothing.
func isOpen(conn net.Conn) (open bool) {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Read(func(fd uintptr) bool {
		_, err := unix.Read(int(fd), make([]byte, 1)) // what would be lost is of no use
		open = err == unix.EAGAIN || err == unix.EINTR
		return true
	})
	return open && err == nil
}

// take takes the oldest, whether or not it is there yet; nil = there is none.
func (a *Ahead) take(addr string) *coming {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.made[addr]
	if len(all) == 0 {
		return nil
	}
	if len(all) == 1 {
		delete(a.made, addr)
	} else {
		a.made[addr] = all[1:]
	}
	return all[0]
}

// drop closes one that nobody has taken.
func (a *Ahead) drop(addr string, c *coming) {
	a.mu.Lock()
	i := slices.Index(a.made[addr], c)
	if i >= 0 {
		a.made[addr] = slices.Delete(slices.Clone(a.made[addr]), i, i+1)
	}
	a.mu.Unlock()
	if i >= 0 {
		c.close()
	}
}

// close closes it when it is there.
func (c *coming) close() {
	<-c.done
	if c.conn != nil {
		_ = c.conn.Close()
	}
}
