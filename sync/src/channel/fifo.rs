//! The messages of a channel: a queue that grows and shrinks in segments.
//!
//! A channel that keeps within a segment works in one ring; one that fills up appends further rings, so that no push ever moves more than
//! a segment's messages, and memory follows what is queued. Safe code; guarded by the channel's lock.

use std::collections::VecDeque;

/// A ring that takes so many bytes, or [`MIN_SEGMENT`] messages, grows no further.
const SEGMENT_BYTES: usize = 16 * 1024;
const MIN_SEGMENT: usize = 16;

/// The queue. See the module.
#[derive(Debug)]
pub(crate) struct Fifo<T> {
    /// The oldest messages. Empty only if all is.
    front: VecDeque<T>,
    /// Segments behind it, if there are any: oldest first, each with [`Self::SEGMENT`] messages but the last.
    rest: Option<Box<Rest<T>>>,
}

#[derive(Debug)]
struct Rest<T>(VecDeque<VecDeque<T>>);

impl<T> Fifo<T> {
    const SEGMENT: usize = {
        let size = if size_of::<T>() == 0 { 1 } else { size_of::<T>() };
        if SEGMENT_BYTES / size > MIN_SEGMENT { SEGMENT_BYTES / size } else { MIN_SEGMENT }
    };

    pub(crate) const fn new() -> Self {
        Self { front: VecDeque::new(), rest: None }
    }

    pub(crate) fn len(&self) -> usize {
        let Some(Rest(rest)) = self.rest.as_deref() else { return self.front.len() };
        let last = rest.back().map_or(0, VecDeque::len);
        self.front.len() + rest.len().saturating_sub(1) * Self::SEGMENT + last
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.front.is_empty()
    }

    #[inline]
    pub(crate) fn push(&mut self, message: T) {
        if self.front.len() < self.front.capacity() && self.rest.is_none() {
            self.front.push_back(message);
        } else {
            self.push_or_grow(message);
        }
    }

    #[inline(never)]
    fn push_or_grow(&mut self, message: T) {
        if self.rest.is_none() && self.front.len() < Self::SEGMENT {
            return self.front.push_back(message);
        }
        let Rest(rest) = &mut **self.rest.get_or_insert_with(|| Box::new(Rest(VecDeque::new())));
        match rest.back_mut() {
            Some(last) if last.len() < Self::SEGMENT => last.push_back(message),
            _ => {
                let mut last = VecDeque::with_capacity(Self::SEGMENT);
                last.push_back(message);
                rest.push_back(last);
            }
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.rest.is_none() { self.front.pop_front() } else { self.pop_before_rest() }
    }

    #[cold]
    fn pop_before_rest(&mut self) -> Option<T> {
        let message = self.front.pop_front();
        if self.front.is_empty()
            && let Some(Rest(rest)) = self.rest.as_deref_mut()
        {
            self.front = rest.pop_front().unwrap_or_default();
            if rest.is_empty() {
                self.rest = None;
            }
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_in_the_order_in_which_they_went_in() {
        let mut fifo = Fifo::<[u64; 32]>::new();
        let mut model = VecDeque::new();
        // Fills several segments, drains, and fills again, so that segments are appended and passed.
        for round in 0..6_u64 {
            for i in 0..200 {
                fifo.push([round * 1_000 + i; 32]);
                model.push_back(round * 1_000 + i);
            }
            for _ in 0..(if round % 2 == 0 { 90 } else { 310 }) {
                assert_eq!(fifo.pop().map(|message| message[0]), model.pop_front());
                assert_eq!(fifo.len(), model.len());
                assert_eq!(fifo.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn memory_follows_what_is_queued() {
        let mut fifo = Fifo::new();
        for i in 0..100_000_u64 {
            fifo.push(i);
        }
        assert!(fifo.front.capacity() <= 2 * Fifo::<u64>::SEGMENT);
        assert!(std::iter::from_fn(|| fifo.pop()).eq(0..100_000));
        assert!(fifo.rest.is_none());
    }

    #[test]
    fn a_message_without_a_size_is_counted() {
        let mut fifo = Fifo::new();
        for _ in 0..100_000 {
            fifo.push(());
        }
        assert_eq!(fifo.len(), 100_000);
        assert_eq!(std::iter::from_fn(|| fifo.pop()).count(), 100_000);
    }
}
