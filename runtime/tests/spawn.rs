//! Spawning: what a green thread is given, what it is called, who runs it, and how many there can be.

use std::{
    collections::HashSet,
    panic::Location,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use crate::common::{Config, Drops, each_config, each_mode, each_run, each_runtime, stress, wait_until};
use sward_runtime::{
    runtime::{Builder, Handle},
    thread,
};

#[test]
fn a_spawned_closure_runs_and_its_value_comes_back() {
    each_run(|| {
        assert_eq!(thread::spawn(|| 7).join().unwrap(), 7);
        assert_eq!(thread::Builder::new().spawn(|| "text").unwrap().join().unwrap(), "text");
        assert_eq!(Handle::current().spawn(|| vec![1, 2]).join().unwrap(), [1, 2]);
        assert_eq!(Handle::current().try_spawn(|| 'c').unwrap().join().unwrap(), 'c');
    });
}

#[test]
fn an_os_thread_spawns_on_the_default_runtime_and_on_any_other() {
    let _watchdog = crate::common::Watchdog::new();
    assert_eq!(thread::spawn(|| 1).join().unwrap(), 1);
    let default_workers = thread::spawn(|| Handle::current().workers()).join().unwrap();
    assert_eq!(default_workers, thread::available_parallelism().unwrap().get());
    let runtime = Builder::new().workers(3).build().unwrap();
    assert_eq!(runtime.handle().spawn(|| Handle::current().workers()).join().unwrap(), 3);
}

#[test]
fn data_moves_in_and_out_without_a_copy() {
    each_run(|| {
        let data = Box::new([7_u64; 64]);
        let address = (&raw const *data).addr();
        let back = thread::spawn(move || {
            assert_eq!((&raw const *data).addr(), address);
            data
        });
        assert_eq!((&raw const *back.join().unwrap()).addr(), address);
    });
}

#[test]
fn large_and_overaligned_closures_and_results_arrive() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(align(256))]
    struct Aligned(u8);

    each_run(|| {
        let large = [0x5a_u8; 5_000];
        let sum = thread::spawn(move || large.iter().map(|&byte| u64::from(byte)).sum::<u64>());
        assert_eq!(sum.join().unwrap(), 5_000 * 0x5a);
        assert_eq!(thread::spawn(move || large).join().unwrap(), large);

        let aligned = Aligned(9);
        let back = thread::spawn(move || {
            assert_eq!((&raw const aligned).addr() % 256, 0);
            aligned
        });
        assert_eq!(back.join().unwrap(), Aligned(9));
        let nothing: () = thread::spawn(|| ()).join().unwrap();
        assert_eq!(nothing, ());
    });
}

#[test]
fn what_a_closure_owns_is_dropped_exactly_once() {
    each_run(|| {
        let drops = Drops::new();
        let handles: Vec<_> = (0..stress(1_000))
            .map(|_| {
                let token = drops.token();
                thread::spawn(move || drop(token))
            })
            .collect();
        let threads = handles.len();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(drops.count(), threads);

        let token = drops.token();
        thread::spawn(move || {
            let _owned = &token;
        })
        .join()
        .unwrap();
        assert_eq!(drops.count(), threads + 1);
    });
}

#[test]
fn names_are_seen_from_inside_and_outside() {
    each_run(|| {
        let handle = thread::Builder::new()
            .name("Ada".into())
            .spawn(|| {
                thread::yield_now();
                thread::current().name().map(str::to_owned)
            })
            .unwrap();
        assert_eq!(handle.thread().name(), Some("Ada"));
        assert_eq!(handle.join().unwrap().as_deref(), Some("Ada"));

        let unnamed = thread::spawn(|| thread::current().name().is_none());
        assert_eq!(unnamed.thread().name(), None);
        assert!(unnamed.join().unwrap());
    });
}

#[test]
fn ids_are_unique_among_green_and_os_threads() {
    each_runtime(|runtime| {
        let ids = Mutex::new(HashSet::new());
        let add = |id| assert!(ids.lock().unwrap().insert(id), "{id:?} was used twice");
        std::thread::scope(|os| {
            for _ in 0..2 {
                os.spawn(|| {
                    add(thread::current().id());
                    for _ in 0..50 {
                        let handle = runtime.handle().spawn(|| {
                            let inner = thread::spawn(|| thread::current().id());
                            let outside = inner.thread().id();
                            assert_eq!(inner.join().unwrap(), outside);
                            (thread::current().id(), outside)
                        });
                        let outside = handle.thread().id();
                        let (id, inner) = handle.join().unwrap();
                        assert_eq!(id, outside);
                        add(id);
                        add(inner);
                    }
                });
            }
        });
        assert_eq!(ids.lock().unwrap().len(), 202);
    });
}

#[test]
fn the_spawn_site_is_the_callers_line() {
    fn check(site: Option<&'static Location<'static>>, line: u32) {
        let site = site.expect("a green thread has a spawn site");
        assert_eq!((site.file(), site.line()), (file!(), line));
    }
    each_runtime(|runtime| {
        runtime.run(|| {
            let here = Handle::current();
            let (spawned, line) = (thread::spawn(|| ()), line!());
            check(spawned.thread().spawned_at(), line);
            let (spawned, line) = (thread::Builder::new().spawn(|| ()).unwrap(), line!());
            check(spawned.thread().spawned_at(), line);
            let (spawned, line) = (here.spawn(|| ()), line!());
            check(spawned.thread().spawned_at(), line);
            let (spawned, line) = (here.try_spawn(|| ()).unwrap(), line!());
            check(spawned.thread().spawned_at(), line);
            thread::scope(|s| {
                let (spawned, line) = (s.spawn(|| ()), line!());
                check(spawned.thread().spawned_at(), line);
                let builder = thread::Builder::new();
                let (spawned, line) = (builder.spawn_scoped(s, || ()).unwrap(), line!());
                check(spawned.thread().spawned_at(), line);
            });
        });
        let (site, line) = (runtime.run(|| thread::current().spawned_at()), line!());
        check(site, line);
        let (spawned, line) = (runtime.handle().spawn(|| ()), line!());
        check(spawned.thread().spawned_at(), line);
    });
    assert!(thread::current().spawned_at().is_none(), "an OS thread was spawned by no line of sward's");
}

#[test]
fn a_chain_in_which_each_joins_the_next_is_ten_thousand_deep() {
    fn chain(left: usize) -> usize {
        if left == 0 { 0 } else { 1 + thread::spawn(move || chain(left - 1)).join().unwrap() }
    }
    each_run(|| assert_eq!(chain(stress(10_000)), stress(10_000)));
}

#[test]
fn a_chain_in_which_each_ends_after_spawning_the_next_is_a_hundred_thousand_long() {
    fn chain(left: usize, end: mpsc::Sender<()>) {
        if left == 0 {
            end.send(()).unwrap();
        } else {
            thread::spawn(move || chain(left - 1, end));
        }
    }
    each_runtime(|runtime| {
        let (end, ended) = mpsc::channel();
        runtime.handle().spawn(move || chain(stress(100_000), end));
        ended.recv().unwrap();
    });
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let left = thread::spawn(move || fib(n - 1));
    let right = fib(n - 2);
    left.join().unwrap() + right
}

#[test]
fn fork_and_join_counts_right() {
    each_run(|| {
        for _ in 0..stress(1) {
            assert_eq!(fib(20), 6_765);
        }
    });
}

#[test]
fn a_hundred_thousand_are_outstanding_at_once() {
    each_runtime(|runtime| {
        let n = 100_000;
        let sum: usize = runtime.run(|| {
            let handles: Vec<_> = (0..n).map(|i| thread::spawn(move || i)).collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).sum()
        });
        assert_eq!(sum, n * (n - 1) / 2);
        // From outside as well.
        let handle = runtime.handle();
        let handles: Vec<_> = (0..n / 5).map(|i| handle.spawn(move || i)).collect();
        let sum: usize = handles.into_iter().map(|handle| handle.join().unwrap()).sum();
        assert_eq!(sum, n / 5 * (n / 5 - 1) / 2);
    });
}

/// Counts the green threads that have started and not ended, and the most there were at once.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Gauge {
    fn during<R>(&self, f: impl FnOnce() -> R) -> R {
        self.peak.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
        let result = f();
        self.now.fetch_sub(1, SeqCst);
        result
    }
}

fn skynet(number: usize, size: usize, gauge: &Arc<Gauge>) -> usize {
    if size == 1 {
        return number;
    }
    let children: Vec<_> = (0..10)
        .map(|i| {
            let gauge = Arc::clone(gauge);
            let number = number + i * (size / 10);
            thread::spawn(move || gauge.during(|| skynet(number, size / 10, &gauge)))
        })
        .collect();
    children.into_iter().map(|child| child.join().unwrap()).sum()
}

#[test]
fn a_wide_fork_and_join_has_few_stacks_in_use_at_once() {
    each_config(|config| {
        let gauge = Arc::new(Gauge::default());
        let leaves = 100_000;
        // Spares would take the oldest first from workers that have no CPU for a while.
        let runtime =
            config.builder().stall_after(Duration::MAX).build().expect("the runtime could not be built");
        let sum = runtime.run(|| skynet(0, leaves, &gauge));
        assert_eq!(sum, leaves * (leaves - 1) / 2);
        let peak = gauge.peak.load(SeqCst);
        // Breadth-first it would be all of them. Depth-first it is some for each level of the tree, and what the aging rule
        // starts early; thieves begin with the largest subtrees.
        assert!(peak <= 1_000, "{peak} green threads were under way at once");
    });
}

#[test]
fn work_spreads_to_every_worker() {
    // Each computes until all of them compute: that needs as many workers.
    let all_at_once = |config: Config, spawn_from_outside: bool| {
        let arrived = Arc::new(AtomicUsize::new(0));
        let n = config.workers;
        let meet = move || {
            arrived.fetch_add(1, SeqCst);
            while arrived.load(SeqCst) < n {
                std::thread::yield_now();
            }
        };
        let runtime = config.build();
        let handle = runtime.handle();
        let spawn_all = move || (0..n).map(|_| handle.spawn(meet.clone())).collect::<Vec<_>>();
        let handles = if spawn_from_outside { spawn_all() } else { runtime.run(spawn_all) };
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    };
    each_config(|config| {
        for _ in 0..stress(5) {
            all_at_once(config, false);
            all_at_once(config, true);
        }
    });
}

#[test]
fn a_lone_spawn_is_taken_over_when_its_spawner_computes_on() {
    each_mode(2, |config| {
        config.build().run(|| {
            let done = Arc::new(AtomicUsize::new(0));
            let theirs = Arc::clone(&done);
            let handle = thread::spawn(move || theirs.store(1, SeqCst));
            while done.load(SeqCst) == 0 {
                std::hint::spin_loop();
            }
            handle.join().unwrap();
        });
    });
}

#[test]
fn the_number_of_live_green_threads_is_known() {
    each_runtime(|runtime| {
        let handle = runtime.handle();
        assert_eq!(handle.live(), 0);
        let parked: Vec<_> = (0..10).map(|_| handle.spawn(thread::park)).collect();
        assert_eq!(handle.live(), 10);
        for thread in parked {
            thread.thread().unpark();
            thread.join().unwrap();
        }
        wait_until(|| handle.live() == 0);
    });
}
