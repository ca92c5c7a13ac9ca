//! Green-thread locals: each green thread has its own, they survive suspensions, and end with it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use crate::common::{DropToken, Drops, OnDrop, each_config, each_run, each_runtime, stress, wait_until};
use sward_runtime::{thread, thread_local};

thread_local! {
    static NUMBER: Cell<u64> = const { Cell::new(1) };
    static TEXT: RefCell<String> = RefCell::new(String::from("fresh"));
    static TOKEN: RefCell<Vec<DropToken>> = RefCell::default();
}

#[test]
fn each_green_thread_has_its_own() {
    each_run(|| {
        NUMBER.set(10);
        let handles: Vec<_> = (0..100)
            .map(|i| {
                thread::spawn(move || {
                    assert_eq!(NUMBER.get(), 1);
                    NUMBER.set(i);
                    for _ in 0..5 {
                        thread::yield_now();
                        assert_eq!(NUMBER.get(), i);
                    }
                    thread::sleep(Duration::from_micros(i % 10 * 10));
                    NUMBER.get()
                })
            })
            .collect();
        for (i, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap(), i as u64);
        }
        assert_eq!(NUMBER.get(), 10);
    });
}

#[test]
fn an_os_thread_has_its_own_and_they_end_with_it() {
    let _watchdog = crate::common::Watchdog::new();
    NUMBER.set(5);
    let drops = Drops::new();
    let token = drops.token();
    std::thread::spawn(move || {
        assert_eq!(NUMBER.get(), 1);
        NUMBER.set(6);
        TOKEN.with_borrow_mut(|tokens| tokens.push(token));
        assert_eq!(NUMBER.get(), 6);
    })
    .join()
    .unwrap();
    assert_eq!(drops.count(), 1);
    assert_eq!(NUMBER.get(), 5);
    assert_eq!(thread::spawn(|| NUMBER.get()).join().unwrap(), 1);
}

#[test]
fn green_threads_do_not_see_those_of_their_workers_or_of_their_predecessors() {
    each_run(|| {
        for i in 0..stress(200) {
            let seen = thread::spawn(move || NUMBER.replace(100 + i as u64)).join().unwrap();
            assert_eq!(seen, 1);
        }
    });
}

#[test]
fn all_forms_of_the_macro_and_all_accessors_work() {
    thread_local! {}
    thread_local!(static NO_SEMICOLON: Cell<u8> = Cell::new(3));
    thread_local! {
        /// With a comment.
        #[allow(dead_code, reason = "attributes are passed on")]
        pub static VISIBLE: Cell<u8> = const { Cell::new(4) };
        pub(crate) static LIST: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        static LAST: Option<Rc<u8>> = Some(Rc::new(9))
    }
    each_run(|| {
        assert_eq!((NO_SEMICOLON.get(), VISIBLE.get()), (3, 4));
        assert_eq!(NO_SEMICOLON.replace(8), 3);
        assert_eq!(NO_SEMICOLON.take(), 8);
        assert_eq!(NO_SEMICOLON.get(), 0);
        LIST.with_borrow_mut(|list| list.extend([1, 2]));
        assert_eq!(LIST.with_borrow(Vec::len), 2);
        assert_eq!(LIST.replace(vec![3]), [1, 2]);
        LIST.set(vec![4, 5]);
        assert_eq!(LIST.take(), [4, 5]);
        assert!(LIST.with_borrow(Vec::is_empty));
        assert_eq!(LAST.with(|last| last.as_deref().copied()), Some(9));
        assert_eq!(LAST.try_with(|last| last.is_some()), Ok(true));
    });
}

#[test]
fn a_value_is_made_at_its_first_use_and_stays_where_it_is() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static LAZY: usize = MADE.fetch_add(1, SeqCst));
    each_run(|| {
        let before = MADE.load(SeqCst);
        thread::spawn(|| ()).join().unwrap();
        assert_eq!(MADE.load(SeqCst), before);
        let address = || LAZY.with(|value| (&raw const *value).addr());
        let first = address();
        for _ in 0..100 {
            TEXT.with_borrow_mut(|text| text.push('x'));
            thread::yield_now();
        }
        assert_eq!(address(), first);
        assert_eq!(MADE.load(SeqCst), before + 1);
    });
}

#[test]
fn a_reference_survives_suspensions() {
    each_run(|| {
        let handles: Vec<_> = (0..stress(50))
            .map(|i| {
                thread::spawn(move || {
                    TEXT.with(|text| {
                        text.replace(format!("number {i}"));
                        for _ in 0..10 {
                            thread::yield_now();
                        }
                        thread::sleep(Duration::from_micros(50));
                        assert_eq!(*text.borrow(), format!("number {i}"));
                    });
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn destructors_run_once_before_join_returns() {
    each_run(|| {
        let drops = Drops::new();
        for i in 0..stress(200) {
            let token = drops.token();
            thread::spawn(move || {
                TOKEN.with_borrow_mut(|tokens| tokens.push(token));
                if i % 2 == 0 {
                    thread::yield_now();
                }
            })
            .join()
            .unwrap();
            assert_eq!(drops.count(), i + 1);
        }
    });
}

#[test]
fn destructors_run_after_a_panic_too() {
    each_run(|| {
        let drops = Drops::new();
        let token = drops.token();
        let ended = thread::spawn(move || {
            TOKEN.with_borrow_mut(|tokens| tokens.push(token));
            panic!("on purpose");
        })
        .join();
        let ended: std::thread::Result<()> = ended;
        assert!(ended.is_err());
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn destructors_run_when_the_runtime_ends() {
    each_config(|config| {
        let drops = Drops::new();
        let started = Arc::new(AtomicUsize::new(0));
        let runtime = config.build();
        for _ in 0..20 {
            let (token, started) = (drops.token(), Arc::clone(&started));
            runtime.handle().spawn(move || {
                TOKEN.with_borrow_mut(|tokens| tokens.push(token));
                started.fetch_add(1, SeqCst);
                thread::park();
            });
        }
        wait_until(|| started.load(SeqCst) == 20);
        drop(runtime);
        assert_eq!(drops.count(), 20);
    });
}

#[test]
fn the_first_made_is_destroyed_first() {
    struct Says(u8, mpsc::Sender<u8>);
    impl Drop for Says {
        fn drop(&mut self) {
            self.1.send(self.0).unwrap();
        }
    }
    thread_local! {
        static A: RefCell<Option<Says>> = const { RefCell::new(None) };
        static B: RefCell<Option<Says>> = const { RefCell::new(None) };
        static C: RefCell<Option<Says>> = const { RefCell::new(None) };
    }
    each_run(|| {
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            B.set(Some(Says(2, say.clone())));
            C.set(Some(Says(3, say.clone())));
            A.set(Some(Says(1, say)));
        })
        .join()
        .unwrap();
        assert_eq!(said.try_iter().collect::<Vec<_>>(), [2, 3, 1]);
    });
}

#[test]
fn a_destructor_sees_those_that_live_and_is_told_of_those_that_do_not() {
    struct Looks(mpsc::Sender<(bool, Option<u64>, bool)>);
    impl Drop for Looks {
        fn drop(&mut self) {
            let own = LOOKS.try_with(|_| ()).is_ok();
            let later = NUMBER.try_with(Cell::get).ok();
            let earlier = GONE.try_with(|_| ()).is_ok();
            self.0.send((own, later, earlier)).unwrap();
        }
    }
    thread_local! {
        static GONE: Cell<u8> = const { Cell::new(0) };
        static LOOKS: RefCell<Option<Looks>> = const { RefCell::new(None) };
    }
    each_run(|| {
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            GONE.set(1);
            LOOKS.set(Some(Looks(say)));
            NUMBER.set(77);
        })
        .join()
        .unwrap();
        assert_eq!(said.try_recv(), Ok((false, Some(77), false)));
        assert_eq!(said.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    });
}

#[test]
fn a_value_that_a_destructor_brings_to_life_is_destroyed_too() {
    struct Revives(DropToken);
    impl Drop for Revives {
        fn drop(&mut self) {
            let token = DropToken::clone_of(&self.0);
            TOKEN.with_borrow_mut(|tokens| tokens.push(token));
        }
    }
    thread_local!(static REVIVES: RefCell<Option<Revives>> = const { RefCell::new(None) });
    each_run(|| {
        let drops = Drops::new();
        let token = drops.token();
        thread::spawn(move || REVIVES.set(Some(Revives(token)))).join().unwrap();
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_value_that_the_destructor_of_a_detached_result_makes_is_destroyed_on_its_green_thread() {
    // The last reference to the green thread is `kept`, here: what is left over would be destroyed by us.
    thread_local!(static LATE: RefCell<Option<OnDrop<Box<dyn FnMut()>>>> = const { RefCell::new(None) });
    each_runtime(|runtime| {
        let (say, said) = mpsc::channel();
        let handle = runtime.handle().spawn(move || {
            thread::park();
            OnDrop(move || {
                let say = say.clone();
                LATE.set(Some(OnDrop(Box::new(move || {
                    let _ = say.send(thread::current().id());
                }))));
            })
        });
        let kept = handle.thread().clone();
        drop(handle);
        kept.unpark();
        wait_until(|| runtime.handle().live() == 0);
        let by = said.try_recv().expect("the value outlived its green thread");
        assert_eq!(by, kept.id());
    });
}

#[test]
fn an_initialiser_may_use_other_locals_and_even_its_own() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Counted(u64);
    impl Counted {
        fn new() -> Self {
            MADE.fetch_add(1, SeqCst);
            // The inner one is made while the outer one is being made.
            let depth = DEPTH.replace(DEPTH.get() + 1);
            if depth == 0 { Self(RECURSIVE.with(|inner| inner.0) + 1) } else { Self(NUMBER.get()) }
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, SeqCst);
        }
    }
    thread_local! {
        static DEPTH: Cell<u32> = const { Cell::new(0) };
        static RECURSIVE: Counted = Counted::new();
    }
    each_run(|| {
        let value = thread::spawn(|| {
            let value = RECURSIVE.with(|value| value.0);
            assert_eq!(RECURSIVE.with(|value| value.0), value);
            value
        });
        assert!([1, 2].contains(&value.join().unwrap()));
        assert_eq!(MADE.load(SeqCst), DROPPED.load(SeqCst));
    });
    assert!(MADE.load(SeqCst) >= 2);
}

#[test]
fn an_initialiser_may_suspend_and_may_panic() {
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SLOW: u8 = {
            thread::sleep(Duration::from_micros(100));
            3
        };
        static SECOND_TRY: u8 = {
            thread::yield_now();
            assert!(TRIES.fetch_add(1, SeqCst) % 2 == 1, "on purpose");
            4
        };
    }
    each_run(|| {
        assert_eq!(SLOW.with(|value| *value), 3);
        let value = thread::spawn(|| {
            let failed = std::panic::catch_unwind(|| SECOND_TRY.with(|value| *value));
            assert!(failed.is_err());
            SECOND_TRY.with(|value| *value)
        });
        assert_eq!(value.join().unwrap(), 4);
    });
}

#[test]
fn a_destructor_may_wait_and_spawn() {
    struct Waits(Arc<Mutex<Vec<u32>>>);
    impl Drop for Waits {
        fn drop(&mut self) {
            thread::sleep(Duration::from_micros(100));
            thread::yield_now();
            let n = thread::spawn(|| 3).join().unwrap();
            self.0.lock().unwrap().push(n);
        }
    }
    thread_local!(static WAITS: RefCell<Option<Waits>> = const { RefCell::new(None) });
    each_run(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&log);
        thread::spawn(move || WAITS.set(Some(Waits(theirs)))).join().unwrap();
        assert_eq!(*log.lock().unwrap(), [3]);
    });
}

#[test]
fn many_locals_in_many_green_threads() {
    macro_rules! many {
        ($($name:ident)*) => {
            thread_local! { $(static $name: Cell<usize> = const { Cell::new(0) };)* }
            fn set(n: usize) {
                $($name.set($name.get() + n);)*
            }
            fn sum() -> usize {
                0 $(+ $name.get())*
            }
        };
    }
    many!(L0 L1 L2 L3 L4 L5 L6 L7 L8 L9 L10 L11 L12 L13 L14 L15 L16 L17 L18 L19);
    each_run(|| {
        let handles: Vec<_> = (0..stress(200))
            .map(|i| {
                thread::spawn(move || {
                    set(i);
                    thread::yield_now();
                    set(1);
                    sum()
                })
            })
            .collect();
        for (i, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap(), 20 * (i + 1));
        }
    });
}
