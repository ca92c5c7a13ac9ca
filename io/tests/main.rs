//! The tests of this crate, one module for each subject, in one binary: most of their build is code that they share.
//!
//! `cargo test -p sward-io --test main udp::` runs those of one module.

mod cancel;
mod common;
mod copy;
mod duplex;
#[cfg(feature = "fault-injection")]
mod faults;
#[cfg(feature = "fault-injection")]
mod faults_accept;
mod fs_cancel;
mod fs_concurrency;
mod fs_convert;
mod fs_dir;
mod fs_file;
mod fs_lock;
mod fs_path;
mod fs_special;
mod hardships;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "hyper")]
mod hyper_http2;
mod pipe;
#[cfg(feature = "futures")]
mod polled;
#[cfg(feature = "tokio")]
mod polled_tokio;
mod process;
mod process_wait;
mod serve;
mod serve_ends;
mod serve_messages;
mod serve_starved;
mod signal;
mod socket_convert;
mod stdio;
mod stdio_room;
mod tcp;
mod tcp_clone;
mod tcp_concurrency;
mod tcp_convert;
mod tcp_options;
mod tcp_runtime;
mod tcp_starved;
mod udp;
mod udp_concurrency;
mod unix_concurrency;
mod unix_datagram;
mod unix_fds;
mod unix_listener;
mod unix_stream;
mod watched;
