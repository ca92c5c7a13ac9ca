//! Reading a file that is in the page cache: what each subject is to do, and how it does that.
//!
//! The subjects whose files have the API of `std`'s share one source, which is expanded in a module for each.

use std::io::SeekFrom;
use std::path::Path;
use std::time::Instant;

use super::Done;
use crate::error::Result;

/// The length of the file.
pub(crate) const FILE_LEN: u64 = 64 << 20;

/// In what order a file is read, and how much at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// From the beginning on, and from the beginning again, 64 KiB at a time.
    Sequential,
    /// 4 KiB anywhere.
    Random,
}

impl Order {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Random => "random",
        }
    }

    pub(crate) fn block_len(self) -> usize {
        match self {
            Self::Sequential => 64 << 10,
            Self::Random => 4 << 10,
        }
    }

    /// Where the blocks that are read begin, one after the other, for ever.
    fn offsets(self) -> impl Iterator<Item = u64> {
        let (block_len, blocks) = (self.block_len() as u64, FILE_LEN / self.block_len() as u64);
        let mut state = 0;
        std::iter::repeat_with(move || {
            let block = state % blocks;
            state = match self {
                Self::Sequential => state + 1,
                Self::Random => scatter(state),
            };
            block * block_len
        })
    }
}

/// A linear congruential generator without its low bits, which are not random.
fn scatter(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 16
}

/// What a block begins with that was written where the file says so; the sum over all blocks shows that they were read.
fn mark(block: &[u8]) -> u64 {
    block.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The sum of the marks of the first blocks that are read.
pub(crate) fn sum_of_marks(order: Order, blocks: u64) -> u64 {
    order.offsets().take(blocks as usize).fold(0, u64::wrapping_add)
}

/// Writes the file: each 4 KiB begin with their offset.
pub(crate) fn write(path: &Path) -> Result<()> {
    let mut bytes = vec![0; FILE_LEN as usize];
    for (at, block) in bytes.chunks_mut(4 << 10).enumerate() {
        block[..8].copy_from_slice(&((at as u64) << 12).to_le_bytes());
    }
    Ok(std::fs::write(path, bytes)?)
}

/// `read`, given `File` and `FileExt` with the API of `std`.
macro_rules! read {
    () => {
        pub(in crate::subject) fn read(path: &Path, order: Order, count: u64) -> Result<Done> {
            let mut file = File::open(path)?;
            let mut block = vec![0; order.block_len()];
            let mut sum = 0u64;
            let start = Instant::now();
            for offset in order.offsets().take(count as usize) {
                match order {
                    Order::Random => file.read_exact_at(&mut block, offset)?,
                    Order::Sequential => {
                        if offset == 0 {
                            file.rewind()?;
                        }
                        file.read_exact(&mut block)?;
                    }
                }
                sum = sum.wrapping_add(mark(&block));
            }
            Ok(Done { time: start.elapsed(), count: sum })
        }
    };
}

/// sward.
pub(super) mod sward {
    use super::{Done, Instant, Order, Path, Result, mark};
    use sward::{
        fs::File,
        io::{Read, Seek},
        os::unix::fs::FileExt,
    };

    read!();
}

/// OS threads.
pub(super) mod threads {
    use super::{Done, Instant, Order, Path, Result, mark};
    use std::{
        fs::File,
        io::{Read, Seek},
        os::unix::fs::FileExt,
    };

    read!();
}

/// `read` of the asynchronous subjects, given `File`, which has no reads at an offset, and the traits that it has.
macro_rules! read_later {
    () => {
        pub(in crate::subject) async fn read(path: &Path, order: Order, count: u64) -> Result<Done> {
            let mut file = File::open(path).await?;
            let mut block = vec![0; order.block_len()];
            let mut sum = 0u64;
            let start = Instant::now();
            for offset in order.offsets().take(count as usize) {
                if order == Order::Random || offset == 0 {
                    file.seek(SeekFrom::Start(offset)).await?;
                }
                file.read_exact(&mut block).await?;
                sum = sum.wrapping_add(mark(&block));
            }
            Ok(Done { time: start.elapsed(), count: sum })
        }
    };
}

/// tokio.
pub(super) mod tokio {
    use super::{Done, Instant, Order, Path, Result, SeekFrom, mark};
    use tokio::{
        fs::File,
        io::{AsyncReadExt, AsyncSeekExt},
    };

    read_later!();
}

/// smol.
pub(super) mod smol {
    use super::{Done, Instant, Order, Path, Result, SeekFrom, mark};
    use smol::{
        fs::File,
        io::{AsyncReadExt, AsyncSeekExt},
    };

    read_later!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_that_are_read_are_those_that_are_expected() {
        let path = std::env::temp_dir().join(format!("sward-benches-test-{}.file", std::process::id()));
        let read = write(&path).and_then(|()| {
            [(Order::Sequential, 1030), (Order::Random, 50)]
                .map(|(order, count)| {
                    Ok((threads::read(&path, order, count)?.count, sum_of_marks(order, count)))
                })
                .into_iter()
                .collect::<Result<Vec<_>>>()
        });
        drop(std::fs::remove_file(&path));
        let sums = read.expect("the temporary directory can be written to");
        assert!(sums.iter().all(|(sum, expected)| sum == expected && *sum > 0));
        assert_ne!(sum_of_marks(Order::Sequential, 50), sum_of_marks(Order::Random, 50));
    }

    #[test]
    fn random_reads_are_spread_over_the_file() {
        let offsets: Vec<u64> = Order::Random.offsets().take(1000).collect();
        let halves = offsets.iter().filter(|&&offset| offset < FILE_LEN / 2).count();
        assert!((400..600).contains(&halves) && offsets.iter().all(|offset| offset % 4096 == 0));
    }
}
