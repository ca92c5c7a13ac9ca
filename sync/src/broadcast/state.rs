//! The values of a broadcast channel, under its lock.
//!
//! # Invariants
//!
//! - **B1** Values have consecutive numbers, in the order in which they were sent; `head` is that of the first in the buffer.
//! - **B2** `unseen` of a value is the number of receivers that are there since before it was sent and have not taken it.
//! - **B3** No value in the buffer has been seen by all, and there are `capacity` at most.
//!
//! Receivers take values in order, so whoever has not taken one has not taken the next either: the values that all have seen are always the
//! first ones, and leave at the front.

use std::{collections::VecDeque, sync::Arc};

use super::error::TryRecvError;
use crate::wait_list::WaitList;

pub(super) struct State<T> {
    buffer: VecDeque<Sent<T>>,
    capacity: usize,
    head: u64,
    pub(super) senders: usize,
    pub(super) receivers: usize,
    /// Receivers that wait for a value.
    pub(super) receiving: WaitList,
    /// Senders that wait for the receivers to go.
    pub(super) closing: WaitList,
}

/// A value, which is cloned out of the lock: neither its clone nor its destructor runs under it.
struct Sent<T> {
    value: Arc<T>,
    unseen: usize,
}

impl<T> State<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            buffer: VecDeque::new(),
            capacity,
            head: 0,
            senders: 1,
            receivers: 0,
            receiving: WaitList::new(),
            closing: WaitList::new(),
        }
    }

    /// How many values somebody has not seen.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// The number of the next value to be sent.
    pub(super) fn tail(&self) -> u64 {
        self.head + self.buffer.len() as u64
    }

    /// Appends a value, and returns the one that made room for it, if it had to. There are receivers.
    pub(super) fn push(&mut self, value: Arc<T>) -> Option<Arc<T>> {
        let overwritten = if self.buffer.len() == self.capacity { self.pop() } else { None };
        self.buffer.push_back(Sent { value, unseen: self.receivers });
        overwritten
    }

    fn pop(&mut self) -> Option<Arc<T>> {
        let sent = self.buffer.pop_front()?;
        self.head += 1;
        Some(sent.value)
    }

    /// Takes value number `next` for a receiver, which goes on to the one after it; or to the oldest that is left, if it lags. With it come
    /// those behind it that all have seen meanwhile: a receiver that goes sees its values last.
    pub(super) fn take(&mut self, next: &mut u64) -> Result<(Arc<T>, Vec<Arc<T>>), TryRecvError> {
        let Some(at) = next.checked_sub(self.head) else {
            let missed = self.head - *next;
            *next = self.head;
            return Err(TryRecvError::Lagged(missed));
        };
        let Some(sent) = usize::try_from(at).ok().and_then(|at| self.buffer.get_mut(at)) else {
            return Err(if self.senders == 0 { TryRecvError::Closed } else { TryRecvError::Empty });
        };
        *next += 1;
        sent.unseen -= 1;
        if sent.unseen > 0 || at > 0 {
            return Ok((Arc::clone(&sent.value), Vec::new()));
        }
        let value = self.pop().expect("just found");
        let mut seen = Vec::new();
        while self.buffer.front().is_some_and(|sent| sent.unseen == 0) {
            seen.extend(self.pop());
        }
        Ok((value, seen))
    }

    /// Takes all values out, nobody being left to see them.
    pub(super) fn clear(&mut self) -> impl Sized + use<T> {
        self.head = self.tail();
        std::mem::take(&mut self.buffer)
    }
}
