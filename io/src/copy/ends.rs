//! What readers and writers are, behind their traits.
//!
//! Stable Rust does not choose an implementation by type, so the types are compared when it runs.
//!
//! # Invariants
//!
//! - **I1** Two types with the same id are the same but for their lifetimes.
//! - **I2** What is made of a reference to such a type lives no longer than that reference, and so no longer than any lifetime in the type.
#![expect(unsafe_code, reason = "a reference to a type that has been recognised")]

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    ptr,
};

use crate::{
    io::{PipeReader, PipeWriter},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{ChildStderr, ChildStdin, ChildStdout},
    source::{Interest, Operation},
};

/// An attempt in the sense of `Source::run`, which transfers some bytes.
pub(super) type Attempt<'a> = &'a mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>;

/// One end of a copy.
pub(super) trait End {
    /// Runs a transfer in one direction to its end, waiting if need be.
    fn transfer(&self, interest: Interest, attempt: Attempt<'_>) -> io::Result<usize>;

    fn fd(&self) -> BorrowedFd<'_>;
}

impl End for TcpStream {
    fn transfer(&self, interest: Interest, attempt: Attempt<'_>) -> io::Result<usize> {
        let operation = if interest == Interest::Read { Operation::READ } else { Operation::WRITE };
        self.source().run(operation, |io| attempt(io.as_fd()), |_| false)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl End for UnixStream {
    fn transfer(&self, interest: Interest, attempt: Attempt<'_>) -> io::Result<usize> {
        let operation = if interest == Interest::Read { Operation::READ } else { Operation::WRITE.looking() };
        self.source().run(operation, |io| attempt(io.as_fd()), |_| false)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

macro_rules! pipe_ends {
    ($($stream:ty),*) => {$(
        impl End for $stream {
            fn transfer(&self, interest: Interest, attempt: Attempt<'_>) -> io::Result<usize> {
                let operation = if interest == Interest::Read { Operation::READ } else { Operation::WRITE };
                self.end().run(operation, attempt)
            }

            fn fd(&self) -> BorrowedFd<'_> {
                self.as_fd()
            }
        }
    )*};
}

pipe_ends!(PipeReader, PipeWriter, ChildStdin, ChildStdout, ChildStderr);

/// `value` as an end, if it is one of these types, or a reference to one.
macro_rules! recognise {
    ($value:expr; $($stream:ty),*) => {{
        let value = $value;
        let id = id_of(value);
        let value = ptr::from_ref(value);
        $(
            if id == typeid::of::<$stream>() {
                // SAFETY: this is its type (I1), borrowed as before (I2).
                return Some(unsafe { &*value.cast::<$stream>() });
            }
            if id == typeid::of::<&$stream>() {
                // SAFETY: this is its type (I1), and what it refers to lives as long as it (I2).
                return Some(unsafe { *value.cast::<&$stream>() });
            }
        )*
        None
    }};
}

/// What a reader is, if bytes can be spliced from it.
pub(super) fn of_reader<R: ?Sized>(reader: &R) -> Option<&dyn End> {
    recognise!(reader; TcpStream, UnixStream, PipeReader, ChildStdout, ChildStderr)
}

/// What a writer is, if bytes can be spliced to it.
pub(super) fn of_writer<W: ?Sized>(writer: &W) -> Option<&dyn End> {
    recognise!(writer; TcpStream, UnixStream, PipeWriter, ChildStdin)
}

fn id_of<T: ?Sized>(_: &T) -> std::any::TypeId {
    typeid::of::<T>()
}
