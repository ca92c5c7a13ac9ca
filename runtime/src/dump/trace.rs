//! Backtraces of suspended stacks: each is taken on the stack itself, by its own suspension.
//!
//! A stack that stands still is resumed with the order to look. The suspension that was resumed then walks up its frames, and suspends again; no code of the
//! green thread runs. The walk itself takes place on the stack of whoever asked, so that a look takes a few hundred bytes of the suspended
//! stack, and no page of it that was not in use.
//!
//! What is found are addresses. They get their names afterwards, when everybody runs again.
//!
//! # Invariants
//!
//! - **V1** A [`Trace`] is the asker's, and stays where it is until the fiber has suspended again; meanwhile the fiber alone uses it.
//!
//! # Checked by
//!
//! `tests/dump.rs`.

use std::{
    collections::HashMap,
    ffi::c_void,
    fmt,
    ops::{ControlFlow, Range},
    path::PathBuf,
    ptr::NonNull,
};

use corosensei::Yielder;

use crate::fiber::{Order, Suspend};

/// A stack on which less is left is not looked at.
const ROOM: usize = 2 << 10;

/// No backtrace is longer.
const MOST_FRAMES: usize = 128;

/// How far above the suspension its own frame may lie.
const NEAR: usize = 64 << 10;

/// What a look finds: addresses to return to, innermost first.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The frames of the fiber, from the least address to the top.
    bounds: Range<usize>,
    found: Vec<usize>,
}

impl Trace {
    /// One look is to come.
    pub(crate) fn begin(&mut self, bounds: Range<usize>) {
        self.bounds = bounds;
        self.found.clear();
        // Not on the stack that is looked at.
        self.found.reserve(MOST_FRAMES);
    }

    /// What the latest look has found.
    pub(crate) fn found(&self) -> Vec<usize> {
        self.found.clone()
    }
}

struct Asked(NonNull<Trace>, usize);

// SAFETY: it does not leave its OS thread: corosensei has a closure that changes stacks be `Send`.
unsafe impl Send for Asked {}

/// Does what the suspension was resumed for, again and again, until it is resumed to go on.
#[cold]
#[inline(never)]
pub(crate) fn look(yielder: &Yielder<Order, Suspend>, mut trace: NonNull<Trace>) {
    loop {
        look_once(yielder, trace);
        let Some(next) = NonNull::new(yielder.suspend(Suspend::Looked)) else { return };
        trace = next;
    }
}

#[inline(never)]
fn look_once(yielder: &Yielder<Order, Suspend>, trace: NonNull<Trace>) {
    let here = (&raw const trace).addr();
    // SAFETY: V1.
    let bounds = unsafe { trace.as_ref() }.bounds.clone();
    // The body of a generator may be on a stack of its own, of which nothing is known here.
    if bounds.contains(&here) && here - bounds.start < ROOM {
        return;
    }
    let asked = Asked(trace, here);
    yielder.on_parent_stack(move || walk(&asked));
}

/// Walks the frames above `here`, on the stack of whoever asked.
fn walk(asked: &Asked) {
    let Asked(mut trace, here) = *asked;
    // SAFETY: V1.
    let trace = unsafe { trace.as_mut() };
    let (mut is_there, mut was_within) = (false, false);
    backtrace::trace(|frame| {
        let sp = frame.sp().addr();
        is_there |= sp.wrapping_sub(here) < NEAR;
        // Below are the frames of the walk, above them those of the fiber; beyond is whoever resumed it.
        let is_within = trace.bounds.contains(&sp);
        let next = match (is_there, is_within, was_within) {
            (false, ..) => ControlFlow::Continue(()),
            (true, false, true) => ControlFlow::Break(()),
            (true, ..) => {
                trace.found.push(frame.ip().addr());
                ControlFlow::Continue(())
            }
        };
        was_within |= is_there && is_within;
        next.is_continue() && trace.found.len() < MOST_FRAMES
    });
}

/// One frame of a suspended stack. In [`ThreadDump::stack`](crate::runtime::ThreadDump::stack).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The function, if it is known: a stripped binary names none.
    pub function: Option<String>,
    /// The source file, if it is known.
    pub file: Option<PathBuf>,
    /// The line, if it is known.
    pub line: Option<u32>,
    /// The address to which the frame returns.
    pub address: usize,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => write!(f, "{function}")?,
            None => write!(f, "{:#x}", self.address)?,
        }
        if let Some(file) = &self.file {
            write!(f, " at {}", file.display())?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
        }
        Ok(())
    }
}

/// Names addresses, each once. Functions that were inlined have frames of their own.
#[derive(Default)]
pub(crate) struct Names(HashMap<usize, Vec<Frame>>);

impl Names {
    /// The frames of a stack, without the runtime's own at its two ends.
    pub(crate) fn of(&mut self, found: &[usize]) -> Vec<Frame> {
        let mut frames: Vec<Frame> = Vec::new();
        for &address in found {
            frames.extend_from_slice(self.0.entry(address).or_insert_with(|| name(address)));
        }
        let start = frames.iter().take_while(|frame| is_of_the_suspension(frame)).count();
        let mut frames = frames.split_off(start);
        let root = |frame: &Frame| {
            is_named(frame, "sward_runtime::task::cell::run") || is_in(frame, "src/task/cell.rs")
        };
        let end = frames.iter().position(root);
        frames.truncate(end.unwrap_or(frames.len()));
        while frames.last().is_some_and(is_of_the_call) {
            frames.pop();
        }
        frames
    }
}

fn is_named(frame: &Frame, name: &str) -> bool {
    frame.function.as_deref().is_some_and(|function| function.contains(name))
}

fn is_in(frame: &Frame, file: &str) -> bool {
    frame.file.as_ref().is_some_and(|path| path.ends_with(file))
}

/// Between the suspended function and the switch. A function that was inlined may have lost its path.
fn is_of_the_suspension(frame: &Frame) -> bool {
    let names = ["sward_runtime::dump::trace::", "sward_runtime::fiber::", "sward_runtime::task::header::"];
    let files = ["src/dump/trace.rs", "src/fiber.rs", "src/task/header.rs", "src/coroutine.rs"];
    names.iter().any(|name| is_named(frame, name)) || files.iter().any(|file| is_in(frame, file))
}

/// Between the closure and the runtime: how `std` calls it, and catches its panics.
fn is_of_the_call(frame: &Frame) -> bool {
    let is_std = frame.file.as_ref().is_some_and(|file| file.starts_with("/rustc"));
    is_std || is_named(frame, "__rust_try")
}

fn name(address: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    backtrace::resolve(std::ptr::without_provenance_mut::<c_void>(address), |symbol| {
        frames.push(Frame {
            function: symbol.name().map(|name| format!("{name:#}")),
            file: symbol.filename().map(Into::into),
            line: symbol.lineno(),
            address,
        });
    });
    if frames.is_empty() {
        frames.push(Frame { function: None, file: None, line: None, address });
    }
    frames
}
