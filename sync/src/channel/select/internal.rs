//! What the macros are written with. No part of the API.

use std::fmt;

use super::{Aim, run};
use crate::{
    Notify,
    channel::{
        Receiver, RecvError, RecvTimeoutError, SendError, Sender, TryRecvError,
        arm::{Arm, Joinable, Token},
    },
};

pub use super::{Case, Limit};

/// A `recv` arm, with the place for its message. See `arm.rs`.
pub use crate::channel::arm::RecvArm;

/// Which was selected.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub struct Picked {
    index: usize,
    token: Token,
}

/// A sending that was selected, while its message is made. If that comes to nothing, it is as if it had not been selected.
#[derive(Debug)]
pub struct Sending<'a, T> {
    sender: &'a Sender<T>,
    token: Option<Token>,
}

impl<'a> Case<'a> {
    /// `send(…)`.
    #[inline]
    pub fn send<T>(sender: &'a Sender<T>, index: usize) -> Self {
        Self { arm: sender, index }
    }

    /// `recv(…)`.
    #[inline]
    pub fn recv<T>(arm: &'a RecvArm<'_, T>, index: usize) -> Self {
        Self { arm, index }
    }

    /// `join(…)`.
    #[inline]
    pub fn join<H: Joinable>(handle: &'a H, index: usize) -> Self {
        Self { arm: handle, index }
    }

    /// `notified(…)`.
    #[inline]
    pub fn notified(notify: &'a Notify, index: usize) -> Self {
        Self { arm: notify, index }
    }
}

impl fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Picked {
    /// Its number.
    #[inline]
    pub fn index(self) -> usize {
        self.index
    }

    /// Begins to send: the message is made after this.
    #[inline]
    pub fn send<T>(self, sender: &Sender<T>) -> Sending<'_, T> {
        Sending { sender, token: Some(self.token) }
    }

    /// Receives.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`].
    #[inline]
    pub fn recv<T>(self, arm: RecvArm<'_, T>) -> Result<T, RecvError> {
        arm.complete(self.token)
    }
}

impl<T> Sending<'_, T> {
    /// Sends the message.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    #[inline]
    pub fn complete(mut self, message: T) -> Result<(), SendError<T>> {
        match self.token.take() {
            Some(token) => self.sender.complete(token, message),
            None => Err(SendError(message)),
        }
    }
}

impl<T> Drop for Sending<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(token) = self.token {
            self.sender.abandon(token);
        }
    }
}

fn pick(cases: &mut [Case<'_>], biased: bool, limit: Limit) -> Option<Picked> {
    let (at, token) = run(cases, Aim::Select, biased, limit)?;
    Some(Picked { index: cases[at].index, token })
}

/// A `select!` without `default`.
#[expect(clippy::missing_panics_doc, reason = "without a limit it does not time out")]
pub fn select(cases: &mut [Case<'_>], biased: bool) -> Picked {
    pick(cases, biased, Limit::Never).expect("without a limit it does not time out")
}

/// A `select!` with `default`.
pub fn select_until(cases: &mut [Case<'_>], limit: Limit, biased: bool) -> Option<Picked> {
    pick(cases, biased, limit)
}

/// A `select!` that can only receive, with `default`.
#[inline]
pub fn recv<T>(receiver: &Receiver<T>, limit: Limit) -> Option<Result<T, RecvError>> {
    let received = match limit {
        Limit::Now => match receiver.try_recv() {
            Err(TryRecvError::Empty) => return None,
            received => received.ok(),
        },
        Limit::At(deadline) => match receiver.recv_deadline(deadline) {
            Err(RecvTimeoutError::Timeout) => return None,
            received => received.ok(),
        },
        Limit::Never => receiver.recv().ok(),
    };
    Some(received.ok_or(RecvError))
}
