//! How much of a file was brought into the cache ahead of its reader.
//!
//! Some file systems have a cache and do not say what is in it: a read at once is refused. Above all overlayfs, the root of
//! most containers. There a job that reads one piece after another also reads what follows, and throws it away: now it is in
//! the cache, and for a short time the next pieces are read from there on the worker. Each of them is a read of its own, so
//! nothing is stale, and the position is where it should be. If the cache lets go of a piece so soon, the worker waits for
//! the disk, as it does for memory that was swapped out.
//!
//! # States
//!
//! *Unknown* until a piece was read in the pool (1 [`Warmth::note_read`]), then *in a row*; a piece that follows is read
//! with what comes after it (2 [`Warmth::note_warmed`]), of which pieces are taken (3 [`Warmth::take`]). A seek or a write
//! leads back (4 [`Warmth::forget`]).
//!
//! # Rejected
//!
//! - *On every file system that refuses.* A file on a network, or of a program in user space, may ask there before it
//!   returns what is in the cache.
//! - *To keep what was read ahead.* It would be stale when it is asked for.
//!
//! # Checked by
//!
//! The unit tests below.

use std::{
    fs::File,
    io::Seek,
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

/// How much is brought into the cache at once, and in what pieces.
const AHEAD: usize = 256 << 10;
const PIECE: usize = 64 << 10;

/// How long it is relied upon.
const LASTS: Duration = Duration::from_millis(100);

/// What is known of the bytes after the position.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    /// A piece was read, and no seek came after it.
    is_in_a_row: bool,
    /// So many bytes after the position are in the cache.
    left: usize,
    /// Until then.
    until: Option<Instant>,
}

impl Warmth {
    /// (1) Notes that so much is read. Whether to read ahead too: not for pieces that are worth a job each.
    pub(super) fn note_read(&mut self, len: usize) -> bool {
        self.left = 0;
        std::mem::replace(&mut self.is_in_a_row, true) && len <= PIECE
    }

    /// (2) Notes what was brought into the cache.
    pub(super) fn note_warmed(&mut self, len: usize, now: Instant) {
        self.left = len;
        self.until = now.checked_add(LASTS);
    }

    /// (3) Takes a piece, if all of it is in the cache.
    pub(super) fn take(&mut self, len: usize, now: Instant) -> bool {
        let is_warm = len <= self.left && self.until.is_some_and(|until| now < until);
        if is_warm {
            self.left -= len;
        }
        is_warm
    }

    /// (4) The position was moved otherwise.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Brings what comes after the position into the cache, and returns how much that is. For the pool.
pub(super) fn read_ahead(mut file: &File) -> usize {
    let Ok(start) = file.stream_position() else { return 0 };
    let (mut scrap, mut done) = (vec![0; PIECE], 0);
    while done < AHEAD {
        match file.read_at(&mut scrap, start + done as u64) {
            Ok(read @ 1..) => done += read,
            // The end; or an error, which the reader is going to meet.
            _ => break,
        }
    }
    done
}

#[cfg(test)]
mod tests {
    //! What is taken was warmed, recently, and in a row.

    use super::*;

    #[test]
    fn pieces_are_warm_as_far_as_was_read_ahead() {
        let (mut warmth, now) = (Warmth::default(), Instant::now());
        assert!(!warmth.take(1, now));
        assert!(!warmth.note_read(1));
        assert!(warmth.note_read(PIECE) && !warmth.note_read(PIECE + 1));
        warmth.note_warmed(10, now);
        assert!(warmth.take(4, now) && warmth.take(6, now));
        assert!(!warmth.take(1, now));
    }

    #[test]
    fn warmth_does_not_last() {
        let (mut warmth, now) = (Warmth::default(), Instant::now());
        warmth.note_warmed(10, now);
        assert!(warmth.take(1, now + LASTS / 2));
        assert!(!warmth.take(1, now + LASTS));
    }

    #[test]
    fn a_seek_ends_it() {
        let (mut warmth, now) = (Warmth::default(), Instant::now());
        assert!(!warmth.note_read(1));
        warmth.note_warmed(10, now);
        warmth.forget();
        assert!(!warmth.take(1, now));
        assert!(!warmth.note_read(1));
    }

    #[test]
    fn a_piece_that_is_too_large_starts_anew() {
        let (mut warmth, now) = (Warmth::default(), Instant::now());
        warmth.note_warmed(10, now);
        assert!(!warmth.take(11, now));
        let _ = warmth.note_read(1);
        assert!(!warmth.take(1, now));
    }
}
