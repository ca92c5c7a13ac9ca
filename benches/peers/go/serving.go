// The servers: see src/subject/serving.rs for what each is to do.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

func serve(role string, iterations, tasks int, path string) {
	var chunks, batchCPU atomic.Uint64
	go giveReadings(&chunks, &batchCPU)
	for range tasks {
		go batch(iterations, &chunks, &batchCPU)
	}
	switch role {
	case "echo":
		accept("tcp", "127.0.0.1:0", func(c net.Conn) { handle(c, 0, false) })
	case "plain_echo":
		accept("tcp", "127.0.0.1:0", plainEcho)
	case "once":
		accept("tcp", "127.0.0.1:0", func(c net.Conn) { handle(c, 0, true) })
	case "unix_echo":
		accept("unix", path, func(c net.Conn) { handle(c, 0, false) })
	case "udp_echo":
		serveDatagrams()
	case "http":
		serveHTTP()
	case "requests":
		accept("tcp", "127.0.0.1:0", func(c net.Conn) { handle(c, iterations, false) })
	default:
		fail("unknown role " + role)
	}
}

func batch(iterations int, chunks, batchCPU *atomic.Uint64) {
	for {
		thread, start := syscall.Gettid(), threadCPU()
		chain([]byte("batch"), iterations*chunkRequests)
		cpu := threadCPU() - start
		done := chunks.Add(1)
		if syscall.Gettid() != thread {
			// Preempted, and resumed on another thread: this one took as long as the others did.
			cpu = batchCPU.Load() / done
		}
		batchCPU.Add(cpu)
		runtime.Gosched()
	}
}

func announce(address net.Addr) {
	fmt.Printf("{\"address\": %q}\n", address.String())
}

func accept(network, address string, handle func(net.Conn)) {
	listener, err := net.Listen(network, address)
	if err != nil {
		fail(err)
	}
	announce(listener.Addr())
	for {
		// TCP_NODELAY is on by default.
		connection, err := listener.Accept()
		if err != nil {
			fail(err)
		}
		go handle(connection)
	}
}

// A reading for each line on the standard input; the server ends when that does.
func giveReadings(chunks, batchCPU *atomic.Uint64) {
	start := time.Now()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		at := time.Since(start).Nanoseconds()
		cpu, switches := usage()
		const form = `{"at_ns": %d, "cpu_ns": %d, "switches": %d, "chunks": %d, "batch_cpu_ns": %d}`
		fmt.Printf(form+"\n", at, cpu, switches, chunks.Load(), batchCPU.Load())
	}
	os.Exit(0)
}

// The CPU time of the calling thread, in nanoseconds.
func threadCPU() uint64 {
	const threadClock = 3
	var now syscall.Timespec
	place := uintptr(unsafe.Pointer(&now))
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadClock, place, 0); errno != 0 {
		fail(errno)
	}
	return uint64(now.Nano())
}

func handle(connection net.Conn, iterations int, once bool) {
	defer connection.Close()
	var buffer [1024]byte
	filled := 0
	for {
		count, err := connection.Read(buffer[filled:])
		if err != nil {
			return
		}
		filled += count
		if filled < messageLen {
			continue
		}
		answer := buffer[:messageLen]
		if iterations > 0 {
			digest := chain(answer, iterations)
			copy(answer, digest[:])
			copy(answer[32:], digest[:])
		}
		if _, err := connection.Write(answer); err != nil || once {
			return
		}
		copy(buffer[:], buffer[messageLen:filled])
		filled -= messageLen
	}
}

func serveHTTP() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	announce(listener.Addr())
	fail(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"text/plain"}
		// A client that has gone away ends its connection.
		_, _ = io.WriteString(w, "Hello, World!")
	})))
}

func plainEcho(connection net.Conn) {
	defer connection.Close()
	var message [messageLen]byte
	for {
		if _, err := io.ReadFull(connection, message[:]); err != nil {
			return
		}
		if _, err := connection.Write(message[:]); err != nil {
			return
		}
	}
}

func serveDatagrams() {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		fail(err)
	}
	announce(socket.LocalAddr())
	for range runtime.GOMAXPROCS(0) - 1 {
		go echoDatagrams(socket)
	}
	echoDatagrams(socket)
}

// The calls with netip.AddrPort make no garbage.
func echoDatagrams(socket *net.UDPConn) {
	var datagram [2 * messageLen]byte
	for {
		count, from, err := socket.ReadFromUDPAddrPort(datagram[:])
		if err != nil {
			fail(err)
		}
		if _, err := socket.WriteToUDPAddrPort(datagram[:count], from); err != nil {
			fail(err)
		}
	}
}
