//! Nothing stalls the program: workers that are stuck are made up for, and go back into line when they return.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Barrier, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use crate::common::{
    Config, Drops, ON_PURPOSE, child_case, child_succeeds, each_config, each_mode, os_thread_id, os_threads,
    stress, until_os_threads_are_gone, wait_until,
};
use sward_runtime::{
    blocking, budget,
    park::WaitReason,
    placement,
    runtime::{Runtime, Stall},
    thread,
};

/// A door that blocks OS threads until it is opened.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar, AtomicUsize)>);

impl Door {
    fn wait(&self) {
        let (open, opened, waiting) = &*self.0;
        waiting.fetch_add(1, SeqCst);
        let mut is_open = open.lock().unwrap();
        while !*is_open {
            is_open = opened.wait(is_open).unwrap();
        }
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn waiting(&self) -> usize {
        self.0.2.load(SeqCst)
    }
}

/// Has `n` green threads block their workers in foreign code, and returns when all do.
fn block(runtime: &Runtime, n: usize, door: &Door) -> Vec<thread::JoinHandle<()>> {
    let spawn = |_| {
        let door = door.clone();
        runtime.handle().spawn(move || door.wait())
    };
    let stuck = (0..n).map(spawn).collect();
    while door.waiting() < n {
        std::thread::yield_now();
    }
    stuck
}

/// Timers, wakes from both sides, spawns and joins.
fn all_goes_on(runtime: &Runtime) {
    let (sender, receiver) = mpsc::channel();
    let inside = runtime.handle().spawn(move || {
        thread::sleep(Duration::from_millis(2));
        let children: Vec<_> = (0..10)
            .map(|i| {
                thread::spawn(move || {
                    thread::yield_now();
                    i
                })
            })
            .collect();
        let sum: usize = children.into_iter().map(|child| child.join().unwrap()).sum();
        sender.send(thread::current()).unwrap();
        thread::park(); // for one outside
        sum
    });
    let parked = receiver.recv().unwrap();
    parked.unpark();
    assert_eq!(inside.join().unwrap(), 45);
    assert_eq!(runtime.run(|| thread::spawn(|| 7).join().unwrap()), 7);
}

#[test]
fn all_goes_on_while_more_are_stuck_than_there_are_workers() {
    each_config(|config| {
        let runtime = config.build();
        let door = Door::default();
        let stuck = block(&runtime, config.workers + 8, &door);
        for _ in 0..3 {
            all_goes_on(&runtime);
        }
        door.open();
        stuck.into_iter().for_each(|handle| handle.join().unwrap());
        all_goes_on(&runtime);
    });
}

#[test]
fn what_a_stuck_one_has_spawned_is_rescued() {
    each_config(|config| {
        let done = config.build().run(|| {
            let (sender, receiver) = mpsc::channel();
            let children: Vec<_> = (0..3)
                .map(|i| {
                    let sender = sender.clone();
                    thread::spawn(move || sender.send(i).unwrap())
                })
                .collect();
            // Nobody else would send.
            let mut done: Vec<_> = (0..3).map(|_| receiver.recv().unwrap()).collect();
            done.sort_unstable();
            children.into_iter().for_each(|child| child.join().unwrap());
            done
        });
        assert_eq!(done, [0, 1, 2]);
    });
}

#[test]
fn a_lone_spawn_of_a_stuck_one_is_rescued() {
    each_config(|config| {
        config.build().run(|| {
            let (sender, receiver) = mpsc::channel();
            let child = thread::spawn(move || sender.send(thread::current().id()).unwrap());
            assert_eq!(receiver.recv().unwrap(), child.thread().id());
            child.join().unwrap();
        });
    });
}

#[test]
fn those_who_compute_are_made_up_for() {
    each_config(|config| {
        let runtime = config.build();
        let (stop, started) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let hogs: Vec<_> = (0..config.workers + 1)
            .map(|_| {
                let (stop, started) = (Arc::clone(&stop), Arc::clone(&started));
                runtime.handle().spawn(move || {
                    started.fetch_add(1, SeqCst);
                    while !stop.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        // What has started before one of them, on the same worker, waits for it in anchored mode.
        wait_until(|| started.load(SeqCst) == hogs.len());
        all_goes_on(&runtime);
        stop.store(true, SeqCst);
        hogs.into_iter().for_each(|hog| hog.join().unwrap());
    });
}

/// How many of those who compute run at once, at the most, from now on.
fn run_at_once(runtime: &Runtime, crowd: usize) -> usize {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handles: Vec<_> = (0..crowd)
        .map(|_| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            runtime.handle().spawn(move || {
                for _ in 0..20 {
                    most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    for _ in 0..1_000 {
                        std::hint::spin_loop();
                    }
                    now.fetch_sub(1, SeqCst);
                    thread::yield_now();
                }
            })
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    most.load(SeqCst)
}

#[test]
fn as_many_run_at_once_as_there_are_workers_when_a_stall_is_over() {
    each_config(|config| {
        // Nobody is taken for stuck, but who says so.
        let runtime = config.builder().stall_after(Duration::from_secs(3600)).build().unwrap();
        let door = Door::default();
        let spawn = |_| {
            let door = door.clone();
            runtime.handle().spawn(move || blocking(|| door.wait()))
        };
        let stuck: Vec<_> = (0..config.workers + 3).map(spawn).collect();
        while door.waiting() < stuck.len() {
            std::thread::yield_now();
        }
        run_at_once(&runtime, 50);
        door.open();
        stuck.into_iter().for_each(|handle| handle.join().unwrap());
        for _ in 0..stress(5) {
            let most = run_at_once(&runtime, 50);
            assert!(most <= config.workers, "{most} at once on {} workers", config.workers);
        }
    });
}

#[test]
fn blocking_lets_others_run_at_once() {
    each_config(|config| {
        // So long that nobody waits for it.
        let runtime = config.builder().stall_after(Duration::from_secs(3600)).build().unwrap();
        runtime.run(|| {
            for _ in 0..stress(20) {
                let (sender, receiver) = mpsc::channel();
                let child = thread::spawn(move || {
                    thread::yield_now();
                    sender.send(1).unwrap();
                    2
                });
                assert_eq!(blocking(|| receiver.recv().unwrap()), 1);
                assert_eq!(child.join().unwrap(), 2);
            }
        });
    });
}

#[test]
fn blocking_nests_and_may_wait_inside() {
    each_config(|config| {
        let runtime = config.builder().stall_after(Duration::from_secs(3600)).build().unwrap();
        let handles: Vec<_> = (0..20)
            .map(|i| {
                runtime.handle().spawn(move || {
                    blocking(|| {
                        thread::yield_now();
                        let inner = blocking(|| {
                            let (sender, receiver) = mpsc::channel();
                            let child = thread::spawn(move || sender.send(i).unwrap());
                            let got = receiver.recv().unwrap();
                            child.join().unwrap();
                            got
                        });
                        thread::sleep(Duration::from_micros(100));
                        inner + thread::spawn(|| 1).join().unwrap()
                    })
                })
            })
            .collect();
        for (i, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap(), i + 1);
        }
    });
    assert_eq!(blocking(|| 5), 5); // on an OS thread
}

#[test]
fn a_panic_inside_blocking_gives_the_seat_back() {
    each_config(|config| {
        let runtime = config.builder().stall_after(Duration::from_secs(3600)).build().unwrap();
        runtime.run(|| {
            for _ in 0..stress(10) {
                let caught = catch_unwind(AssertUnwindSafe(|| blocking(|| panic!("{ON_PURPOSE}"))));
                assert!(caught.is_err());
                let failed = thread::spawn(|| {
                    let _nested = crate::common::OnDrop(|| blocking(thread::yield_now));
                    blocking(|| panic!("{ON_PURPOSE}"))
                });
                assert!(failed.join().is_err());
            }
        });
        assert!(run_at_once(&runtime, 20) <= config.workers);
    });
}

#[test]
fn a_wait_inside_blocking_is_cancelled() {
    each_config(|config| {
        config.build().run(|| {
            let waiting = thread::spawn(|| blocking(thread::park));
            wait_until(|| waiting.thread().state() == thread::State::Waiting(WaitReason::Park));
            waiting.cancel();
            assert!(waiting.join().unwrap_err().is::<sward_runtime::cancel::Cancelled>());
        });
    });
}

/// Those that have started on a spare are served there in anchored mode, for as long as they live.
#[test]
fn a_spare_that_has_become_a_home_keeps_serving() {
    each_config(|config| {
        let runtime = config.builder().stall_after(Duration::from_secs(3600)).build().unwrap();
        let door = Door::default();
        let spawn = |_| {
            let door = door.clone();
            runtime.handle().spawn(move || blocking(|| door.wait()))
        };
        let stuck: Vec<_> = (0..config.workers).map(spawn).collect();
        while door.waiting() < stuck.len() {
            std::thread::yield_now();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let turns: Vec<_> = (0..10).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        // Half of them always ready, half of them woken by timers.
        let tenants: Vec<_> = (turns.iter().enumerate())
            .map(|(i, turns)| {
                let (stop, turns) = (Arc::clone(&stop), Arc::clone(turns));
                runtime.handle().spawn(move || {
                    let home = os_thread_id();
                    while !stop.load(SeqCst) {
                        turns.fetch_add(1, SeqCst);
                        match i % 2 {
                            0 => thread::yield_now(),
                            _ => thread::sleep(Duration::from_micros(200)),
                        }
                        if !config.roaming {
                            assert_eq!(os_thread_id(), home);
                        }
                    }
                })
            })
            .collect();
        let all_move = || {
            let before: Vec<_> = turns.iter().map(|turns| turns.load(SeqCst)).collect();
            while turns.iter().zip(&before).any(|(turns, before)| turns.load(SeqCst) < before + 20) {
                std::thread::yield_now();
            }
        };
        all_move();
        door.open();
        stuck.into_iter().for_each(|handle| handle.join().unwrap());
        // Others that never rest are on the workers now, and take turns with those on the spares.
        let busy: Vec<_> = (0..config.workers * 2)
            .map(|_| {
                let stop = Arc::clone(&stop);
                runtime.handle().spawn(move || wait_until(|| stop.load(SeqCst)))
            })
            .collect();
        for _ in 0..3 {
            all_move();
        }
        stop.store(true, SeqCst);
        tenants.into_iter().chain(busy).for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn spares_are_reused_and_end_with_the_runtime() {
    each_config(|config| {
        let prefix = format!("sr{}{}", config.mode().len(), config.workers);
        let runtime =
            config.builder().thread_name(&prefix).stall_after(Duration::from_secs(3600)).build().unwrap();
        // Each names itself as it begins.
        wait_until(|| os_threads(&prefix) == config.workers + 1);
        for _ in 0..stress(5) {
            let door = Door::default();
            let spawn = |_| {
                let door = door.clone();
                runtime.handle().spawn(move || blocking(|| door.wait()))
            };
            let stuck: Vec<_> = (0..config.workers + 2).map(spawn).collect();
            while door.waiting() < stuck.len() {
                std::thread::yield_now();
            }
            door.open();
            stuck.into_iter().for_each(|handle| handle.join().unwrap());
        }
        // One for each that blocks, and, beside the poller thread, as many as there are workers for the others to run on. Those of the last
        // round need not have come to rest when the next begins.
        let most = 2 * (config.workers + 2) + 1 + config.workers;
        assert!(os_threads(&prefix) <= most, "{} of {most}", os_threads(&prefix));
        drop(runtime);
        until_os_threads_are_gone(&prefix);
    });
}

#[test]
fn no_more_spares_are_started_than_allowed() {
    each_config(|config| {
        let prefix = format!("sc{}{}", config.mode().len(), config.workers);
        let runtime = config.builder().thread_name(&prefix).max_spares(2).build().unwrap();
        let door = Door::default();
        let spawn = |_| {
            let door = door.clone();
            runtime.handle().spawn(move || blocking(|| door.wait()))
        };
        let stuck: Vec<_> = (0..config.workers + 5).map(spawn).collect();
        while door.waiting() < config.workers + 2 {
            std::thread::yield_now();
        }
        assert_eq!(os_threads(&prefix), config.workers + 1 + 2);
        door.open();
        stuck.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn without_spares_blocking_is_a_call() {
    each_config(|config| {
        let runtime = config.builder().max_spares(0).build().unwrap();
        assert_eq!(runtime.run(|| blocking(|| thread::spawn(|| 3).join().unwrap())), 3);
    });
}

#[test]
fn a_runtime_ends_while_workers_are_stuck() {
    each_config(|config| {
        let prefix = format!("se{}{}", config.mode().len(), config.workers);
        let runtime = config.builder().thread_name(&prefix).build().unwrap();
        let (door, drops) = (Door::default(), Drops::new());
        let stuck = block(&runtime, config.workers + 2, &door);
        let parked: Vec<_> = (0..10)
            .map(|_| {
                let token = drops.token();
                runtime.handle().spawn(move || {
                    let _token = token;
                    thread::park();
                })
            })
            .collect();
        all_goes_on(&runtime);
        let handle = runtime.handle();
        let end = std::thread::spawn(move || drop(runtime));
        // It has begun to end when it takes no more.
        while handle.try_spawn(|| ()).is_ok() {
            std::thread::yield_now();
        }
        door.open();
        end.join().unwrap();
        assert_eq!(drops.count(), 10);
        stuck.into_iter().chain(parked).for_each(|handle| drop(handle.join()));
        until_os_threads_are_gone(&prefix);
    });
}

#[test]
fn those_who_unwind_stay_where_they_are() {
    each_config(|config| {
        let runtime = config.build();
        let door = Door::default();
        let stuck = block(&runtime, config.workers, &door);
        let handles: Vec<_> = (0..20)
            .map(|_| {
                runtime.handle().spawn(|| {
                    let _slow = crate::common::OnDrop(|| {
                        let home = os_thread_id();
                        for _ in 0..5 {
                            thread::yield_now();
                            thread::sleep(Duration::from_micros(50));
                            assert_eq!(os_thread_id(), home);
                        }
                    });
                    panic!("{ON_PURPOSE}");
                })
            })
            .collect();
        for handle in handles {
            assert!(handle.join().is_err());
        }
        door.open();
        stuck.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

/// Stalls come and go at random beside all else.
#[test]
fn stalls_that_come_and_go_lose_nothing() {
    each_config(|config| {
        let runtime = config.builder().stall_after(Duration::from_millis(1)).build().unwrap();
        for round in 0..stress(3) {
            let handles: Vec<_> = (0..60)
                .map(|i| {
                    runtime.handle().spawn(move || {
                        let mut sum = 0;
                        for step in 0..20 {
                            match (i * 7 + step * 3 + round) % 9 {
                                0 => std::thread::sleep(Duration::from_micros(1_500)),
                                1 => blocking(|| std::thread::sleep(Duration::from_micros(200))),
                                2 => thread::sleep(Duration::from_micros(300)),
                                3 => blocking(thread::yield_now),
                                4 => sum += thread::spawn(|| 1).join().unwrap(),
                                5 => thread::spawn(|| std::thread::sleep(Duration::from_micros(700)))
                                    .join()
                                    .unwrap(),
                                _ => thread::yield_now(),
                            }
                            budget::spend();
                        }
                        sum
                    })
                })
                .collect();
            handles.into_iter().for_each(|handle| assert!(handle.join().unwrap() <= 20));
        }
    });
}

/// All workers at once: nobody is left to see it but the poller thread.
#[test]
fn workers_that_block_for_each_other_are_made_up_for() {
    each_mode(2, |config| {
        let runtime = config.build();
        for _ in 0..stress(3) {
            let meeting = Arc::new(Barrier::new(6));
            let handles: Vec<_> = (0..6)
                .map(|_| {
                    let meeting = Arc::clone(&meeting);
                    runtime.handle().spawn(move || meeting.wait().is_leader())
                })
                .collect();
            let leaders = handles.into_iter().map(|handle| handle.join().unwrap());
            assert_eq!(leaders.filter(|&leads| leads).count(), 1);
        }
    });
}

/// Blocks the calling worker in foreign code until what it has spawned has run.
fn stall() {
    let (sender, receiver) = mpsc::channel();
    let child = thread::spawn(move || sender.send(()).unwrap());
    receiver.recv().unwrap();
    child.join().unwrap();
}

#[test]
fn a_stall_is_told_with_who_where_and_how_long() {
    each_mode(1, |config| {
        let (sender, stalls) = mpsc::channel();
        let tell = move |stall: &Stall| sender.send(stall.clone()).unwrap();
        let runtime = config.builder().on_stall(tell).build().unwrap();
        runtime.run(move || {
            let culprit = thread::Builder::new().name("culprit".into());
            // Blocks its worker in foreign code, with another behind, until that is told.
            let run = move || {
                let behind = thread::spawn(|| ());
                let told = stalls.recv().unwrap();
                behind.join().unwrap();
                (told, os_thread_id())
            };
            let (culprit, line) = (culprit.spawn(run).unwrap(), line!());
            let id = culprit.thread().id();
            let (told, os_thread) = culprit.join().unwrap();
            assert_eq!((told.thread_id(), told.thread_name()), (Some(id), Some("culprit")), "{told}");
            assert_eq!(told.spawned_at().unwrap().line(), line);
            assert!(told.duration() >= Duration::from_millis(10) && told.behind() > 0, "{told}");
            assert_eq!(told.os_thread(), Some(os_thread));
            assert!(told.blocked_in().is_some(), "{told}");
            let text = told.to_string();
            assert!(text.contains("'culprit'") && text.contains("stall.rs"), "{text}");
        });
    });
}

#[test]
fn what_blocks_with_a_word_is_not_told() {
    each_mode(1, |config| {
        let (sender, stalls) = mpsc::channel();
        let tell = move |stall: &Stall| sender.send(stall.thread_name().map(str::to_owned)).unwrap();
        let runtime = config.builder().on_stall(tell).build().unwrap();
        let times = stress(3);
        runtime.run(move || {
            for _ in 0..times {
                let child = thread::spawn(|| ());
                blocking(|| std::thread::sleep(Duration::from_millis(30)));
                child.join().unwrap();
            }
            let second = thread::Builder::new().name("second".into());
            let run = move || {
                let behind = thread::spawn(|| ());
                // A busy machine may have stopped the first one's worker at some time, but not each time.
                let others = stalls.iter().take_while(|told| told.as_deref() != Some("second")).count();
                behind.join().unwrap();
                others
            };
            assert!(second.spawn(run).unwrap().join().unwrap() < times);
        });
    });
}

#[test]
fn a_panic_in_what_is_told_harms_nobody() {
    each_mode(1, |config| {
        let runtime = config.builder().on_stall(|_| panic!("{ON_PURPOSE}")).build().unwrap();
        for _ in 0..3 {
            runtime.run(stall);
        }
    });
}

#[test]
fn a_spare_that_cannot_be_started_is_tried_again() {
    const TEST: &str = "a_spare_that_cannot_be_started_is_tried_again";
    let Some(mode) = child_case() else {
        for roaming in crate::common::modes() {
            child_succeeds(TEST, if roaming { "roaming" } else { "anchored" });
        }
        return;
    };
    let _watchdog = crate::common::Watchdog::new();
    let runtime = Config { workers: 1, roaming: mode == "roaming" }.build();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: there is room for the answer.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit) }, 0);
    let set = |soft: libc::rlim_t| {
        let limit = libc::rlimit { rlim_cur: soft, ..limit };
        // SAFETY: a valid record.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) }, 0);
    };
    // SAFETY: a number of a user, since the superuser may start as many as he likes.
    assert!(unsafe { libc::geteuid() } != 0 || unsafe { libc::setuid(54_323) } == 0);
    set(0);
    assert!(std::thread::Builder::new().spawn(|| ()).is_err());
    let (sender, receiver) = mpsc::channel();
    let stuck = runtime.handle().spawn(move || blocking(|| receiver.recv().unwrap()));
    let other = runtime.handle().spawn(move || sender.send(5).unwrap());
    // For a while there is none to be had.
    std::thread::sleep(Duration::from_millis(50));
    assert!(!other.is_finished());
    set(limit.rlim_max);
    assert_eq!(stuck.join().unwrap(), 5);
    other.join().unwrap();
    all_goes_on(&runtime);
}

#[test]
fn what_was_placed_on_a_worker_and_has_not_started_does_not_wait_behind_a_call_there() {
    each_mode(2, |config| {
        // Nobody is to be taken for stuck: the call is announced.
        let runtime = config.builder().stall_after(Duration::MAX).build().unwrap();
        runtime.run(|| {
            let place = |here: bool| {
                placement::spread_next_spawn();
                if here {
                    thread::spawn(|| ()).join().unwrap();
                    placement::spread_next_spawn();
                }
            };
            let (started, has_started) = mpsc::channel();
            // It is on the other worker, waits, and is to call there once the last one stands in line behind it.
            place(false);
            let caller = thread::spawn(move || {
                thread::park();
                blocking(move || has_started.recv().is_ok())
            });
            wait_until(|| matches!(caller.thread().state(), thread::State::Waiting(WaitReason::Park)));
            let (busy, goes_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let theirs = (Arc::clone(&busy), Arc::clone(&goes_on), caller.thread().clone());
            place(true);
            let waker = thread::spawn(move || {
                let (busy, goes_on, caller) = theirs;
                busy.store(true, SeqCst);
                while !goes_on.load(SeqCst) {
                    std::hint::spin_loop();
                }
                caller.unpark();
            });
            wait_until(|| busy.load(SeqCst));
            place(true);
            let last = thread::spawn(move || started.send(()).unwrap());
            goes_on.store(true, SeqCst);
            assert!(caller.join().unwrap());
            waker.join().unwrap();
            last.join().unwrap();
        });
    });
}
