// The Go peer of the benchmarks.
//
//	peer commands                    reads a command a line, answers each with a line of numbers
//	peer serve ROLE ITERATIONS TASKS PATH
//	                                 a server; PATH is that of a Unix socket, if the role needs one
//
// The harness decides how much work is done and how often; see src/subject/go.rs.
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"iter"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const messageLen = 64

// How many times the work of a request one chunk of batch work is.
const chunkRequests = 10

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "commands":
		commands()
	case len(os.Args) == 6 && os.Args[1] == "serve":
		serve(os.Args[2], number(os.Args[3]), number(os.Args[4]), os.Args[5])
	default:
		fail("usage: peer commands | peer serve ROLE ITERATIONS TASKS PATH")
	}
}

func fail(message any) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		fail(err)
	}
	return n
}

func commands() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if order, isFile := strings.CutPrefix(lines.Text(), "file_"); isFile {
			fmt.Println(readFile(order))
			continue
		}
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			fail("an empty command")
		}
		arguments := make([]int, len(words)-1)
		for i, word := range words[1:] {
			arguments[i] = number(word)
		}
		fmt.Println(command(words[0], arguments))
	}
}

func command(name string, n []int) string {
	start := time.Now()
	switch name {
	case "yields":
		yields(n[0], n[1])
	case "spawn_join":
		spawnJoin(n[0])
	case "spawn_batch":
		spawnBatch(n[0])
	case "pingpong":
		pingpong(n[0])
	case "pingpong_limited":
		pingpongLimited(n[0], time.Duration(n[1])*time.Millisecond)
	case "skynet":
		sum := skynet(n[0])
		return fmt.Sprint(time.Since(start).Nanoseconds(), sum)
	case "fib":
		value := fib(n[0])
		return fmt.Sprint(time.Since(start).Nanoseconds(), value)
	case "generator":
		sum := generator(n[0])
		return fmt.Sprint(time.Since(start).Nanoseconds(), sum)
	case "mandelbrot":
		sum := mandelbrot()
		return fmt.Sprint(time.Since(start).Nanoseconds(), sum)
	case "quicksort":
		all := unsorted()
		start = time.Now()
		quicksort(all)
		elapsed := time.Since(start).Nanoseconds()
		if !slices.IsSorted(all) {
			fail("not sorted")
		}
		return fmt.Sprint(elapsed, len(all))
	case "idle":
		return fmt.Sprint(idle(n[0], false))
	case "idle_deep":
		return fmt.Sprint(idle(n[0], true))
	case "wakes":
		return wakes(n[0])
	case "sleep_all":
		return sleepAll(n[0], time.Duration(n[1])*time.Millisecond, time.Duration(n[2])*time.Millisecond)
	case "ticks_none":
		return ticks(n[0], "none", "")
	case "ticks_computing":
		return ticks(n[0], "computing", strconv.Itoa(n[1]))
	case "ticks_blocking":
		return ticks(n[0], "blocking", strconv.Itoa(n[1]))
	case "storm_listen":
		return strconv.Itoa(stormListen())
	case "storm_accept":
		return stormAccept(n[0], n[1])
	case "storm_wake":
		return stormWake(n[0], n[1])
	case "usage":
		cpu, switches := usage()
		return fmt.Sprint(cpu, switches)
	default:
		primitive, known := primitives[name]
		if !known {
			fail("unknown command " + name)
		}
		count := primitive(n[0])
		return fmt.Sprint(time.Since(start).Nanoseconds(), count)
	}
	return fmt.Sprint(time.Since(start).Nanoseconds())
}

func yields(goroutines, each int) {
	var all sync.WaitGroup
	all.Add(goroutines)
	var missing atomic.Int64
	missing.Store(int64(goroutines))
	for range goroutines {
		go func() {
			missing.Add(-1)
			for missing.Load() > 0 {
				runtime.Gosched()
			}
			for range each {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	all.Wait()
}

func spawnJoin(count int) {
	var one sync.WaitGroup
	for range count {
		one.Add(1)
		go one.Done()
		one.Wait()
	}
}

func spawnBatch(count int) {
	var all sync.WaitGroup
	all.Add(count)
	for range count {
		go all.Done()
	}
	all.Wait()
}

func pingpong(rounds int) {
	ping, pong := make(chan struct{}), make(chan struct{})
	go func() {
		for range rounds {
			<-ping
			pong <- struct{}{}
		}
	}()
	for range rounds {
		ping <- struct{}{}
		<-pong
	}
}

// Each wait has a timer, which is used again, as those do who care.
func pingpongLimited(rounds int, limit time.Duration) {
	ping, pong := make(chan struct{}), make(chan struct{})
	wait := func(timer *time.Timer, turn <-chan struct{}) {
		timer.Reset(limit)
		select {
		case <-turn:
			timer.Stop()
		case <-timer.C:
			fail("the limit is never reached")
		}
	}
	go func() {
		timer := time.NewTimer(limit)
		for range rounds {
			wait(timer, ping)
			pong <- struct{}{}
		}
	}()
	timer := time.NewTimer(limit)
	for range rounds {
		ping <- struct{}{}
		wait(timer, pong)
	}
}

func skynet(depth int) uint64 {
	leaves := uint64(1)
	for range depth {
		leaves *= 10
	}
	result := make(chan uint64, 1)
	go skynetNode(result, 0, leaves)
	return <-result
}

func skynetNode(result chan<- uint64, number, leaves uint64) {
	if leaves == 1 {
		result <- number
		return
	}
	children := make(chan uint64, 10)
	for at := range uint64(10) {
		go skynetNode(children, number+at*(leaves/10), leaves/10)
	}
	sum := uint64(0)
	for range 10 {
		sum += <-children
	}
	result <- sum
}

func fib(n int) uint64 {
	if n < 2 {
		return uint64(n)
	}
	spawned := make(chan uint64, 1)
	go func() { spawned <- fib(n - 1) }()
	here := fib(n - 2)
	return <-spawned + here
}

// The numbers are pulled, so that whoever takes them and who hands them out are suspended in turn.
func generator(count int) uint64 {
	next, stop := iter.Pull(func(yield func(uint64) bool) {
		for i := range uint64(count) {
			if !yield(i) {
				return
			}
		}
	})
	defer stop()
	sum := uint64(0)
	for {
		number, more := next()
		if !more {
			return sum
		}
		sum += number
	}
}

// A frame of 6 KiB.
//
//go:noinline
func callDeep(at int) byte {
	var frame [6 << 10]byte
	frame[at] = 1
	return frame[at/2]
}

func idle(count int, deep bool) uint64 {
	var started atomic.Int64
	gate := make(chan struct{})
	before := resident()
	for range count {
		go func() {
			if deep {
				_ = callDeep(int(started.Load()) % 1024)
			}
			started.Add(1)
			<-gate
		}()
	}
	for started.Load() < int64(count) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	after := resident()
	close(gate)
	return after - before
}

func resident() uint64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		fail(err)
	}
	return uint64(number(strings.Fields(string(statm))[1])) * uint64(os.Getpagesize())
}

// The waker is a goroutine locked to its OS thread: as near to a plain thread as Go has.
func wakes(samples int) string {
	runtime.LockOSThread()
	wake := make(chan time.Time, 1)
	woken := make(chan time.Duration, 1)
	go func() {
		for sent := range wake {
			woken <- time.Since(sent)
		}
	}()
	latencies := make([]string, samples)
	for i := range latencies {
		sleepThread()
		wake <- time.Now()
		sleepThread()
		latencies[i] = strconv.FormatInt((<-woken).Nanoseconds(), 10)
	}
	close(wake)
	return strings.Join(latencies, " ")
}

// Sleeps in the kernel, as the wakers of the other subjects do, and not by a timer of the runtime.
func sleepThread() {
	duration := syscall.NsecToTimespec(int64(time.Millisecond))
	// A sleep that is cut short by a signal is as good.
	_ = syscall.Nanosleep(&duration, nil)
}

func chain(seed []byte, iterations int) [32]byte {
	digest := sha256.Sum256(seed)
	for i := 1; i < iterations; i++ {
		digest = sha256.Sum256(digest[:])
	}
	return digest
}
