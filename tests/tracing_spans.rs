//! Spans of `tracing`: they follow the green thread that is in them, and no other is in them meanwhile.

use std::{
    mem,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use crate::common::{ON_PURPOSE, each_mode, each_run, each_runtime, quiet_panics, stress};
use ::tracing::{Dispatch, Id, Span, Subscriber, dispatcher, info_span};
use sward::{
    channel,
    sync::{Arc, Mutex, mpsc},
    task, thread, time,
};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Has the process keep spans. Other tests do not notice.
fn subscribe() {
    let _ = ::tracing::subscriber::set_global_default(tracing_subscriber::registry());
}

fn current() -> Option<Id> {
    Span::current().id()
}

#[test]
fn those_who_take_turns_on_a_worker_are_in_their_own_spans() {
    subscribe();
    each_run(|| {
        let handles: Vec<_> = (0..stress(100))
            .map(|i| {
                thread::spawn(move || {
                    assert_eq!(current(), None);
                    // Every third is in none.
                    let span = if i % 3 == 0 { Span::none() } else { info_span!("own", i) };
                    let entered = span.enter();
                    for _ in 0..5 {
                        thread::yield_now();
                        assert_eq!(current(), span.id());
                    }
                    thread::sleep(Duration::from_micros(i as u64 % 10 * 10));
                    assert_eq!(current(), span.id());
                    drop(entered);
                    thread::yield_now();
                    assert_eq!(current(), None);
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn a_span_follows_through_every_kind_of_wait() {
    subscribe();
    each_run(|| {
        let span = info_span!("waits");
        let mutex = Mutex::new(0);
        let (sender, receiver) = channel::bounded(0);
        task::join!(
            || span.in_scope(|| {
                for i in 0..stress(20) {
                    assert_eq!(receiver.recv(), Ok(i));
                    assert_eq!(current(), span.id());
                    *mutex.lock().unwrap() += 1;
                    assert_eq!(current(), span.id());
                    thread::spawn(|| assert_eq!(current(), None)).join().unwrap();
                    assert_eq!(current(), span.id());
                    thread::park_timeout(Duration::from_micros(10));
                    assert_eq!(current(), span.id());
                    assert!(time::timeout(Duration::from_micros(10), thread::park).is_err());
                    assert_eq!(current(), span.id());
                }
            }),
            || for i in 0..stress(20) {
                sender.send(i).unwrap();
                let held = mutex.lock().unwrap();
                thread::yield_now();
                assert_eq!(current(), None);
                drop(held);
            }
        );
    });
}

#[test]
fn nested_spans_are_left_one_by_one_after_a_wait() {
    subscribe();
    each_run(|| {
        let (outer, inner) = (info_span!("outer"), info_span!("inner"));
        outer.in_scope(|| {
            inner.in_scope(|| {
                // Once more: it is entered twice.
                outer.in_scope(thread::yield_now);
                thread::yield_now();
                assert_eq!(current(), inner.id());
                let child = info_span!("child");
                child.in_scope(|| {
                    thread::yield_now();
                    assert_eq!(current(), child.id());
                });
                assert_eq!(current(), inner.id());
            });
            assert_eq!(current(), outer.id());
            thread::yield_now();
            assert_eq!(current(), outer.id());
        });
        assert_eq!(current(), None);
    });
}

#[test]
fn what_is_spawned_inherits_on_request() {
    subscribe();
    each_runtime(|runtime| {
        let span = info_span!("asked");
        span.in_scope(|| {
            let ids = runtime.run(task::in_current_span(|| {
                let asked = task::in_current_span(|| {
                    thread::yield_now();
                    current()
                });
                (current(), thread::spawn(asked).join().unwrap(), thread::spawn(current).join().unwrap())
            }));
            assert_eq!(ids, (span.id(), span.id(), None));
        });
    });
}

#[test]
fn who_ends_in_a_span_leaves_none_behind() {
    subscribe();
    quiet_panics();
    each_mode(1, |config| {
        config.build().run(|| {
            let (there, begun) = mpsc::channel();
            let cancelled = thread::spawn(move || {
                info_span!("cancelled").in_scope(|| {
                    there.send(()).unwrap();
                    loop {
                        thread::park();
                    }
                });
            });
            begun.recv().unwrap();
            cancelled.cancel();
            assert!(cancelled.join().is_err());
            thread::spawn(|| mem::forget(info_span!("forgotten").entered())).join().unwrap();
            assert!(
                thread::spawn(|| info_span!("panics").in_scope(|| panic!("{ON_PURPOSE}"))).join().is_err()
            );
            assert_eq!(thread::spawn(current).join().unwrap(), None);
            assert_eq!(current(), None);
        });
    });
}

/// Hears of spans that are entered and left, and does not behave.
#[derive(Default)]
struct Rude {
    panics: AtomicBool,
    waits: AtomicBool,
    calls: AtomicUsize,
}

struct Listener(Arc<Rude>);

impl Listener {
    fn call(&self) {
        self.0.calls.fetch_add(1, SeqCst);
        assert!(!self.0.panics.load(SeqCst), "{ON_PURPOSE}");
        if self.0.waits.load(SeqCst) {
            thread::sleep(Duration::from_micros(10));
        }
    }
}

impl<S: Subscriber> Layer<S> for Listener {
    fn on_enter(&self, _: &Id, _: Context<'_, S>) {
        self.call();
    }

    fn on_exit(&self, _: &Id, _: Context<'_, S>) {
        self.call();
    }
}

#[test]
fn a_subscriber_that_panics_or_waits_harms_nobody() {
    quiet_panics();
    each_mode(1, |config| {
        let rude = Arc::new(Rude::default());
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(Listener(Arc::clone(&rude))));
        config.build().run(|| {
            dispatcher::with_default(&dispatch, || {
                let span = info_span!("rude");
                for fault in [&rude.panics, &rude.waits] {
                    let entered = span.enter();
                    let before = rude.calls.load(SeqCst);
                    fault.store(true, SeqCst);
                    let (sender, receiver) = mpsc::channel();
                    thread::spawn(move || sender.send(current()));
                    assert_eq!(receiver.recv(), Ok(None));
                    fault.store(false, SeqCst);
                    assert_eq!(rude.calls.load(SeqCst), before + 2);
                    assert_eq!(current(), span.id());
                    drop(entered);
                }
            });
        });
    });
}

/// Sends what it hears.
struct Shipper(channel::Sender<&'static str>);

impl<S: Subscriber> Layer<S> for Shipper {
    fn on_exit(&self, _: &Id, _: Context<'_, S>) {
        self.0.send("left").unwrap();
    }
}

#[test]
fn a_subscriber_may_send_to_the_very_channel_that_who_leaves_the_span_waits_for() {
    each_run(|| {
        let (sender, receiver) = channel::unbounded();
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(Shipper(sender)));
        dispatcher::with_default(&dispatch, || {
            let span = info_span!("reader");
            let _entered = span.enter();
            for _ in 0..3 {
                assert_eq!(receiver.recv(), Ok("left"));
            }
        });
    });
}

/// Panics in its destructor.
struct Fragile;

impl<S: Subscriber> Layer<S> for Fragile {}

impl Drop for Fragile {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("{ON_PURPOSE}");
        }
    }
}

#[test]
fn a_subscriber_that_is_dropped_amid_a_wait_leaves_the_wait_whole() {
    quiet_panics();
    each_mode(1, |config| {
        config.build().run(|| {
            let (sender, receiver) = channel::unbounded();
            // Who sets a default while another's is in force, and outlives it, ends up with none.
            let (end, ended) = channel::bounded(0);
            let (begun, begin) = channel::bounded(0);
            let first = thread::spawn(move || {
                let guard = dispatcher::set_default(&Dispatch::new(tracing_subscriber::registry()));
                begun.send(()).unwrap();
                ended.recv().unwrap();
                drop(guard);
            });
            begin.recv().unwrap();
            let theirs = receiver.clone();
            let (tell, about) = channel::unbounded();
            let waiter = thread::spawn(move || {
                let dispatch = Dispatch::new(tracing_subscriber::registry().with(Fragile));
                let guard = dispatcher::set_default(&dispatch);
                let span = info_span!("waits");
                dispatch.enter(&dispatch.clone_span(&span.id().unwrap()));
                drop((span, dispatch));
                tell.send(()).unwrap();
                let received: Result<u32, _> = theirs.recv();
                drop(guard);
                received
            });
            // It has the only worker until it waits.
            about.recv().unwrap();
            end.send(()).unwrap();
            first.join().unwrap();
            waiter.cancel();
            assert!(waiter.join().is_err());
            // It is not given to who has gone.
            sender.send(7).unwrap();
            assert_eq!(receiver.recv(), Ok(7));
        });
    });
}
