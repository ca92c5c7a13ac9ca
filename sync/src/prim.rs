//! What the protocols of this crate are written with.
//!
//! The primitives are the runtime's, whose file of the same name swaps them for loom's; what is here beside them knows `cfg(loom)` too. In a
//! model [`Lock`] is loom's mutex: the spin lock has a model of its own, and models of what is built on it need not walk through it again.

#[cfg(not(loom))]
pub(crate) use crate::spin::{SpinGuard as LockGuard, SpinLock as Lock};
pub(crate) use sward_runtime::prim::{MODEL, atomic, hint, thread};
#[cfg(loom)]
pub(crate) use sward_runtime::prim::{Mutex as Lock, MutexGuard as LockGuard};

/// Declares a function `const`, which it cannot be in a model: loom's atomics are registered when they are made.
macro_rules! const_fn {
    ($($(#[$attribute:meta])* $vis:vis const fn $name:ident($($args:tt)*) -> $result:ty $body:block)*) => {$(
        #[cfg(not(loom))]
        $(#[$attribute])*
        $vis const fn $name($($args)*) -> $result $body
        #[cfg(loom)]
        $(#[$attribute])*
        $vis fn $name($($args)*) -> $result $body
    )*};
}
pub(crate) use const_fn;

/// Declares a static array and the function that gives it; a model has one of its own for each run.
macro_rules! global_array {
    ($vis:vis fn $function:ident() -> [$type:ty; $len:expr] = $init:expr) => {
        $vis fn $function() -> &'static [$type; $len] {
            #[cfg(not(loom))]
            static GLOBAL: [$type; $len] = [const { $init }; $len];
            #[cfg(loom)]
            sward_runtime::prim::lazy_static! {
                static ref GLOBAL: [$type; $len] = std::array::from_fn(|_| $init);
            }
            &GLOBAL
        }
    };
}
pub(crate) use global_array;
