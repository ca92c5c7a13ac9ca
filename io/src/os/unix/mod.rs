//! What Unix has, under the names of [`std::os::unix`].

pub mod fs;
pub mod net;
pub mod process;
