//! What only some systems have, under the names of [`std::os`].

#[cfg(target_os = "linux")]
#[doc(no_inline)]
pub use std::os::linux;
#[doc(no_inline)]
pub use std::os::{fd, raw};

pub mod unix;
