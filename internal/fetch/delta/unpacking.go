package delta

import (
	"slices"

	"stretcher/internal/archive/index"
)

// window is how many members are decompressed before they are asked for.
const window = 4

// unpacking decompresses members on a goroutine of its own, in their order, while what
// is made of them is written.
type unpacking struct {
	left []int // the numbers of those that have not been taken
	full chan unpacked
	free chan []byte
	stop chan struct{}
	done chan struct{}
}

// unpacked is a member that is decompressed, or why it is not.
type unpacked struct {
	plain []byte
	err   error
}

// beginUnpacking begins with members that are going to be asked for, sorted. Where there
// are few, nobody gains by it: it is nil.
func beginUnpacking(x *index.Index, spots map[int]spot, numbers []int) *unpacking {
	if len(numbers) < window {
		return nil
	}
	u := &unpacking{
		left: numbers, full: make(chan unpacked, window+1), free: make(chan []byte, window+1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	for range window {
		u.free <- nil
	}
	go u.run(&members{x: x, spots: spots, last: -1}, numbers)
	return u
}

// run decompresses them by m, which is its own.
func (u *unpacking) run(m *members, numbers []int) {
	defer close(u.done)
	defer m.close()
	for _, i := range numbers {
		select {
		case m.plain = <-u.free:
		case <-u.stop:
			return
		}
		m.last = -1
		plain, err := m.content(i)
		u.full <- unpacked{plain, err} // never blocks: as many places as buffers
	}
}

// take gives a member that is still to come. Those before it are left out.
func (u *unpacking) take(number int) (one unpacked, ok bool) {
	if u == nil {
		return one, false
	}
	k, ok := slices.BinarySearch(u.left, number)
	if !ok {
		return one, false
	}
	for range k {
		u.recycle((<-u.full).plain)
	}
	u.left = u.left[k+1:]
	return <-u.full, true
}

// recycle takes a buffer back.
func (u *unpacking) recycle(plain []byte) {
	select {
	case u.free <- plain:
	default: // there are enough
	}
}

// close ends it.
func (u *unpacking) close() {
	if u != nil {
		close(u.stop)
		<-u.done
	}
}
