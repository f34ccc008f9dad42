package eio

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ringSize is how many sends go into one call. It takes the kernel 0.2 ms, or
// 0.6 for 16 KiB each, in which the collector waits for it.
const ringSize = 32

// A ring is an io_uring(7) that sends, and nothing else: a fan-out that calls
// the kernel once for 32 sockets costs a sixth less than by send(2). The sends
// do not wait, so all are done when the call returns, and no thread of the
// kernel's is ever needed. One goroutine at a time uses it.
//
// Where the kernel is older than 5.17, or does not let this process have one
// (seccomp in Docker's default profile, the sysctl kernel.io_uring_disabled), there is none.
type ring struct {
	descriptor int
	memory     []byte // of both queues' heads
	entries    []byte // of the first
	sends      *[ringSize]submission
	submitted  struct{ head, tail *uint32 }
	completed  struct{ head, tail *uint32 }
	mask       uint32 // of completed
	results    unsafe.Pointer
	n          int // added since the last call
	took       [ringSize]int
}

// submission is struct io_uring_sqe, as linux/io_uring.h has it, for IORING_OP_SEND.
// The rest is 0, as the kernel has made it.
type submission struct {
	opcode     uint8
	_          [3]uint8
	descriptor int32
	_          uint64
	address    uint64
	length     uint32
	message    uint32 // flags of the send
	tag        uint64 // comes back with the result
	_          [3]uint64
}

// result is struct io_uring_cqe.
type result struct {
	tag    uint64
	result int32
	_      uint32
}

// parameters is struct io_uring_params.
type parameters struct {
	submissions, completions, flags, _, _ uint32
	features, _                           uint32
	_                                     [3]uint32
	submission                            struct{ head, tail, mask, entries, flags, dropped, array, _ uint32 }
	_                                     uint64
	completion                            struct{ head, tail, mask, entries, overflow, results, flags, _ uint32 }
	_                                     uint64
}

const (
	opSend           = 26
	enterGetEvents   = 1
	featureOneMap    = 1 << 0  // the heads of both queues are in one mapping
	featureNoDrop    = 1 << 1  // no result is lost
	feature517       = 1 << 11 // a kernel of 5.17 or later
	featuresWanted   = featureOneMap | featureNoDrop | feature517
	offsetHeads      = 0
	offsetSubmission = 0x10000000
)

var errOldKernel = errors.New("the kernel's io_uring is too old")

// newRings makes a ring for each processor; none if the kernel has none for us.
func newRings() []*ring {
	var all []*ring
	for range runtime.GOMAXPROCS(0) {
		r, err := newRing()
		if err != nil {
			return all
		}
		all = append(all, r)
	}
	return all
}

func newRing() (*ring, error) {
	var p parameters
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, ringSize, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("io_uring_setup", errno)
	}
	r := &ring{descriptor: int(fd)} //nolint:gosec // a descriptor
	if p.features&featuresWanted != featuresWanted || p.submissions != ringSize {
		r.close()
		return nil, errOldKernel
	}
	size := max(p.submission.array+4*p.submissions, p.completion.results+p.completions*uint32(unsafe.Sizeof(result{})))
	var err error
	for _, m := range []struct {
		to     *[]byte
		offset int64
		size   int
	}{
		{&r.memory, offsetHeads, int(size)},
		{&r.entries, offsetSubmission, int(unsafe.Sizeof(*r.sends))},
	} {
		*m.to, err = unix.Mmap(r.descriptor, m.offset, m.size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			r.close()
			return nil, fmt.Errorf("map an io_uring: %w", err)
		}
	}
	at := func(offset uint32) unsafe.Pointer { return unsafe.Pointer(&r.memory[offset]) }
	r.submitted.head, r.submitted.tail = (*uint32)(at(p.submission.head)), (*uint32)(at(p.submission.tail))
	r.completed.head, r.completed.tail = (*uint32)(at(p.completion.head)), (*uint32)(at(p.completion.tail))
	r.mask = *(*uint32)(at(p.completion.mask))
	r.results = at(p.completion.results)
	r.sends = (*[ringSize]submission)(unsafe.Pointer(&r.entries[0]))
	for i := range uint32(ringSize) {
		*(*uint32)(at(p.submission.array + 4*i)) = i
	}
	return r, nil
}

// add adds a send to the next call. There is room for ringSize. The bytes are
// the kernel's until then, and must not be the stack's.
func (r *ring) add(descriptor int, b []byte) {
	s := &r.sends[(*r.submitted.tail+uint32(r.n))%ringSize] //nolint:gosec // below ringSize
	s.opcode = opSend
	s.descriptor = int32(descriptor) //nolint:gosec // a descriptor
	s.address = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	s.length = uint32(len(b)) //nolint:gosec // aheadBytes
	s.message = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL
	s.tag = uint64(r.n) //nolint:gosec // below ringSize
	r.took[r.n] = 0
	r.n++
}

// send calls the kernel. What it does not come to, it took nothing of.
func (r *ring) send() {
	n := r.n
	r.n = 0
	atomic.AddUint32(r.submitted.tail, uint32(n)) //nolint:gosec // below ringSize
	// As with send, there is nothing of which the scheduler need hear.
	begun, _, errno := syscall.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.descriptor), uintptr(n), 0, 0, 0, 0)
	if errno != 0 {
		begun = 0
	}
	// What it has not begun it must not begin with the next call.
	atomic.StoreUint32(r.submitted.tail, atomic.LoadUint32(r.submitted.head))
	for left := int(begun); ; { //nolint:gosec // at most n
		head, tail := *r.completed.head, atomic.LoadUint32(r.completed.tail)
		for ; head != tail; head++ {
			done := (*result)(unsafe.Add(r.results, uintptr(head&r.mask)*unsafe.Sizeof(result{})))
			r.took[done.tag] = max(0, int(done.result))
			left--
		}
		atomic.StoreUint32(r.completed.head, head)
		if left <= 0 {
			return
		}
		// Never seen: one that was begun is not done. Its bytes are the kernel's until it is.
		_, _, _ = syscall.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.descriptor), 0, uintptr(left), enterGetEvents, 0, 0)
	}
}

// sent returns how many bytes of the i-th send of the last call the kernel
// took. An error is 0: Flush will meet it.
func (r *ring) sent(i int) int { return r.took[i] }

func (r *ring) close() {
	for _, m := range [][]byte{r.memory, r.entries} {
		if m != nil {
			_ = unix.Munmap(m)
		}
	}
	_ = unix.Close(r.descriptor)
}
