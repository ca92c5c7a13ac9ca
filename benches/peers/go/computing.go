// Parallel CPU work: see src/subject/computing.rs for what is to be done.
package main

import (
	"slices"
	"sync"
)

const (
	rows    = 512
	limit   = 200
	numbers = 1 << 21
	few     = 8192
)

func row(y int) uint64 {
	sum := uint64(0)
	for x := range rows {
		a, b := float64(x)*3/rows-2, float64(y)*3/rows-1.5
		re, im := 0.0, 0.0
		for step := 0; step < limit && re*re+im*im <= 4; step++ {
			re, im = re*re-im*im+a, 2*re*im+b
			sum++
		}
	}
	return sum
}

func mandelbrot() uint64 {
	sums := make(chan uint64, rows)
	for y := range rows {
		go func() { sums <- row(y) }()
	}
	sum := uint64(0)
	for range rows {
		sum += <-sums
	}
	return sum
}

func unsorted() []uint32 {
	all := make([]uint32, numbers)
	state := uint32(1)
	for i := range all {
		state = state*1_664_525 + 1_013_904_223
		all[i] = state ^ state>>16
	}
	return all
}

func quicksort(all []uint32) {
	if len(all) <= few {
		slices.Sort(all)
		return
	}
	first, middle, last := all[0], all[len(all)/2], all[len(all)-1]
	pivot := min(max(first, middle), max(min(first, middle), last))
	end := len(all) - 1
	at := slices.Index(all, pivot)
	all[at], all[end] = all[end], all[at]
	lower := 0
	for i := range end {
		if all[i] < pivot {
			all[i], all[lower] = all[lower], all[i]
			lower++
		}
	}
	all[lower], all[end] = all[end], all[lower]
	var left sync.WaitGroup
	left.Add(1)
	go func() {
		quicksort(all[:lower])
		left.Done()
	}()
	quicksort(all[lower+1:])
	left.Wait()
}
