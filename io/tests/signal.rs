//! Signals: who sees which, that none is lost, and the request to end. Each in a process of its own.

use std::{
    collections::HashSet,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{
    everywhere,
    process::{alone, descriptors, in_role, one_worker, role, send, until_waiting, yield_until},
    runtimes, settle, stress, watchdog,
};
use sward_io::signal::{self, ForbiddenSignal, Signal, Signals};
use sward_runtime::{cancel::Cancelled, runtime::Builder, thread};

/// Sends a signal to this process.
fn raise(signal: Signal) {
    let me = i32::try_from(std::process::id()).expect("positive");
    // SAFETY: sends a signal, for which a handler is installed.
    assert_eq!(unsafe { libc::kill(me, signal.as_raw()) }, 0);
}

/// All that there are.
fn all_signals() -> impl Iterator<Item = Signal> {
    (1..=64).filter_map(Signal::from_raw)
}

#[test]
fn signals_have_the_names_and_numbers_of_the_system() {
    assert_eq!(Signal::Interrupt.as_raw(), libc::SIGINT);
    assert_eq!(
        (Signal::Terminate.to_string(), Signal::WindowChange.to_string()),
        ("SIGTERM".into(), "SIGWINCH".into())
    );
    assert_eq!(Signal::RealTime(1).as_raw(), libc::SIGRTMIN() + 1);
    assert_eq!(Signal::from_raw(libc::SIGRTMAX()).map(Signal::as_raw), Some(libc::SIGRTMAX()));
    assert_eq!((Signal::from_raw(0), Signal::from_raw(65), Signal::from_raw(-1)), (None, None, None));
    for signal in all_signals() {
        assert_eq!(Signal::from_raw(signal.as_raw()), Some(signal));
    }
    assert_eq!(
        all_signals().map(|signal| signal.to_string()).collect::<HashSet<_>>().len(),
        all_signals().count()
    );
}

#[test]
fn what_cannot_be_waited_for_is_refused() {
    alone("what_cannot_be_waited_for_is_refused", || {
        use Signal::{Bus, FloatingPoint, IllegalInstruction, Kill, RealTime, SegmentationFault, Stop};
        for signal in [Kill, Stop, SegmentationFault, Bus, IllegalInstruction, FloatingPoint, RealTime(200)] {
            let error = Signals::new([Signal::User1, signal]).expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ForbiddenSignal>());
            assert_eq!(inner.map(ForbiddenSignal::signal), Some(signal));
        }
        // Not even the others were taken over.
        // SAFETY: asks only.
        let action = unsafe { libc::signal(libc::SIGUSR1, libc::SIG_DFL) };
        assert_eq!(action, libc::SIG_DFL);
        // None is a choice too, if not a useful one.
        let none = Signals::new([]).expect("no signals");
        assert_eq!(none.recv_timeout(Duration::from_millis(1)), None);
    });
}

#[test]
fn every_other_signal_arrives() {
    alone("every_other_signal_arrives", || {
        everywhere(|| {
            for signal in all_signals().filter(|signal| Signals::new([*signal]).is_ok()) {
                let signals = Signals::new([signal, signal])?;
                assert_eq!(signals.try_recv(), None);
                raise(signal);
                assert_eq!(signals.recv(), signal);
                assert_eq!(signals.try_recv(), None, "{signal} came once");
            }
            Ok(())
        });
    });
}

#[test]
fn who_waits_is_woken_and_does_not_keep_the_worker() {
    alone("who_waits_is_woken_and_does_not_keep_the_worker", || {
        one_worker().run(|| {
            let signals = Signals::new([Signal::User1, Signal::User2]).expect("signals");
            let waiter = thread::spawn(move || [signals.recv(), signals.recv()]);
            settle();
            assert!(!waiter.is_finished());
            raise(Signal::User2);
            settle();
            raise(Signal::User1);
            let received = waiter.join().expect("no panic");
            assert!(received == [Signal::User1, Signal::User2] || received == [Signal::User2, Signal::User1]);
        });
    });
}

#[test]
fn each_sees_every_signal_since_it_was_created() {
    alone("each_sees_every_signal_since_it_was_created", || {
        everywhere(|| {
            let first = Signals::new([Signal::User1])?;
            raise(Signal::User1);
            // The handler has run when the first has it; the second comes later, and the clone has what the original has.
            yield_until(|| first.clone().try_recv().is_some());
            let clone = first.clone();
            let second = Signals::new([Signal::User1, Signal::User2])?;
            assert_eq!((first.recv(), clone.recv()), (Signal::User1, Signal::User1));
            assert_eq!((first.try_recv(), clone.try_recv(), second.try_recv()), (None, None, None));

            let all = [first, clone, second];
            let waiters = all.map(|signals| thread::spawn(move || (signals.recv(), signals)));
            settle();
            raise(Signal::User1);
            for waiter in waiters {
                let (signal, signals) = waiter.join().expect("no panic");
                assert_eq!((signal, signals.try_recv()), (Signal::User1, None));
            }
            Ok(())
        });
    });
}

#[test]
fn of_those_who_share_one_each_signal_goes_to_one() {
    alone("of_those_who_share_one_each_signal_goes_to_one", || {
        everywhere(|| {
            let signals = Signals::new([Signal::User1])?;
            let received = AtomicUsize::new(0);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        assert_eq!(signals.recv(), Signal::User1);
                        received.fetch_add(1, SeqCst);
                    });
                }
                for i in 0..4 {
                    settle();
                    assert_eq!(received.load(SeqCst), i);
                    raise(Signal::User1);
                    yield_until(|| received.load(SeqCst) == i + 1);
                }
            });
            Ok(())
        });
    });
}

#[test]
fn a_wait_with_a_limit_ends_and_another_succeeds() {
    alone("a_wait_with_a_limit_ends_and_another_succeeds", || {
        everywhere(|| {
            let signals = Signals::new([Signal::Hangup])?;
            let start = Instant::now();
            assert_eq!(signals.recv_timeout(Duration::from_millis(20)), None);
            assert!(start.elapsed() >= Duration::from_millis(20));
            assert_eq!(signals.recv_deadline(start), None);
            raise(Signal::Hangup);
            assert_eq!(signals.recv_timeout(Duration::from_secs(1000)), Some(Signal::Hangup));
            raise(Signal::Hangup);
            assert_eq!((&signals).into_iter().next(), Some(Signal::Hangup));
            assert_eq!(format!("{signals:?}"), "Signals([Hangup])");
            Ok(())
        });
    });
}

#[test]
fn a_signal_that_keeps_coming_does_not_hide_another() {
    alone("a_signal_that_keeps_coming_does_not_hide_another", || {
        everywhere(|| {
            let signals = Signals::new([Signal::User1, Signal::User2, Signal::Hangup])?;
            let stop = Arc::new(AtomicBool::new(false));
            let storm = std::thread::spawn({
                let stop = Arc::clone(&stop);
                move || {
                    while !stop.load(SeqCst) {
                        raise(Signal::User1);
                    }
                }
            });
            for wanted in [Signal::User2, Signal::Hangup] {
                raise(wanted);
                while signals.recv() != wanted {}
            }
            stop.store(true, SeqCst);
            storm.join().expect("no panic");
            Ok(())
        });
    });
}

#[test]
fn a_cancelled_wait_loses_nothing() {
    alone("a_cancelled_wait_loses_nothing", || {
        for runtime in runtimes() {
            let signals = Arc::new(Signals::new([Signal::User1]).expect("signals"));
            let waiters: Vec<_> = (0..3)
                .map(|_| {
                    let signals = Arc::clone(&signals);
                    runtime.handle().spawn(move || signals.recv())
                })
                .collect();
            waiters.iter().for_each(|waiter| until_waiting(waiter, "Signal"));
            drop(runtime);
            for waiter in waiters {
                assert!(waiter.join().expect_err("cancelled").is::<Cancelled>());
            }
            raise(Signal::User1);
            let other = Builder::new().workers(1).build().expect("a runtime");
            assert_eq!(other.run(|| signals.recv()), Signal::User1);
            assert_eq!(signals.try_recv(), None);
        }
    });
}

#[test]
fn in_a_storm_every_signal_that_was_delivered_is_received_by_all() {
    alone("in_a_storm_every_signal_that_was_delivered_is_received_by_all", || {
        let delivered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&delivered);
        // SAFETY: an atomic increment is safe in a handler.
        unsafe { signal_hook::low_level::register(libc::SIGUSR1, move || _ = count.fetch_add(1, SeqCst)) }
            .expect("registered");
        let all: [_; 4] = std::array::from_fn(|_| {
            let signals = Signals::new([Signal::User1, Signal::User2]).expect("signals");
            Arc::new((signals, AtomicUsize::new(0)))
        });
        everywhere(|| {
            let receivers = all.each_ref().map(|one| {
                let one = Arc::clone(one);
                thread::spawn(move || {
                    let (signals, received) = &*one;
                    while signals.recv() == Signal::User1 {
                        received.fetch_add(1, SeqCst);
                    }
                })
            });
            let script =
                format!("i=0; while [ $i -lt {} ]; do kill -USR1 $PPID; i=$((i+1)); done", stress(100));
            let children: Vec<_> = (0..4)
                .map(|_| Command::new("sh").args(["-c", &script]).spawn())
                .collect::<io::Result<_>>()?;
            for mut child in children {
                assert!(sward_runtime::unblock(move || child.wait())?.success());
            }
            raise(Signal::User2);
            for receiver in receivers {
                receiver.join().expect("no panic");
            }
            // A handler may still run on another thread, between the count of this test and that of the receivers.
            for one in &all {
                let (signals, received) = &**one;
                yield_until(|| {
                    let told = std::iter::from_fn(|| signals.try_recv()).count();
                    let (received, delivered) =
                        (received.fetch_add(told, SeqCst) + told, delivered.load(SeqCst));
                    assert!(received <= delivered, "{received} of {delivered}");
                    received == delivered
                });
            }
            Ok(())
        });
        assert!(delivered.load(SeqCst) > 0);
    });
}

#[test]
fn others_who_handle_the_signal_are_called_as_well() {
    static BEFORE: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn handler(_: libc::c_int) {
        BEFORE.fetch_add(1, SeqCst);
    }
    alone("others_who_handle_the_signal_are_called_as_well", || {
        // SAFETY: the handler does what a handler may.
        unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) };
        let signals = Signals::new([Signal::User1]).expect("signals");
        let after = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(libc::SIGUSR1, Arc::clone(&after)).expect("registered");
        raise(Signal::User1);
        assert_eq!(signals.recv(), Signal::User1);
        yield_until(|| BEFORE.load(SeqCst) == 1 && after.load(SeqCst));
        // Dropped, it is still not the system's.
        drop(signals);
        raise(Signal::User1);
        yield_until(|| BEFORE.load(SeqCst) == 2);
    });
}

#[test]
fn handlers_run_on_a_stack_of_their_own_and_one_at_a_time() {
    alone("handlers_run_on_a_stack_of_their_own_and_one_at_a_time", || {
        let signals = Signals::new([Signal::User1]).expect("signals");
        // SAFETY: all of it is integers and an address.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: asks only.
        assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, std::ptr::null(), &raw mut action) }, 0);
        assert_ne!(action.sa_flags & libc::SA_ONSTACK, 0);
        // SAFETY: a set that the kernel wrote.
        assert_eq!(unsafe { libc::sigismember(&raw const action.sa_mask, libc::SIGUSR2) }, 1);
        // A worker has another stack for them, on which they run.
        one_worker().run(|| {
            for _ in 0..100 {
                raise(Signal::User1);
                assert_eq!(signals.recv(), Signal::User1);
            }
        });
    });
}

#[test]
fn an_interrupted_system_call_goes_unnoticed() {
    alone("an_interrupted_system_call_goes_unnoticed", || {
        everywhere(|| {
            let signals = Signals::new([Signal::User1])?;
            let (mut reader, mut writer) = sward_io::io::pipe()?;
            let waiter = thread::spawn(move || reader.read(&mut [0; 8]));
            for _ in 0..50 {
                raise(Signal::User1);
                signals.recv();
            }
            writer.write_all(b"x")?;
            assert_eq!(waiter.join().expect("no panic")?, 1);
            Ok(())
        });
    });
}

#[test]
fn ctrl_c_is_waited_for() {
    alone("ctrl_c_is_waited_for", || {
        everywhere(|| {
            let signals = Signals::new([Signal::Interrupt])?;
            let waiter = thread::spawn(signal::ctrl_c);
            // Until it waits, a signal may be too early for it.
            while !waiter.is_finished() {
                raise(Signal::Interrupt);
                signals.recv();
                thread::yield_now();
            }
            waiter.join().expect("no panic")
        });
    });
}

#[test]
fn descriptors_and_threads_stay_as_few_as_they_are() {
    alone("descriptors_and_threads_stay_as_few_as_they_are", || {
        drop(Signals::new([Signal::User1]));
        let before = descriptors();
        for _ in 0..100 {
            let signals = Signals::new([Signal::User1, Signal::User2, Signal::Hangup]).expect("signals");
            assert_eq!(signals.clone().recv_timeout(Duration::ZERO), None);
        }
        assert_eq!(descriptors(), before);
        let servers = || {
            let threads =
                std::fs::read_dir("/proc/self/task").expect("/proc is mounted").filter_map(Result::ok);
            let names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
            names.filter(|name| name.trim() == "sward-signal").count()
        };
        // A thread has its name a moment after it has begun.
        yield_until(|| servers() > 0);
        assert_eq!(servers(), 1);
    });
}

/// A child process that is asked to end, and what it says meanwhile.
struct Asked {
    child: std::process::Child,
    says: BufReader<std::process::ChildStdout>,
}

impl Asked {
    fn start(name: &str, role: &str) -> Self {
        let mut child =
            in_role(name, role).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a child");
        let says = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, says }
    }

    /// Waits until it says so.
    fn wait_for(&mut self, what: &str) {
        let mut line = String::new();
        while !line.trim_end().ends_with(what) {
            line.clear();
            assert_ne!(self.says.read_line(&mut line).expect("read"), 0, "it never said {what}");
        }
    }

    fn ask(&self, signal: rustix::process::Signal) {
        send(self.child.id(), signal);
    }
}

fn say(what: &str) {
    let mut stdout = io::stdout();
    let said = writeln!(stdout, "{what}").and_then(|()| stdout.flush());
    said.expect("the parent listens");
}

#[test]
fn the_first_request_to_end_is_for_the_program_and_the_second_ends_it() {
    use rustix::process::Signal as Raw;
    let name = "the_first_request_to_end_is_for_the_program_and_the_second_ends_it";
    if let Some(role) = role() {
        let wait_and_hang = || {
            let shutdown = signal::Shutdown::new().expect("set up");
            assert_eq!(shutdown.wait_timeout(Duration::from_millis(1)), None);
            assert_eq!(shutdown.requested(), None);
            let waiters: Vec<_> = (0..3).map(|_| thread::spawn(signal::shutdown)).collect();
            // Once they wait, it is set up.
            waiters.iter().for_each(|waiter| until_waiting(waiter, "Signal"));
            say("ready");
            let signal = signal::shutdown().expect("set up");
            for waiter in waiters {
                assert_eq!(waiter.join().expect("no panic").expect("set up"), signal);
            }
            // Once asked, always asked.
            let shutdown = signal::Shutdown::new().expect("set up");
            assert_eq!((shutdown.requested(), shutdown.wait()), (Some(signal), signal));
            assert_eq!(shutdown.wait_timeout(Duration::ZERO), Some(signal));
            say(&signal.to_string());
            loop {
                thread::park();
            }
        };
        match &*role {
            "green" => one_worker().run(wait_and_hang),
            _ => wait_and_hang(),
        }
    }
    let _watchdog = watchdog();
    for role in ["green", "os"] {
        for (first, says, second) in [
            (Raw::INT, "SIGINT", Raw::INT),
            (Raw::TERM, "SIGTERM", Raw::TERM),
            (Raw::INT, "SIGINT", Raw::TERM),
        ] {
            let mut asked = Asked::start(name, role);
            asked.wait_for("ready");
            asked.ask(first);
            asked.wait_for(says);
            asked.ask(second);
            assert_eq!(asked.child.wait().expect("its own child").signal(), Some(second.as_raw()));
        }
    }
}

#[test]
fn a_request_that_nobody_waited_for_any_more_is_not_lost() {
    let name = "a_request_that_nobody_waited_for_any_more_is_not_lost";
    if role().is_some() {
        let runtime = one_worker();
        let waiter = runtime.handle().spawn(signal::shutdown);
        until_waiting(&waiter, "Signal");
        drop(runtime);
        assert!(waiter.join().expect_err("cancelled").is::<Cancelled>());
        say("ready");
        let signal = one_worker().run(signal::shutdown).expect("set up");
        say(&signal.to_string());
        std::process::exit(17);
    }
    let _watchdog = watchdog();
    let mut asked = Asked::start(name, "cancelled");
    asked.wait_for("ready");
    asked.ask(rustix::process::Signal::TERM);
    asked.wait_for("SIGTERM");
    assert_eq!(asked.child.wait().expect("its own child").code(), Some(17));
}
