//! The models, one module for each protocol. `cargo loom select::` runs those of one module.
#![cfg(loom)]

mod cancel;
mod channel;
mod condvar;
mod deadlock;
mod future;
mod hands;
mod idle;
mod inbox;
mod join;
mod lazy_lock;
mod mutex;
mod notify;
mod once;
mod oneshot;
mod park;
mod poller;
mod pool;
mod readiness;
mod reentrant_lock;
mod rwlock;
mod seats;
mod select;
mod semaphore;
mod slab;
mod sleeper;
mod spin;
mod task_state;
mod timer;
mod wait_group;
mod watch;
