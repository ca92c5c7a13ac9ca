//! Random choices that a seed repeats: SplitMix64, by Steele, Lea and Flood.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of a part: of an episode, or of a load in it. It does not depend on what else was drawn.
    pub(crate) fn of(seed: u64, part: u64) -> Self {
        Self(mix(seed ^ mix(part.wrapping_add(1))))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A stream for somebody else.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }

    pub(crate) fn count(&mut self, range: RangeInclusive<usize>) -> usize {
        range.start() + (self.next() % (range.end() - range.start() + 1) as u64) as usize
    }

    pub(crate) fn micros(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_micros(self.within(range))
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.count(0..=from.len() - 1)]
    }
}

pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_stream_and_parts_differ() {
        let draw = |mut random: Random| [random.next(), random.next(), random.fork().next()];
        assert_eq!(draw(Random::of(7, 1)), draw(Random::of(7, 1)));
        assert_ne!(draw(Random::of(7, 1)), draw(Random::of(7, 2)));
        assert_ne!(draw(Random::of(7, 1)), draw(Random::of(8, 1)));
    }

    #[test]
    fn what_is_drawn_lies_within_its_range_and_reaches_the_ends() {
        let mut random = Random(1);
        let drawn: Vec<u64> = (0..200).map(|_| random.within(3..=6)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&3), Some(&6)));
    }
}
