// Lateness: see src/subject/lateness/mod.rs for what is to be done.
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	tick    = time.Millisecond
	burst   = 50 * time.Millisecond
	hogs    = 2
	tickLen = 8
)

// The clock that the Rust side reads too.
func monotonic() time.Duration {
	const clock = 1
	var now syscall.Timespec
	place := uintptr(unsafe.Pointer(&now))
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, place, 0); errno != 0 {
		fail(errno)
	}
	return time.Duration(now.Nano())
}

// The CPU time of the process, in nanoseconds, and its context switches.
func usage() (int64, int64) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano(), usage.Nvcsw + usage.Nivcsw
}

func lateBy(due time.Duration) time.Duration { return max(0, monotonic()-due) }

func list(late []time.Duration) string {
	texts := make([]string, len(late))
	for i, nanos := range late {
		texts[i] = strconv.FormatInt(nanos.Nanoseconds(), 10)
	}
	return strings.Join(texts, " ")
}

// Answers with how late each sleeper was.
func sleepAll(count int, shortest, spread time.Duration) string {
	late := make([]time.Duration, count)
	var all sync.WaitGroup
	all.Add(count)
	for i := range count {
		go func() {
			scattered := uint32(i) * 0x9e3779b9
			nap := shortest + time.Duration(float64(spread)*float64(scattered)/float64(^uint32(0)))
			due := monotonic() + nap
			time.Sleep(nap)
			late[i] = lateBy(due)
			all.Done()
		}()
	}
	all.Wait()
	return list(late)
}

// Answers with how late each tick of the timer was, then each that came from the port, if there are hogs.
func ticks(count int, kind string, port string) string {
	var isOver atomic.Bool
	var all sync.WaitGroup
	if kind != "none" {
		for range hogs {
			go hog(kind, &isOver)
		}
	}
	byTimer := make([]time.Duration, count)
	var byTCP []time.Duration
	all.Add(1)
	go func() {
		tickByTimer(byTimer)
		all.Done()
	}()
	if kind != "none" {
		byTCP = make([]time.Duration, count)
		all.Add(1)
		go func() {
			tickByTCP(byTCP, port)
			all.Done()
		}()
	}
	all.Wait()
	isOver.Store(true)
	return list(append(byTimer, byTCP...))
}

func tickByTimer(late []time.Duration) {
	start := monotonic()
	for i := range late {
		due := start + time.Duration(i+1)*tick
		if rest := due - monotonic(); rest > 0 {
			time.Sleep(rest)
		}
		late[i] = lateBy(due)
	}
}

func hog(kind string, isOver *atomic.Bool) {
	for !isOver.Load() {
		if kind == "blocking" {
			rest := syscall.NsecToTimespec(burst.Nanoseconds())
			// Go's signals cut it short.
			for syscall.Nanosleep(&rest, &rest) == syscall.EINTR {
			}
		} else {
			for start := time.Now(); time.Since(start) < burst; {
				digest := sha256.Sum256([]byte("hog"))
				for range 99 {
					digest = sha256.Sum256(digest[:])
				}
			}
		}
		runtime.Gosched()
	}
}

func tickByTCP(late []time.Duration, port string) {
	connection, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		fail(err)
	}
	var message [tickLen]byte
	for i := range late {
		if _, err := io.ReadFull(connection, message[:]); err != nil {
			fail(err)
		}
		late[i] = lateBy(time.Duration(binary.LittleEndian.Uint64(message[:])))
	}
}
