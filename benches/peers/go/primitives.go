// The primitives: see src/subject/primitives/mod.rs for what each is to do.
package main

import (
	"runtime"
	"sync"
	"time"
)

const (
	producers      = 4
	consumers      = 4
	capacity       = 1024
	selectCapacity = 16
	contenders     = 8
	writeEach      = 32
	permits        = 4
	receiveLimit   = 10 * time.Second
	stages         = 8
	pairCount      = 32
)

// Each answers with a number by which to see that all was done.
var primitives = map[string]func(int) uint64{
	"chan_pingpong":      chanPingpong,
	"chan_mpsc":          func(n int) uint64 { return channel(n, 1) },
	"chan_mpmc":          func(n int) uint64 { return channel(n, consumers) },
	"select_fan_in":      selectFanIn,
	"pingpong_timeout":   pingpongTimeout,
	"pipeline":           pipeline,
	"pairs":              pairs,
	"mutex_uncontended":  mutexUncontended,
	"mutex_contended":    mutexContended,
	"rwlock_read_mostly": rwlockReadMostly,
	"condvar_handoff":    condvarHandoff,
	"semaphore":          semaphore,
}

func chanPingpong(rounds int) uint64 {
	ping, pong := make(chan uint64), make(chan uint64)
	go func() {
		for range rounds {
			pong <- <-ping + 1
		}
	}()
	count := uint64(0)
	for range rounds {
		ping <- count
		count = <-pong
	}
	return count
}

func channel(messages, consumers int) uint64 {
	messagesOf := make(chan uint64, capacity)
	var sending sync.WaitGroup
	for range producers {
		sending.Add(1)
		go func() {
			for range messages / producers {
				messagesOf <- 1
			}
			sending.Done()
		}()
	}
	go func() {
		sending.Wait()
		close(messagesOf)
	}()
	sums := make(chan uint64, consumers)
	for range consumers {
		go func() {
			sum := uint64(0)
			for message := range messagesOf {
				sum += message
			}
			sums <- sum
		}()
	}
	count := uint64(0)
	for range consumers {
		count += <-sums
	}
	return count
}

func selectFanIn(messages int) uint64 {
	var channels [producers]chan uint64
	for i := range channels {
		channels[i] = make(chan uint64, selectCapacity)
		go func() {
			for range messages / producers {
				channels[i] <- 1
			}
		}()
	}
	a, b, c, d := channels[0], channels[1], channels[2], channels[3]
	count := uint64(0)
	for count < uint64(messages) {
		select {
		case message := <-a:
			count += message
		case message := <-b:
			count += message
		case message := <-c:
			count += message
		case message := <-d:
			count += message
		}
	}
	return count
}

// As pingpongLimited, with messages. There is room for one, or those who wait could all be senders, whom nothing limits.
func pingpongTimeout(rounds int) uint64 {
	ping, pong := make(chan uint64, 1), make(chan uint64, 1)
	receive := func(timer *time.Timer, from <-chan uint64) uint64 {
		timer.Reset(receiveLimit)
		select {
		case message := <-from:
			timer.Stop()
			return message
		case <-timer.C:
			fail("the limit is never reached")
			return 0
		}
	}
	go func() {
		timer := time.NewTimer(receiveLimit)
		for range rounds {
			pong <- receive(timer, ping) + 1
		}
	}()
	timer := time.NewTimer(receiveLimit)
	count := uint64(0)
	for range rounds {
		ping <- count
		count = receive(timer, pong)
	}
	return count
}

func pipeline(messages int) uint64 {
	first := make(chan uint64, selectCapacity)
	go func() {
		for range messages {
			first <- 0
		}
		close(first)
	}()
	last := first
	for range stages {
		before, next := last, make(chan uint64, selectCapacity)
		go func() {
			for message := range before {
				next <- message + 1
			}
			close(next)
		}()
		last = next
	}
	count := uint64(0)
	for message := range last {
		count += message / stages
	}
	return count
}

func hashForMessage() uint64 {
	if chain([]byte("message"), 8) == [32]byte{} {
		return 0
	}
	return 1
}

func pairs(messages int) uint64 {
	sums := make(chan uint64, pairCount)
	for range pairCount {
		messagesOf := make(chan uint64, selectCapacity)
		go func() {
			for range messages / pairCount {
				messagesOf <- hashForMessage()
			}
			close(messagesOf)
		}()
		go func() {
			sum := uint64(0)
			for one := range messagesOf {
				sum += one * hashForMessage()
			}
			sums <- sum
		}()
	}
	count := uint64(0)
	for range pairCount {
		count += <-sums
	}
	return count
}

func mutexUncontended(count int) uint64 {
	var lock sync.Mutex
	number := uint64(0)
	for range count {
		lock.Lock()
		number++
		lock.Unlock()
	}
	return number
}

// Runs `contend` in each of the contenders and adds up what it returns.
func contend(contend func() uint64) uint64 {
	sums := make(chan uint64, contenders)
	for range contenders {
		go func() { sums <- contend() }()
	}
	sum := uint64(0)
	for range contenders {
		sum += <-sums
	}
	return sum
}

func mutexContended(count int) uint64 {
	var lock sync.Mutex
	number := uint64(0)
	contend(func() uint64 {
		for range count / contenders {
			lock.Lock()
			number++
			lock.Unlock()
		}
		return 0
	})
	return number
}

func rwlockReadMostly(count int) uint64 {
	var lock sync.RWMutex
	number := 0
	reads := contend(func() uint64 {
		done := uint64(0)
		for i := range count / contenders {
			if i%writeEach == 0 {
				lock.Lock()
				number++
				lock.Unlock()
				continue
			}
			lock.RLock()
			if number <= count {
				done++
			}
			lock.RUnlock()
		}
		return done
	})
	return reads + uint64(number)
}

func condvarHandoff(rounds int) uint64 {
	var lock sync.Mutex
	changed := sync.NewCond(&lock)
	turns := uint64(0)
	take := func(parity uint64) {
		for range rounds {
			lock.Lock()
			for turns%2 != parity {
				changed.Wait()
			}
			turns++
			changed.Signal()
			lock.Unlock()
		}
	}
	other := make(chan struct{})
	go func() {
		take(1)
		close(other)
	}()
	take(0)
	<-other
	return turns / 2
}

// A buffered channel is the semaphore of Go's standard library.
func semaphore(count int) uint64 {
	held := make(chan struct{}, permits)
	return contend(func() uint64 {
		done := uint64(0)
		for range count / contenders {
			held <- struct{}{}
			runtime.Gosched()
			<-held
			done++
		}
		return done
	})
}
