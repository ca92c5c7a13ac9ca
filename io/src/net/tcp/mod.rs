//! TCP: connections and the listeners that accept them.

mod listener;
mod stream;
mod transfer;

pub use listener::{Incoming, TcpListener};
pub use stream::TcpStream;
