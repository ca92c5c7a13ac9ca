//! Reading, writing, seeking.
//!
//! Each transfer is one system call, as in `std`, with its atomicity: `handle.rs` says by which of the ways there. A read of
//! storage that comes to the end of what is in the cache goes on in the pool if it can tell where it was: at an offset, or if
//! nobody else moves the position. So it ends short only at the end of the file, as programs expect although no contract says so.
//!
//! # Suspension
//!
//! All of it may suspend. Before a transfer begins it may yield, or end with the runtime; once something has been
//! transferred nothing is cancelled any more.
//!
//! # Checked by
//!
//! `tests/fs_file.rs`, `tests/fs_special.rs`, `tests/fs_cancel.rs`.

use std::{
    fs,
    io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write},
    mem,
    os::{fd::AsFd, unix::fs::FileExt},
    time::Instant,
};

use sward_runtime::{budget, cancel, is_green};

use super::{
    File,
    buffer::{Buffer, Text, scatter},
    handle::{Medium, Nature},
    warmth::read_ahead,
};
use crate::{
    source::Operation,
    sys::{
        self,
        file::{At, AtOnce},
    },
};

/// The most that one job reads, so that the pool's buffers stay small.
const MOST_READ: usize = 1 << 20;

/// The most that one job writes to a stream that is ready: so much fits into a pipe without waiting.
const MOST_WRITTEN: usize = 4096;

/// A file of which less is left is read to its end in the caller's thread; a job would cost more.
const LONG: u64 = 128 << 10;

/// What a read of storage may take for granted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Nobody else moves the position, or it does not matter.
    Alone,
    /// Somebody may.
    Among,
}

/// What is known once a read has begun.
#[derive(Clone, Copy)]
struct Step {
    read: usize,
    /// There was no more, so that there is no need to try.
    is_last: bool,
}

/// Reading.
impl File {
    #[inline]
    fn read_from(&self, buf: &mut [u8], at: At, reader: Reader) -> io::Result<usize> {
        let handle = self.handle();
        if self.is_as_in_std() {
            return sys::file::read(handle.as_fd(), &mut [IoSliceMut::new(buf)], at);
        }
        match handle.nature().medium {
            Medium::Storage => self.read_storage(buf, at, reader),
            Medium::Direct => self.read_direct(&mut [IoSliceMut::new(buf)], at),
            Medium::Stream => self.read_stream(&mut [IoSliceMut::new(buf)], at),
        }
    }

    /// Whether operations block, as in `std`: outside of the runtime, unless it is a stream that would not block.
    #[inline]
    fn is_as_in_std(&self) -> bool {
        !is_green() && !self.handle().is_polled()
    }

    fn read_direct(&self, bufs: &mut [IoSliceMut<'_>], at: At) -> io::Result<usize> {
        budget::spend();
        sys::file::read(self.handle().as_fd(), bufs, at)
    }

    fn read_stream(&self, bufs: &mut [IoSliceMut<'_>], at: At) -> io::Result<usize> {
        self.source().run(Operation::READ, |_| self.try_read(bufs, at), |_| false)
    }

    /// Reads what is there, and what is missing if that can be told.
    #[inline]
    fn read_storage(&self, buf: &mut [u8], at: At, reader: Reader) -> io::Result<usize> {
        budget::spend();
        let mut done = 0;
        loop {
            let offset = at.map(|at| at + done as u64);
            let step = self.read_step(&mut [IoSliceMut::new(&mut buf[done..])], offset, done > 0);
            match step {
                Ok(step) => {
                    done += step.read;
                    if step.is_last || done == buf.len() || reader == Reader::Among {
                        return Ok(done);
                    }
                }
                // It will come again if it matters.
                Err(_) if done > 0 => return Ok(done),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads at once if possible, else in the pool.
    #[inline]
    fn read_step(&self, bufs: &mut [IoSliceMut<'_>], at: At, has_begun: bool) -> io::Result<Step> {
        let handle = self.handle();
        if handle.is_free(at) && handle.takes_at_once() {
            match sys::file::read_at_once(handle.as_fd(), bufs, at)? {
                AtOnce::Done(read) => return Ok(Step { read, is_last: read == 0 }),
                AtOnce::WouldWait => {}
                AtOnce::Refused => handle.note_refusal(),
            }
        }
        if self.is_warm(bufs, at) {
            let read = sys::file::read(handle.as_fd(), bufs, at)?;
            return Ok(Step { read, is_last: true });
        }
        if has_begun {
            return self.read_in_pool(bufs, at);
        }
        // Some files only pass as regular, such as those in which the kernel tells what happens.
        if !handle.takes_at_once() && !sys::file::is_ready(handle.as_fd(), true) {
            return Ok(Step { read: self.read_stream(bufs, at)?, is_last: true });
        }
        cancel::check();
        self.read_in_pool(bufs, at)
    }

    /// Reads in the pool, into a buffer of its own.
    #[cold]
    fn read_in_pool(&self, bufs: &mut [IoSliceMut<'_>], at: At) -> io::Result<Step> {
        let handle = self.handle();
        let wanted = bufs.iter().map(|buf| buf.len()).sum::<usize>().min(MOST_READ);
        let Nature { is_unbuffered, is_warmed, .. } = handle.nature();
        let goes_on = is_warmed && at.is_none() && handle.warmth(|warmth| warmth.note_read(wanted));
        let (read, buffer, ahead) = handle.run_at(at, move |file| {
            let mut buffer = Buffer::zeroed(wanted, is_unbuffered);
            let read = sys::file::read(file.as_fd(), &mut [IoSliceMut::new(buffer.as_bytes_mut())], at);
            (read, buffer, if goes_on { read_ahead(file) } else { 0 })
        });
        if ahead > 0 {
            handle.warmth(|warmth| warmth.note_warmed(ahead, Instant::now()));
        }
        let read = read?;
        scatter(&buffer.as_bytes()[..read], bufs);
        Ok(Step { read, is_last: read < wanted })
    }

    /// Whether all that is asked for is in the cache, although the file does not tell.
    #[inline]
    fn is_warm(&self, bufs: &[IoSliceMut<'_>], at: At) -> bool {
        let handle = self.handle();
        if handle.takes_at_once() || at.is_some() || !handle.nature().is_warmed || !handle.is_free(at) {
            return false;
        }
        let wanted = bufs.iter().map(|buf| buf.len()).sum();
        handle.warmth(|warmth| warmth.take(wanted, Instant::now()))
    }

    /// Reads from a stream what is there.
    fn try_read(&self, bufs: &mut [IoSliceMut<'_>], at: At) -> io::Result<usize> {
        let handle = self.handle();
        if handle.is_polled() {
            return sys::file::read(handle.as_fd(), bufs, at);
        }
        if handle.takes_at_once() {
            match sys::file::read_at_once(handle.as_fd(), bufs, at)? {
                AtOnce::Done(read) => return Ok(read),
                AtOnce::WouldWait => return Err(io::ErrorKind::WouldBlock.into()),
                AtOnce::Refused => handle.note_refusal(),
            }
        }
        if !sys::file::is_ready(handle.as_fd(), true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        cancel::check();
        self.read_in_pool(bufs, at).map(|step| step.read)
    }

    /// Reads all that is left in one job, into a vector that travels there and back.
    fn read_to_end_in_pool(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        cancel::check();
        let mut travelling = mem::take(buf);
        let (result, returned) = self.handle().run_at(None, move |mut file: &fs::File| {
            let result = file.read_to_end(&mut travelling);
            (result, travelling)
        });
        *buf = returned;
        result
    }
}

/// Writing.
impl File {
    fn write_to(&self, bufs: &[IoSlice<'_>], at: At) -> io::Result<usize> {
        let handle = self.handle();
        if self.is_as_in_std() {
            return sys::file::write(handle.as_fd(), bufs, at);
        }
        match handle.nature().medium {
            Medium::Storage => self.write_in_pool(bufs, at, usize::MAX),
            Medium::Direct => {
                budget::spend();
                sys::file::write(handle.as_fd(), bufs, at)
            }
            Medium::Stream => self.source().run(Operation::WRITE, |_| self.try_write(bufs, at), |_| false),
        }
    }

    /// Writes a copy in the pool.
    fn write_in_pool(&self, bufs: &[IoSlice<'_>], at: At, limit: usize) -> io::Result<usize> {
        cancel::check();
        let copy = Buffer::gathered(bufs, limit, self.handle().nature().is_unbuffered)?;
        self.handle().forget_warmth();
        self.handle()
            .run_at(at, move |file| sys::file::write(file.as_fd(), &[IoSlice::new(copy.as_bytes())], at))
    }

    /// Writes to a stream what there is room for.
    fn try_write(&self, bufs: &[IoSlice<'_>], at: At) -> io::Result<usize> {
        let handle = self.handle();
        if handle.is_polled() {
            return sys::file::write(handle.as_fd(), bufs, at);
        }
        if handle.takes_at_once() {
            match sys::file::write_at_once(handle.as_fd(), bufs, at)? {
                AtOnce::Done(written) => return Ok(written),
                AtOnce::WouldWait => return Err(io::ErrorKind::WouldBlock.into()),
                AtOnce::Refused => handle.note_refusal(),
            }
        }
        if !sys::file::is_ready(handle.as_fd(), false) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.write_in_pool(bufs, at, MOST_WRITTEN)
    }
}

/// A file that can do no more than `read`; the rest is what `std` builds upon it.
struct Plain<'a>(&'a File);

impl Read for Plain<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Read for &File {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_from(buf, None, Reader::Among)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let handle = self.handle();
        if self.is_as_in_std() {
            return sys::file::read(handle.as_fd(), bufs, None);
        }
        match handle.nature().medium {
            Medium::Storage => {
                budget::spend();
                self.read_step(bufs, None, false).map(|step| step.read)
            }
            Medium::Direct => self.read_direct(bufs, None),
            Medium::Stream => self.read_stream(bufs, None),
        }
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let handle = self.handle();
        if self.is_as_in_std() {
            return handle.file().read_to_end(buf);
        }
        if handle.nature().medium == Medium::Stream {
            return Plain(self).read_to_end(buf);
        }
        match handle.is_free(None).then(|| sys::file::rest(handle.as_fd())).flatten() {
            // One that says that it is empty may be one whose contents are made when they are read.
            Some(rest @ 1..LONG) if handle.takes_at_once() => {
                buf.try_reserve(rest as usize)?;
                Plain(self).read_to_end(buf)
            }
            _ => self.read_to_end_in_pool(buf),
        }
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        let mut text = Text::take_from(buf);
        let result = self.read_to_end(text.bytes());
        let no_text = io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8");
        if text.finish() { result } else { result.and(Err(no_text)) }
    }
}

impl Write for &File {
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_to(&[IoSlice::new(buf)], None)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_to(bufs, None)
    }

    /// Does nothing: there is no buffer.
    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        let handle = self.handle();
        // Where the end is may have to be asked of a network.
        let is_far = || matches!(pos, SeekFrom::End(_)) && handle.nature().medium == Medium::Storage;
        if pos != SeekFrom::Current(0) {
            handle.forget_warmth();
        }
        let mut file = handle.file();
        if !is_green() || handle.is_free(None) && !is_far() {
            return file.seek(pos);
        }
        cancel::check();
        handle.run_at(None, move |mut file: &fs::File| file.seek(pos))
    }
}

/// As through a shared reference. A single [`read`](Read::read) of a file on a disk is short only at its end, unless the file has
/// been cloned, or has come from a descriptor or from `std`: then it may be, if not all is in the system's cache.
impl Read for File {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let reader = if self.handle().is_shared() { Reader::Among } else { Reader::Alone };
        self.read_from(buf, None, reader)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        (&*self).read_to_end(buf)
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        (&*self).read_to_string(buf)
    }
}

impl Write for File {
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    /// Does nothing: there is no buffer.
    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        (&*self).seek(pos)
    }
}

/// Transfers at offsets, which leave the position alone.
impl FileExt for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_from(buf, Some(offset), Reader::Alone)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.write_to(&[IoSlice::new(buf)], Some(offset))
    }
}
