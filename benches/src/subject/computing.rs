//! Parallel CPU work: the rows of a picture, and sorting. Here rayon is a peer too.

use std::num::Wrapping;
use std::time::Instant;

use super::primitives::Done;
use super::{sward, threads};
use crate::cost::Costs;
use crate::error::{Error, Result};

/// The rows of the picture, each with as many points.
pub(crate) const ROWS: u32 = 512;
/// What comes out of them all.
pub(crate) const SUM_OF_ROWS: u64 = 9_985_499;
const LIMIT: u32 = 200;
/// The numbers to be sorted.
pub(crate) const NUMBERS: usize = 1 << 21;
/// So few are sorted in place.
const FEW: usize = 8192;

/// What can compute in parallel. The time of a run comes with a number by which to see that all was done.
pub(crate) trait Compute: Costs {
    /// Mandelbrot's set, a green thread for each row; returns the sum over [`row`].
    fn mandelbrot(&self) -> Result<Done>;

    /// Quicksort of [`numbers`]: each call lends one of its two parts to a green thread; returns [`count_in_order`]. An error if
    /// nothing can be lent.
    fn quicksort(&self) -> Result<Done> {
        Err(Error::new("its green threads cannot borrow"))
    }
}

/// The steps of all points of a row until they leave the circle, or the limit.
pub(super) fn row(y: u32) -> u64 {
    let steps = |x: u32| {
        let (a, b) = (f64::from(x) * 3.0 / f64::from(ROWS) - 2.0, f64::from(y) * 3.0 / f64::from(ROWS) - 1.5);
        let (mut re, mut im, mut step) = (0.0, 0.0, 0);
        while step < LIMIT && re * re + im * im <= 4.0 {
            (re, im) = (re * re - im * im + a, 2.0 * re * im + b);
            step += 1;
        }
        u64::from(step)
    };
    (0..ROWS).map(steps).sum()
}

/// The numbers to be sorted, always the same.
pub(super) fn numbers() -> Vec<u32> {
    let mut state = Wrapping(1_u32);
    let next = |_| {
        state = state * Wrapping(1_664_525) + Wrapping(1_013_904_223);
        // The upper bits of such a generator are the better ones.
        state.0 ^ (state.0 >> 16)
    };
    (0..NUMBERS).map(next).collect()
}

/// How many numbers there are, if they are in order; otherwise none.
pub(super) fn count_in_order(numbers: &[u32]) -> u64 {
    if numbers.is_sorted() { numbers.len() as u64 } else { 0 }
}

/// Brings the lower numbers to the left; the two parts, without the one between them.
fn parts(numbers: &mut [u32]) -> (&mut [u32], &mut [u32]) {
    let (first, middle, last) = (numbers[0], numbers[numbers.len() / 2], numbers[numbers.len() - 1]);
    let pivot = first.max(middle).min(first.min(middle).max(last));
    let last = numbers.len() - 1;
    let at = numbers.iter().position(|&number| number == pivot).unwrap_or(last);
    numbers.swap(at, last);
    let mut lower = 0;
    for at in 0..last {
        if numbers[at] < pivot {
            numbers.swap(at, lower);
            lower += 1;
        }
    }
    numbers.swap(lower, last);
    let (left, right) = numbers.split_at_mut(lower);
    (left, &mut right[1..])
}

fn timed(run: impl FnOnce(&mut [u32])) -> Done {
    let mut numbers = numbers();
    let start = Instant::now();
    run(&mut numbers);
    Done { time: start.elapsed(), count: count_in_order(&numbers) }
}

/// `mandelbrot` for those whose `spawn` and `join` block, and `quicksort` for those who have a `scope`.
macro_rules! compute {
    (mandelbrot: $spawn:path, $join:path) => {
        pub(in crate::subject) fn mandelbrot() -> Result<Done> {
            let start = Instant::now();
            let spawn_row = |y| $spawn(move || row(y));
            let rows: Vec<_> = (0..ROWS).map(spawn_row).collect();
            let mut count = 0;
            for row in rows {
                count += $join(row)?;
            }
            Ok(Done { time: start.elapsed(), count })
        }
    };
    (quicksort: $scope:path) => {
        pub(in crate::subject) fn quicksort() -> Done {
            timed(sort)
        }

        fn sort(numbers: &mut [u32]) {
            if numbers.len() <= FEW {
                return numbers.sort_unstable();
            }
            let (left, right) = parts(numbers);
            $scope(|scope| {
                scope.spawn(move || sort(left));
                sort(right);
            });
        }
    };
}

pub(super) mod for_sward {
    use super::{Done, FEW, Instant, ROWS, Result, parts, row, sward, timed};

    compute!(mandelbrot: ::sward::thread::spawn, sward::join);
    compute!(quicksort: ::sward::thread::scope);
}

pub(super) mod for_threads {
    use super::{Done, FEW, Instant, ROWS, Result, parts, row, threads, timed};

    compute!(mandelbrot: std::thread::spawn, threads::join);
    compute!(quicksort: std::thread::scope);
}

pub(super) mod for_may {
    use super::{Done, Instant, ROWS, Result, row};
    use crate::subject::may::{join, spawn};

    compute!(mandelbrot: spawn, join);
}

/// rayon, with a pool of its own.
#[derive(Debug)]
pub(super) struct Rayon(rayon::ThreadPool);

impl Rayon {
    pub(super) fn new(workers: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
        pool.map(Self).map_err(|error| Error::new(error.to_string()))
    }
}

impl Costs for Rayon {}

impl Compute for Rayon {
    fn mandelbrot(&self) -> Result<Done> {
        use rayon::iter::{IntoParallelIterator, ParallelIterator};
        Ok(self.0.install(|| {
            let start = Instant::now();
            // A row is as much work as a green thread of the others has.
            let count = (0..ROWS).into_par_iter().map(row).sum();
            Done { time: start.elapsed(), count }
        }))
    }

    fn quicksort(&self) -> Result<Done> {
        fn sort(numbers: &mut [u32]) {
            if numbers.len() <= FEW {
                return numbers.sort_unstable();
            }
            let (left, right) = parts(numbers);
            rayon::join(|| sort(left), || sort(right));
        }
        Ok(self.0.install(|| timed(sort)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_below_and_not_below_what_is_between() {
        let mut numbers = [5, 3, 9, 3, 7, 1, 8];
        let (left, right) = parts(&mut numbers);
        let (low, high) = (left.iter().max().copied(), right.iter().min().copied());
        assert!(left.len() + right.len() == 6 && low <= high);
        let mut numbers = [2, 2, 2];
        let (left, right) = parts(&mut numbers);
        assert_eq!(left.len() + right.len(), 2);
    }

    #[test]
    fn everybody_computes_the_same() {
        let sum = SUM_OF_ROWS;
        assert_eq!((0..ROWS).map(row).sum::<u64>(), sum);
        let rayon = Rayon::new(2).expect("threads can be started");
        assert_eq!(rayon.mandelbrot().map(|done| done.count).ok(), Some(sum));
        assert_eq!(for_threads::mandelbrot().map(|done| done.count).ok(), Some(sum));
        assert_eq!(rayon.quicksort().map(|done| done.count).ok(), Some(NUMBERS as u64));
        assert_eq!(for_threads::quicksort().count, NUMBERS as u64);
    }

    #[test]
    fn disorder_is_seen() {
        assert_eq!(count_in_order(&[1, 1, 2]), 3);
        assert_eq!(count_in_order(&[1, 3, 2]), 0);
        assert_eq!(count_in_order(&numbers()), 0);
    }
}
