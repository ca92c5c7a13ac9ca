//! Futures on green threads, and green threads as futures.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::common::{ON_PURPOSE, each_config, each_mode, each_run, each_runtime, stress, wait_until};
use sward_runtime::{cancel::Cancelled, future::block_on, thread};

/// Ready once it was opened; keeps the latest waker.
#[derive(Default)]
struct Gate(Mutex<(bool, Option<Waker>)>);

impl Gate {
    fn open(&self) {
        let waker = {
            let mut gate = self.0.lock().unwrap();
            gate.0 = true;
            gate.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn is_watched(&self) -> bool {
        self.0.lock().unwrap().1.is_some()
    }

    fn opened(&self) -> impl Future<Output = ()> + '_ {
        poll_fn(|context| {
            let mut gate = self.0.lock().unwrap();
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1 = Some(context.waker().clone());
            Poll::Pending
        })
    }
}

/// Counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_ready_future_is_not_waited_for() {
    each_run(|| assert_eq!(block_on(async { 7 }), 7));
    assert_eq!(block_on(async { 7 }), 7);
}

#[test]
fn a_pending_future_parks_only_the_green_thread() {
    each_run(|| {
        let gate = Arc::new(Gate::default());
        let waiting = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || block_on(gate.opened()))
        };
        // With one worker this goes on only if the other has parked.
        wait_until(|| gate.is_watched());
        gate.open();
        waiting.join().unwrap();
    });
}

#[test]
fn a_future_that_wakes_itself_keeps_no_worker() {
    each_mode(1, |config| {
        config.build().run(|| {
            let is_done = Arc::new(AtomicUsize::new(0));
            let other = {
                let is_done = Arc::clone(&is_done);
                thread::spawn(move || is_done.store(1, SeqCst))
            };
            block_on(poll_fn(|context| {
                if is_done.load(SeqCst) == 1 {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                Poll::Pending
            }));
            other.join().unwrap();
        });
    });
}

#[test]
fn a_wake_from_an_os_thread_reaches_it() {
    each_run(|| {
        let gate = Arc::new(Gate::default());
        let opener = {
            let gate = Arc::clone(&gate);
            std::thread::spawn(move || {
                while !gate.is_watched() {
                    std::thread::yield_now();
                }
                gate.open();
            })
        };
        block_on(gate.opened());
        opener.join().unwrap();
    });
}

#[test]
fn a_wake_during_the_poll_is_not_lost() {
    each_run(|| {
        let mut polls = 0;
        block_on(poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls < 100 { Poll::Pending } else { Poll::Ready(()) }
        }));
        assert_eq!(polls, 100);
    });
}

#[test]
fn an_unpark_is_neither_taken_nor_a_wake() {
    each_run(|| {
        thread::current().unpark();
        let mut polls = 0;
        let gate = Arc::new(Gate::default());
        let opener = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                wait_until(|| gate.is_watched());
                gate.open();
            })
        };
        let mut opened = pin!(gate.opened());
        block_on(poll_fn(|context| {
            polls += 1;
            opened.as_mut().poll(context)
        }));
        assert_eq!(polls, 2, "only the gate wakes it");
        // The token is still there.
        thread::park();
        opener.join().unwrap();
    });
}

#[test]
fn the_end_of_the_runtime_drops_the_future() {
    each_config(|config| {
        struct Counted(mpsc::Sender<()>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let (sender, dropped) = mpsc::channel();
        let runtime = config.build();
        let gate = Arc::new(Gate::default());
        let waiting = {
            let (gate, counted) = (Arc::clone(&gate), Counted(sender));
            runtime.handle().spawn(move || {
                block_on(async {
                    let _counted = counted;
                    gate.opened().await;
                });
            })
        };
        while !gate.is_watched() {
            std::thread::yield_now();
        }
        drop(runtime);
        assert!(waiting.join().unwrap_err().is::<Cancelled>());
        assert_eq!(dropped.try_iter().count(), 1);
        // A waker that is left over does no harm.
        gate.open();
    });
}

#[test]
fn a_join_handle_is_a_future() {
    each_run(|| {
        let sum = block_on(async {
            let mut sum = 0;
            for handle in (0..10).map(|i| thread::spawn(move || i)).collect::<Vec<_>>() {
                sum += handle.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 45);
    });
}

#[test]
fn a_panic_reaches_who_awaits_it() {
    each_run(|| {
        let failed = block_on(thread::spawn(|| -> () { panic!("{ON_PURPOSE}") }));
        assert_eq!(*failed.unwrap_err().downcast::<String>().unwrap(), ON_PURPOSE);
    });
}

#[test]
fn os_threads_await_green_threads() {
    each_runtime(|runtime| {
        for i in 0..stress(100) {
            assert_eq!(block_on(runtime.handle().spawn(move || i)).unwrap(), i);
        }
    });
}

#[test]
fn the_latest_waker_is_woken_once() {
    each_run(|| {
        let gate = Arc::new(Gate::default());
        let mut handle = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || block_on(gate.opened()))
        };
        let wakes: [Arc<Wakes>; 3] = Default::default();
        for wakes in &wakes {
            let waker = Waker::from(Arc::clone(wakes));
            assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        gate.open();
        wait_until(|| wakes[2].0.load(SeqCst) == 1);
        assert_eq!(wakes.map(|wakes| wakes.0.load(SeqCst)), [0, 0, 1]);
        handle.join().unwrap();
    });
}

#[test]
fn a_handle_that_was_polled_can_be_joined_or_dropped() {
    each_run(|| {
        for i in 0..stress(200) {
            let mut handle = thread::spawn(move || vec![i; 3]);
            let wakes = Arc::new(Wakes::default());
            let waker = Waker::from(Arc::clone(&wakes));
            match Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)) {
                Poll::Pending if i % 2 == 0 => assert_eq!(handle.join().unwrap(), [i; 3]),
                Poll::Pending => drop(handle),
                Poll::Ready(result) => assert_eq!(result.unwrap(), [i; 3]),
            }
        }
    });
}

#[test]
#[should_panic(expected = "taken twice")]
fn a_result_is_taken_once() {
    let mut handle = thread::spawn(|| 1);
    assert_eq!(block_on(&mut handle).unwrap(), 1);
    let _ = handle.join();
}

#[test]
fn a_waker_whose_destructor_panics_leaves_the_handle_usable() {
    /// Panics when the last waker of it is dropped, unless something unwinds already.
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("{ON_PURPOSE}");
            }
        }
    }
    each_run(|| {
        let gate = Arc::new(Gate::default());
        let mut handle = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || block_on(gate.opened()))
        };
        let bomb = Waker::from(Arc::new(Bomb));
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&bomb)).is_pending());
        // The handle's own is the last one.
        drop(bomb);
        let waker = Waker::from(Arc::new(Wakes::default()));
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        gate.open();
        handle.join().unwrap();
    });
}

#[test]
fn a_waker_that_panics_harms_neither_the_green_thread_nor_its_worker() {
    struct Angry;
    impl Wake for Angry {
        fn wake(self: Arc<Self>) {
            panic!("{ON_PURPOSE}");
        }
    }
    each_run(|| {
        let gate = Arc::new(Gate::default());
        let mut handle = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || block_on(gate.opened()))
        };
        let angry = Waker::from(Arc::new(Angry));
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&angry)).is_pending());
        gate.open();
        handle.join().unwrap();
        thread::spawn(|| ()).join().unwrap();
    });
}
