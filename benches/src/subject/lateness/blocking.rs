//! Lateness of subjects with a blocking API: sward, OS threads and may.

/// Given `spawn`, `join`, `sleep`, `yield_now` and `TcpListener`.
macro_rules! lateness {
    () => {
        /// Starts the sleepers and waits for all.
        pub(in crate::subject) fn sleep_all(naps: Naps, late: &'static Late) -> Result<()> {
            let sleeper = |at: usize| {
                spawn(move || {
                    let nap = naps.of(at);
                    let due = monotonic() + nap;
                    sleep(nap);
                    late.record(due);
                })
            };
            let sleepers = (0..naps.count).map(sleeper).collect::<Result<Vec<_>>>()?;
            sleepers.into_iter().try_for_each(join)
        }

        /// Ticks until all are done, beside the hogs.
        pub(in crate::subject) fn run(ticks: Ticks) -> Result<()> {
            let hog = |_| {
                spawn(move || {
                    while !ticks.timer.is_over() {
                        ticks.hogs.burst();
                        yield_now();
                    }
                })
            };
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let hogs = (0..ticks.hogs.count()).map(hog).collect::<Result<Vec<_>>>()?;
            let timer = spawn(move || tick_by_timer(ticks))?;
            if ticks.hogs != Hogs::None {
                send_ticks(listener.local_addr()?, ticks.count);
                join(spawn(move || tick_by_tcp(ticks, &listener))?)??;
            }
            join(timer)?;
            ticks.timer.end();
            hogs.into_iter().try_for_each(join)
        }

        pub(in crate::subject) fn tick_by_timer(ticks: Ticks) {
            let start = monotonic();
            for tick in 1..=ticks.count as u32 {
                let due = start + TICK * tick;
                let rest = due.saturating_sub(monotonic());
                if !rest.is_zero() {
                    sleep(rest);
                }
                ticks.timer.record(due);
            }
        }

        fn tick_by_tcp(ticks: Ticks, listener: &TcpListener) -> Result<()> {
            let (mut stream, _) = listener.accept()?;
            let mut tick = [0; TICK_LEN];
            for _ in 0..ticks.count {
                stream.read_exact(&mut tick)?;
                record_tick(ticks.tcp, tick);
            }
            Ok(())
        }
    };
}

/// sward.
pub(in crate::subject) mod sward {
    use std::io::Read;

    use super::super::{Hogs, Late, Naps, TICK, TICK_LEN, Ticks, record_tick, send_ticks};
    use crate::error::Result;
    use crate::subject::sward::join;
    use crate::sys::monotonic;
    use sward::{
        net::TcpListener,
        thread::{JoinHandle, sleep, yield_now},
    };

    fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
        Ok(sward::thread::spawn(f))
    }

    lateness!();
}

/// OS threads.
pub(in crate::subject) mod threads {
    use std::io::Read;

    use super::super::{Hogs, Late, Naps, TICK, TICK_LEN, Ticks, record_tick, send_ticks};
    use crate::error::Result;
    use crate::subject::threads::{join, spawn};
    use crate::sys::monotonic;
    use std::{
        net::TcpListener,
        thread::{sleep, yield_now},
    };

    lateness!();
}

/// may.
pub(in crate::subject) mod may {
    use std::io::Read;

    use super::super::{Hogs, Late, Naps, TICK, TICK_LEN, Ticks, record_tick, send_ticks};
    use crate::error::Result;
    use crate::subject::may::join;
    use crate::sys::monotonic;
    use may::{
        coroutine::{JoinHandle, sleep, yield_now},
        net::TcpListener,
    };

    fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
        Ok(crate::subject::may::spawn(f))
    }

    lateness!();
}
