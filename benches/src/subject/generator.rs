//! Generators: one hands out numbers, one at a time, and whoever resumes it adds them up.
//!
//! No scheduler has a part in that. tokio, smol and OS threads have no generators.

use std::hint::black_box;
use std::time::Instant;

use super::go::Go;
use super::{Done, Kind};
use crate::error::{Error, Result};

/// Takes so many numbers, from 0 on, from a generator of this subject; returns their sum too.
pub(crate) fn generator(kind: Kind, count: u64) -> Result<Done> {
    match kind {
        Kind::Sward => Ok(sward(count)),
        Kind::Corosensei => corosensei(count),
        Kind::May => Ok(may(count)),
        Kind::Go => Go::new(1)?.generator(count),
        _ => Err(Error::new("no generators")),
    }
}

fn sum(numbers: impl Iterator<Item = u64>) -> Done {
    let start = Instant::now();
    let count = numbers.fold(0, u64::wrapping_add);
    Done { time: start.elapsed(), count }
}

fn sward(count: u64) -> Done {
    sward::coroutine::scope(|scope| sum(scope.iter(|y| (0..black_box(count)).for_each(|n| y.yield_(n)))))
}

/// With a stack of the same size as sward's.
fn corosensei(count: u64) -> Result<Done> {
    let stack = corosensei::stack::DefaultStack::new(256 << 10)?;
    let mut coroutine = corosensei::Coroutine::with_stack(stack, move |y, ()| {
        (0..black_box(count)).for_each(|n| y.suspend(n));
    });
    Ok(sum(std::iter::from_fn(|| coroutine.resume(()).as_yield())))
}

/// By the crate whose generators may's coroutines are.
fn may(count: u64) -> Done {
    sum(generator::Gn::<()>::new_scoped(move |mut scope| {
        for n in 0..black_box(count) {
            scope.yield_(n);
        }
        generator::done!()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_handed_out() {
        for kind in [Kind::Sward, Kind::Corosensei, Kind::May] {
            assert_eq!(generator(kind, 10).map(|done| done.count).ok(), Some(45));
        }
        assert!(generator(Kind::Tokio, 10).is_err());
    }
}
