// Storms: see src/subject/lateness/storm.rs for what is to be done. The answers are how late each tick was, then each of the others.
package main

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const calm = 100 * time.Millisecond

var stormListener net.Listener

// Answers with the port.
func stormListen() int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	stormListener = listener
	return listener.Addr().(*net.TCPAddr).Port
}

func stormAccept(count, ticks int) string {
	byTimer, late := make([]time.Duration, ticks), make([]time.Duration, count)
	var all sync.WaitGroup
	all.Add(count + 1)
	go func() {
		tickByTimer(byTimer)
		all.Done()
	}()
	for i := range late {
		connection, err := stormListener.Accept()
		if err != nil {
			fail(err)
		}
		go func() {
			var message [tickLen]byte
			if _, err := io.ReadFull(connection, message[:]); err != nil {
				fail(err)
			}
			late[i] = lateBy(time.Duration(binary.LittleEndian.Uint64(message[:])))
			connection.Close()
			all.Done()
		}()
	}
	all.Wait()
	return list(append(byTimer, late...))
}

func stormWake(count, ticks int) string {
	byTimer, late := make([]time.Duration, ticks), make([]time.Duration, count)
	gate := make(chan struct{})
	var arrived, began atomic.Int64
	var all sync.WaitGroup
	all.Add(count + 1)
	for i := range late {
		go func() {
			arrived.Add(1)
			<-gate
			late[i] = lateBy(time.Duration(began.Load()))
			all.Done()
		}()
	}
	for arrived.Load() < int64(count) {
		time.Sleep(time.Millisecond)
	}
	go func() {
		tickByTimer(byTimer)
		all.Done()
	}()
	time.Sleep(calm)
	began.Store(int64(monotonic()))
	close(gate)
	all.Wait()
	return list(append(byTimer, late...))
}
