//! What only some systems have, under the names of [`std::os`].

pub mod unix;
