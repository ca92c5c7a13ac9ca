//! What the models of sward's atomic protocols share. The models are in `tests/`, a file for each protocol.
//!
//! They run the code that ships, on loom's atomics, in every order of its steps and with every value that a relaxed load may
//! return. `cargo loom` runs them; without `--cfg loom` this crate is empty.
//!
//! Each file's header says which part of the protocol is a stand-in, and lists under "Fails when" what was weakened, one
//! thing at a time, to see its models fail. An ordering that is in no such list is not proved to be needed.
//!
//! loom does not let a load wait for a later one, and its fences order more than the language's do: a
//! model that passes is evidence, not proof.
#![cfg(loom)]

use std::fmt;

use loom::{
    cell::UnsafeCell,
    model::Builder,
    sync::{Condvar, Mutex},
};

/// Runs a model in every order of its threads' steps.
pub fn check(model: impl Fn() + Sync + Send + 'static) {
    loom::model(model);
}

/// Runs a model in every order in which at most `preemptions` times a thread is left that could have gone on.
pub fn check_bounded(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Memory without any protection: a model fails in which two threads touch it and no protocol orders them.
#[derive(Default)]
pub struct Plain<T>(UnsafeCell<T>);

// SAFETY: loom ends the model before two threads touch the value at once.
unsafe impl<T: Send> Sync for Plain<T> {}

impl<T> Plain<T> {
    /// Memory that holds `value`.
    pub fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Writes.
    pub fn set(&self, value: T) {
        drop(self.replace(value));
    }

    /// Writes, and returns what was there.
    pub fn replace(&self, value: T) -> T {
        // SAFETY: loom has checked that nobody else touches it.
        self.0.with_mut(|place| unsafe { place.replace(value) })
    }

    /// Reads.
    pub fn get(&self) -> T
    where
        T: Copy,
    {
        // SAFETY: loom has checked that nobody writes it.
        self.0.with(|place| unsafe { *place })
    }
}

impl<T> fmt::Debug for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain").finish_non_exhaustive()
    }
}

/// Stands in for `std::thread::park` and `unpark` of one OS thread. A thread that is never unparked is a deadlock, which
/// loom reports.
#[derive(Debug, Default)]
pub struct Parker {
    token: Mutex<bool>,
    unparked: Condvar,
}

impl Parker {
    /// Takes the token, blocking until it is there.
    #[expect(clippy::missing_panics_doc, reason = "a poisoned model has already failed")]
    pub fn park(&self) {
        let mut token = self.token.lock().expect("no model panics while it holds a lock");
        while !*token {
            token = self.unparked.wait(token).expect("no model panics while it holds a lock");
        }
        *token = false;
    }

    /// Leaves the token.
    #[expect(clippy::missing_panics_doc, reason = "a poisoned model has already failed")]
    pub fn unpark(&self) {
        *self.token.lock().expect("no model panics while it holds a lock") = true;
        self.unparked.notify_one();
    }
}
