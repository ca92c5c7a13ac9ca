//! The CPU work of the main benchmark: chains of SHA-256.
//!
//! Every subject does the same number of iterations, found once by the parent process.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::sys;

/// What one request is meant to cost.
pub(crate) const REQUEST_COST: Duration = Duration::from_micros(20);
/// How many times the work of a request one chunk of batch work is.
pub(crate) const CHUNK_REQUESTS: u32 = 10;
/// The length of every request and of every response.
pub(crate) const MESSAGE_LEN: usize = 64;

pub(crate) type Message = [u8; MESSAGE_LEN];

/// Hashes the hash of the hash …, `iterations` times.
pub(crate) fn chain(seed: &[u8], iterations: u32) -> [u8; 32] {
    let mut digest: [u8; 32] = Sha256::digest(seed).into();
    for _ in 1..iterations {
        digest = Sha256::digest(digest).into();
    }
    digest
}

/// The answer to a request: its digest, twice, so that it is as long as the request.
pub(crate) fn answer(request: &Message, iterations: u32) -> Message {
    let digest = chain(request, iterations);
    let mut message = [0; MESSAGE_LEN];
    message[..32].copy_from_slice(&digest);
    message[32..].copy_from_slice(&digest);
    message
}

/// The number of iterations that cost about [`REQUEST_COST`] on this machine, alone on a CPU.
pub(crate) fn calibrate() -> u32 {
    const TRIAL: u32 = 20_000;
    let trial = || {
        let start = Instant::now();
        black_box(chain(black_box(b"calibrate"), TRIAL));
        start.elapsed()
    };
    let best = (0..15).map(|_| trial()).min().unwrap_or(REQUEST_COST);
    let iterations = REQUEST_COST.as_secs_f64() / best.as_secs_f64() * f64::from(TRIAL);
    (iterations.round() as u32).max(1)
}

/// The background work of the server: counts the chunks done by all its tasks, and the CPU time that they took.
#[derive(Debug)]
pub(crate) struct Batch {
    iterations: u32,
    chunks: AtomicU64,
    cpu_ns: AtomicU64,
}

impl Batch {
    pub(crate) fn new(request_iterations: u32) -> Self {
        Self {
            iterations: request_iterations * CHUNK_REQUESTS,
            chunks: AtomicU64::new(0),
            cpu_ns: AtomicU64::new(0),
        }
    }

    /// Does one chunk of about 200 µs; it is not suspended meanwhile.
    pub(crate) fn chunk(&self) {
        let start = sys::thread_cpu_time();
        black_box(chain(black_box(b"batch"), self.iterations));
        let cpu = sys::thread_cpu_time() - start;
        self.cpu_ns.fetch_add(cpu.as_nanos() as u64, Ordering::Relaxed);
        self.chunks.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn chunks(&self) -> u64 {
        self.chunks.load(Ordering::Relaxed)
    }

    pub(crate) fn cpu_ns(&self) -> u64 {
        self.cpu_ns.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_of_one_is_plain_sha256() {
        let expected: [u8; 32] = Sha256::digest(b"abc").into();
        assert_eq!(chain(b"abc", 1), expected);
        assert_eq!(chain(b"abc", 2), <[u8; 32]>::from(Sha256::digest(expected)));
    }

    #[test]
    fn batch_counts_its_chunks() {
        let batch = Batch::new(1);
        batch.chunk();
        batch.chunk();
        assert_eq!(batch.chunks(), 2);
        assert!(batch.cpu_ns() > 0);
    }
}
