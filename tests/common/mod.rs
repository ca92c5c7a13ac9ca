//! What the tests of the facade share: the runtime's matrix, stress, watchdog and counted drops.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]

#[path = "../../runtime/tests/common/mod.rs"]
mod runtime_common;

pub(crate) use self::runtime_common::*;
