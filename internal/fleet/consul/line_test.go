package consul_test

import (
	"net"
	"sync"
	"testing"
	"time"
)

// line is the network between one host and Consul, as TCP has it: what is held up comes
// later, when somebody is still there.
type line struct {
	addr, to string
	listener net.Listener

	mu      sync.Mutex
	how     lineFault
	changed chan struct{} // closed when that, or a connection, is not as it was
	pipes   map[*pipe]bool
}

// lineFault is what is wrong with a line.
type lineFault int

const (
	sound   lineFault = iota
	refused           // connections are reset, and no others are made
	hole              // nothing comes through, and nobody says so
	deaf              // requests come through, and answers do not
)

// pipe is one connection.
type pipe struct {
	near, far net.Conn
	frozen    bool // nothing comes through it any more, and nobody says so
}

// newLine makes one to an address.
func newLine(t testing.TB, to string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{
		addr: listener.Addr().String(), to: to, listener: listener,
		changed: make(chan struct{}), pipes: map[*pipe]bool{},
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.serve(conn)
		}
	}()
	t.Cleanup(l.close)
	return l
}

func (l *line) close() {
	l.listener.Close()
	l.set(refused)
}

func (l *line) serve(near net.Conn) {
	far, err := net.Dial("tcp", l.to)
	if err != nil {
		near.Close()
		return
	}
	p := &pipe{near: near, far: far}
	l.mu.Lock()
	l.pipes[p] = true
	l.mu.Unlock()
	go l.copy(p, far, near, true)
	l.copy(p, near, far, false)
}

func (l *line) copy(p *pipe, to, from net.Conn, up bool) {
	defer l.drop(p)
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || !l.comesThrough(p, up) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// comesThrough waits until something comes through; false = the connection has ended.
func (l *line) comesThrough(p *pipe, up bool) bool {
	for {
		l.mu.Lock()
		there, changed := l.pipes[p] && l.how != refused, l.changed
		stuck := p.frozen || l.how == hole || l.how == deaf && !up
		l.mu.Unlock()
		if !there || !stuck {
			return there
		}
		<-changed
	}
}

// drop resets a connection.
func (l *line) drop(p *pipe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.pipes[p] {
		return
	}
	delete(l.pipes, p)
	for _, conn := range []net.Conn{p.near, p.far} {
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	l.tell()
}

func (l *line) tell() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// set has the line be so from now on.
func (l *line) set(how lineFault) {
	l.mu.Lock()
	l.how = how
	l.tell()
	l.mu.Unlock()
	if how == refused {
		l.reset()
	}
}

// each does something with all connections that there are.
func (l *line) each(do func(*pipe)) {
	l.mu.Lock()
	var all []*pipe
	for p := range l.pipes {
		all = append(all, p)
	}
	l.mu.Unlock()
	for _, p := range all {
		do(p)
	}
}

// reset resets the connections that there are.
func (l *line) reset() { l.each(l.drop) }

// freeze kills the connections that there are, and tells nobody.
func (l *line) freeze() {
	l.each(func(p *pipe) {
		l.mu.Lock()
		defer l.mu.Unlock()
		p.frozen = true
	})
}

// sever has the line be so for some time.
func (l *line) sever(d time.Duration, how lineFault) {
	l.set(how)
	time.AfterFunc(d, func() { l.set(sound) })
}
