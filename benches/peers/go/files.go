// Files: see src/subject/files.rs for what is read, and in which order.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const fileLen = 64 << 20

// Given an order, a number of blocks, and a path.
func readFile(line string) string {
	order, rest, _ := strings.Cut(line, " ")
	count, path, _ := strings.Cut(rest, " ")
	file, err := os.Open(path)
	if err != nil {
		fail(err)
	}
	defer file.Close()
	start := time.Now()
	var sum uint64
	if order == "random" {
		sum = readRandom(file, number(count))
	} else {
		sum = readSequential(file, number(count))
	}
	return fmt.Sprint(time.Since(start).Nanoseconds(), sum)
}

func readSequential(file *os.File, count int) uint64 {
	block := make([]byte, 64<<10)
	sum := uint64(0)
	for i := range count {
		if i%(fileLen/len(block)) == 0 {
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				fail(err)
			}
		}
		if _, err := io.ReadFull(file, block); err != nil {
			fail(err)
		}
		sum += binary.LittleEndian.Uint64(block)
	}
	return sum
}

func readRandom(file *os.File, count int) uint64 {
	block := make([]byte, 4<<10)
	sum, state := uint64(0), uint64(0)
	for range count {
		offset := state % (fileLen / uint64(len(block))) * uint64(len(block))
		if _, err := file.ReadAt(block, int64(offset)); err != nil {
			fail(err)
		}
		sum += binary.LittleEndian.Uint64(block)
		state = (state*6364136223846793005 + 1442695040888963407) >> 16
	}
	return sum
}
