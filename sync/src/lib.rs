//! What threads, green or not, wait for each other with.
//!
//! A layer of `sward`; programs use it through that crate. Everything here works on a green thread, which it parks, and on an
//! OS thread outside the runtime, which it blocks, and the two can wait for each other.
//!
//! [`Arc`], [`Weak`] and [`atomic`] are `std`'s, so that an import of `std::sync` can be replaced line for line.
#![deny(unsafe_code)]
#![doc(test(attr(deny(warnings))))]

#[expect(unsafe_code, reason = "the claim of a wait; see docs/unsafe.md")]
mod wait_group;

pub use std::sync::{Arc, Weak, atomic};

pub use wait_group::WaitGroup;
