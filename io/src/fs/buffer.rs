//! Memory for transfers in the pool, and strings that are read into.
//!
//! # Invariants
//!
//! - **I1** A buffer that goes past the page cache begins at a multiple of [`ALIGNMENT`], for as long as it is not grown.
//!
//! # Checked by
//!
//! The unit tests below, `tests/fs_special.rs`.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem,
};

/// Where buffers that go past the page cache begin: a page, more than any disk asks for.
const ALIGNMENT: usize = 4096;

/// The pool's own buffer, in place of the caller's.
#[derive(Debug)]
pub(super) struct Buffer {
    data: Vec<u8>,
    /// Where it begins, for the sake of alignment.
    start: usize,
}

impl Buffer {
    /// A buffer to read into.
    pub(super) fn zeroed(len: usize, is_aligned: bool) -> Self {
        if !is_aligned {
            return Self { data: vec![0; len], start: 0 };
        }
        let mut data = vec![0; len + ALIGNMENT];
        let start = padding(&data);
        // INVARIANT (I1): shortened in place.
        data.truncate(start + len);
        Self { data, start }
    }

    /// A copy of what is to be written, or of its beginning.
    pub(super) fn gathered(bufs: &[IoSlice<'_>], limit: usize, is_aligned: bool) -> io::Result<Self> {
        let len = bufs.iter().map(|buf| buf.len()).sum::<usize>().min(limit);
        let mut data = Vec::new();
        data.try_reserve_exact(len + if is_aligned { ALIGNMENT } else { 0 })?;
        let start = if is_aligned { padding(&data) } else { 0 };
        // INVARIANT (I1): what follows fits into what was reserved.
        data.resize(start, 0);
        for buf in bufs {
            let left = start + len - data.len();
            data.extend_from_slice(&buf[..left.min(buf.len())]);
        }
        Ok(Self { data, start })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.data[self.start..]
    }

    pub(super) fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.data[self.start..]
    }
}

/// How far it is from the beginning of a vector's memory to the next multiple.
fn padding(data: &[u8]) -> usize {
    let base = data.as_ptr().addr();
    base.next_multiple_of(ALIGNMENT) - base
}

/// Distributes what was read.
pub(super) fn scatter(mut bytes: &[u8], bufs: &mut [IoSliceMut<'_>]) {
    for buf in bufs {
        let (head, tail) = bytes.split_at(bytes.len().min(buf.len()));
        buf[..head.len()].copy_from_slice(head);
        bytes = tail;
    }
}

/// A string that bytes are appended to. However that ends, it has what is valid of them.
#[derive(Debug)]
pub(super) struct Text<'a> {
    string: &'a mut String,
    bytes: Vec<u8>,
    start: usize,
}

impl<'a> Text<'a> {
    /// Takes the memory of a string, until the value is dropped.
    pub(super) fn take_from(string: &'a mut String) -> Self {
        let bytes = mem::take(string).into_bytes();
        Self { start: bytes.len(), string, bytes }
    }

    /// The bytes, to append to.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Whether what was appended is text. If not, nothing was appended.
    pub(super) fn finish(mut self) -> bool {
        let is_valid = str::from_utf8(&self.bytes[self.start..]).is_ok();
        if !is_valid {
            self.bytes.truncate(self.start);
        }
        is_valid
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        *self.string = String::from_utf8(mem::take(&mut self.bytes)).unwrap_or_else(|error| {
            let valid = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            bytes.truncate(valid);
            String::from_utf8(bytes).expect("it is valid up to there")
        });
    }
}

#[cfg(test)]
mod tests;
