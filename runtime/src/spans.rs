//! The `tracing` spans that a green thread is in.
//!
//! Subscribers keep the current span for each OS thread. So a green thread that suspends leaves its spans, innermost first, and where it is
//! resumed it enters them again: to the subscriber it looks as if it had done so itself.
//!
//! # Suspension
//!
//! Both calls stand beside a suspension, in the middle of a wait. There the subscriber, which is foreign code, may neither suspend nor unwind:
//! what it panics with is dropped. Neither call is ever inlined, so no address of a thread-local is kept across the suspension.
//!
//! # Checked by
//!
//! The facade's `tests/tracing_spans.rs`.

#[cfg(feature = "tracing")]
pub(crate) use self::traced::leave;

/// Without the feature `tracing` there is nothing to leave.
#[cfg(not(feature = "tracing"))]
#[inline(always)]
pub(crate) fn leave() -> Left {
    Left
}

/// See `leave`.
#[cfg(not(feature = "tracing"))]
#[derive(Debug)]
pub(crate) struct Left;

#[cfg(not(feature = "tracing"))]
impl Left {
    /// See `leave`.
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(crate) fn enter(self) {}
}

#[cfg(feature = "tracing")]
mod traced {
    use std::{
        mem,
        panic::{self, AssertUnwindSafe},
    };

    use tracing::{Dispatch, Id, dispatcher};

    use crate::thread::no_suspend;

    /// More spans within spans than any program has: a subscriber that leaves none of them must not keep us.
    const DEEPEST: usize = 1 << 16;

    /// The spans that a suspended green thread is in.
    #[derive(Debug)]
    pub(crate) struct Left(Option<(Dispatch, Vec<Id>)>);

    /// Has the running green thread leave the spans that it is in.
    #[inline(never)]
    pub(crate) fn leave() -> Left {
        let mut left = None;
        quietly(|| {
            // Not within `get_default`: there the subscriber would find no default of its own.
            let subscriber =
                dispatcher::get_default(|dispatch| dispatch.current_span().id().map(|_| dispatch.clone()));
            let Some(dispatch) = subscriber else { return };
            let (dispatch, ids) = left.insert((dispatch, Vec::new()));
            while let Some(id) = dispatch.current_span().id().filter(|_| ids.len() < DEEPEST).cloned() {
                ids.push(id.clone());
                dispatch.exit(&id);
            }
        });
        Left(left)
    }

    impl Left {
        /// Has the green thread that left them, and runs again, enter them.
        #[inline(never)]
        pub(crate) fn enter(self) {
            if let Some((dispatch, ids)) = &self.0 {
                ids.iter().rev().for_each(|id| quietly(|| dispatch.enter(id)));
            }
        }
    }

    impl Drop for Left {
        fn drop(&mut self) {
            if let Some(last_reference) = self.0.take() {
                quietly(|| drop(last_reference));
            }
        }
    }

    /// Calls a subscriber, which must not wait, and whose panics concern nobody.
    fn quietly(f: impl FnOnce()) {
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| no_suspend(f))) {
            // Its destructor is foreign too.
            mem::forget(payload);
        }
    }
}
