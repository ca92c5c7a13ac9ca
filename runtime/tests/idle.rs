//! A runtime on which nothing is ready uses no CPU.
//!
//! CPU time is the process's, so this binary has one test.

mod common;

use std::time::Duration;

use common::each_config;
use sward_runtime::thread;

/// The CPU time that this process has used.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// The CPU time of `wall` from now.
fn cpu_time_in(wall: Duration) -> Duration {
    let before = cpu_time();
    std::thread::sleep(wall);
    cpu_time() - before
}

#[test]
fn an_idle_runtime_uses_no_cpu() {
    each_config(|config| {
        let runtime = config.build();
        runtime.run(|| {
            // It has worked, some wait, and there are timers.
            let handles: Vec<_> = (0..1_000).map(|_| thread::spawn(thread::yield_now)).collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            for _ in 0..100 {
                thread::spawn(thread::park);
                thread::spawn(|| thread::sleep(Duration::from_secs(3_600)));
            }
            thread::sleep(Duration::from_millis(1));
        });
        // After half a second it gives memory back, once.
        let is_idle = |_| cpu_time_in(Duration::from_secs(1)) < Duration::from_millis(2);
        assert!((0..3).any(is_idle), "2 ms and more in each of three seconds of idleness");
        drop(runtime);
    });
}
