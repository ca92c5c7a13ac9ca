//! Any descriptor: waiting, retrying, the mode before and after, and what cannot be watched.

use std::{
    fs::File,
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::{UnixDatagram, UnixStream},
    },
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::common::{
    configs, everywhere, once_closed,
    process::{Returned, alone, descriptors, one_worker, until_waiting},
    runtimes, settle, stress, watchdog,
};
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{OFlags, inotify},
    process::{Pid, PidfdFlags, pidfd_open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use sward_io::{RuntimeClosed, io::Watched};
use sward_runtime::{cancel::Cancelled, thread};

fn is_nonblocking(fd: impl AsFd) -> bool {
    rustix::fs::fcntl_getfl(fd).expect("open").contains(OFlags::NONBLOCK)
}

fn pair() -> io::Result<(Watched<UnixStream>, Watched<UnixStream>)> {
    let (here, there) = UnixStream::pair()?;
    Ok((Watched::new(here)?, Watched::new(there)?))
}

#[test]
fn reads_and_writes_wait() {
    everywhere(|| {
        let (mut here, mut there) = pair()?;
        let echo = thread::spawn(move || {
            let mut bytes = vec![0; 1 << 20];
            there.read_exact(&mut bytes)?;
            there.write_all(&bytes)?;
            there.flush()
        });
        settle();
        let sent: Vec<u8> = (0..1 << 20).map(|i| (i % 251) as u8).collect();
        here.write_all(&sent)?;
        let mut received = vec![0; 1 << 20];
        here.read_exact(&mut received)?;
        assert!(received == sent);
        echo.join().expect("no panic")
    });
}

#[test]
fn both_directions_at_once_through_shared_references() {
    everywhere(|| {
        let (here, there) = pair()?;
        thread::scope(|scope| {
            let ends = [&here, &there].map(|end| {
                let writer = scope.spawn(move || (&mut &*end).write_all(&[7; 500_000]));
                let reader = scope.spawn(move || (&mut &*end).read_exact(&mut vec![0; 500_000]));
                [writer, reader]
            });
            ends.into_iter().flatten().try_for_each(|thread| thread.join().expect("no panic"))
        })
    });
}

#[test]
fn several_buffers_in_one_call() {
    everywhere(|| {
        let (mut here, there) = pair()?;
        assert_eq!(here.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"c")])?, 3);
        let (mut a, mut b) = ([0; 2], [0; 2]);
        assert_eq!((&there).read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)])?, 3);
        assert_eq!((&a, &b), (b"ab", b"c\0"));
        (&there).flush()?;
        Ok(())
    });
}

#[test]
fn what_reads_by_exclusive_reference_only_does_so_here() {
    everywhere(|| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut stdin = Watched::new(child.stdin.take().expect("piped"))?;
        let mut stdout = Watched::new(child.stdout.take().expect("piped"))?;
        let reader = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        settle();
        stdin.write_all(b"through")?;
        drop(stdin);
        assert_eq!(reader.join().expect("no panic")?, "through");
        child.wait()?;
        Ok(())
    });
}

#[test]
fn what_is_always_ready_is_used_as_it_is() {
    everywhere(|| {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        let mut file = Watched::new(File::create_new(&path)?)?;
        file.write_all(b"contents")?;
        file.write_ready()?;
        assert!(!is_nonblocking(&file));
        let mut file = Watched::new(File::open(&path)?)?;
        file.read_ready_timeout(Duration::ZERO)?;
        assert_eq!(io::read_to_string(&mut file)?, "contents");
        // At its end it is ready too.
        file.read_ready()?;

        let folder = Watched::new(File::open(dir.path())?)?;
        assert_eq!((&folder).read(&mut [0]).expect_err("no file").kind(), ErrorKind::IsADirectory);
        assert_eq!((&Watched::new(File::open("/dev/null")?)?).read(&mut [0])?, 0);
        let mut tries = 0;
        let tried = folder.read_with(|_| {
            tries += 1;
            if tries < 3 {
                Err(ErrorKind::Interrupted.into())
            } else {
                Err::<(), _>(ErrorKind::WouldBlock.into())
            }
        });
        // Nothing would end a wait.
        assert_eq!((tries, tried.expect_err("as told").kind()), (3, ErrorKind::WouldBlock));
        Ok(())
    });
}

#[test]
fn what_is_always_ready_does_not_keep_the_worker_when_it_blocks() {
    let _watchdog = watchdog();
    for config in configs() {
        // So nobody finds out that a worker is stuck.
        let runtime = config.builder().stall_after(Duration::from_secs(3600)).build().expect("a runtime");
        let got = runtime.run(|| {
            let file = Watched::new(File::open("/dev/null")?)?;
            let (sender, receiver) = mpsc::channel();
            thread::spawn(move || sender.send(7));
            file.read_with(|_| receiver.recv().map_err(io::Error::other))
        });
        assert_eq!(got.expect("it was sent"), 7);
    }
}

#[test]
fn the_mode_is_restored_as_it_was_found() {
    everywhere(|| {
        for nonblocking in [false, true] {
            let (here, _there) = UnixStream::pair()?;
            here.set_nonblocking(nonblocking)?;
            let watched = Watched::new(here)?;
            assert!(is_nonblocking(&watched));
            // Registered, so that there is something to undo.
            assert!(watched.read_ready_timeout(Duration::from_millis(1)).is_err());
            let here = watched.into_inner();
            assert_eq!(is_nonblocking(&here), nonblocking);

            let lent = Watched::new(&here)?;
            assert!(is_nonblocking(&here));
            drop(lent);
            assert_eq!(is_nonblocking(&here), nonblocking);
        }
        Ok(())
    });
}

#[test]
fn readiness_is_waited_for_and_not_used_up() {
    everywhere(|| {
        let (here, there) = pair()?;
        thread::scope(|scope| {
            let waiter = scope.spawn(|| here.read_ready());
            settle();
            assert!(!waiter.is_finished());
            (&there).write_all(b"xy")?;
            waiter.join().expect("no panic")
        })?;
        // As long as there is something, and not longer.
        here.read_ready()?;
        assert_eq!((&here).read(&mut [0])?, 1);
        here.read_ready()?;
        assert_eq!((&here).read(&mut [0])?, 1);
        assert_eq!(here.read_ready_timeout(Duration::ZERO).expect_err("nothing").kind(), ErrorKind::TimedOut);

        while here.write_ready_timeout(Duration::ZERO).is_ok() {
            here.get_ref().write_all(&[0; 1024]).or_else(|error| match error.kind() {
                ErrorKind::WouldBlock => Ok(()),
                _ => Err(error),
            })?;
        }
        thread::scope(|scope| {
            let waiter = scope.spawn(|| here.write_ready());
            settle();
            drop(there);
            waiter.join().expect("no panic")
        })?;
        here.read_ready()?;
        Ok(())
    });
}

#[test]
fn a_wait_with_a_limit_ends_and_another_succeeds() {
    everywhere(|| {
        let (here, there) = pair()?;
        let start = Instant::now();
        let error = here.read_ready_timeout(Duration::from_millis(20)).expect_err("nothing comes");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(20));
        let error = here.read_ready_deadline(start).expect_err("long past");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        (&there).write_all(b"x")?;
        here.read_ready_deadline(start)?;
        here.read_ready_timeout(Duration::from_secs(1000))?;
        here.write_ready_deadline(start)?;
        Ok(())
    });
}

#[test]
fn an_operation_is_tried_until_it_does_not_block() {
    everywhere(|| {
        let (here, there) = UnixDatagram::pair()?;
        let here = Watched::new(here)?;
        let messages = stress(200);
        thread::scope(|scope| {
            // One message wakes one of them, and never gets two.
            let receivers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut received = 0;
                        let mut buffer = [0; 8];
                        while here.read_with(|socket| socket.recv(&mut buffer))? > 0 {
                            received += 1;
                        }
                        io::Result::Ok(received)
                    })
                })
                .collect();
            let there = Watched::new(&there)?;
            for _ in 0..messages {
                assert_eq!(there.write_with(|socket| socket.send(b"message"))?, 7);
            }
            for _ in &receivers {
                there.write_with(|socket| socket.send(b""))?;
            }
            let mut received = 0;
            for receiver in receivers {
                received += receiver.join().expect("no panic")?;
            }
            assert_eq!(received, messages);
            Ok(())
        })
    });
}

#[test]
fn errors_end_the_attempts() {
    everywhere(|| {
        let (mut here, _there) = pair()?;
        let mut attempts = 0;
        let error = here.read_with(|_| {
            attempts += 1;
            // An interrupted one is repeated.
            let kind = if attempts < 3 { ErrorKind::Interrupted } else { ErrorKind::InvalidData };
            io::Result::<()>::Err(kind.into())
        });
        assert_eq!((error.expect_err("as told").kind(), attempts), (ErrorKind::InvalidData, 3));
        assert_eq!(here.write_with_mut(|stream| stream.write(b"x"))?, 1);
        assert_eq!(here.get_mut().write(b"y")?, 1);
        Ok(())
    });
}

#[test]
fn whatever_epoll_knows_can_be_waited_for() {
    everywhere(|| {
        let timer = Watched::new(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?)?;
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let soon = Itimerspec { it_interval: zero, it_value: Timespec { tv_sec: 0, tv_nsec: 5_000_000 } };
        timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &soon)?;
        assert_eq!(timer.read_with(|fd| Ok(rustix::io::read(fd, &mut [0; 8])?))?, 8);

        let counter = Watched::new(eventfd(0, EventfdFlags::CLOEXEC)?)?;
        thread::scope(|scope| {
            let waiter = scope.spawn(|| counter.read_with(|fd| Ok(rustix::io::read(fd, &mut [0; 8])?)));
            settle();
            rustix::io::write(counter.get_ref(), &1_u64.to_ne_bytes())?;
            assert_eq!(waiter.join().expect("no panic")?, 8);
            io::Result::Ok(())
        })?;

        let mut child = Command::new("sleep").arg("1000000").spawn()?;
        let process = Watched::new(pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?)?;
        assert!(process.read_ready_timeout(Duration::ZERO).is_err());
        child.kill()?;
        process.read_ready()?;
        child.wait()?;

        let dir = tempfile::tempdir()?;
        let changes = Watched::new(inotify::init(inotify::CreateFlags::CLOEXEC)?)?;
        inotify::add_watch(changes.get_ref(), dir.path(), inotify::WatchFlags::CREATE)?;
        thread::scope(|scope| {
            let waiter = scope.spawn(|| changes.read_with(|fd| Ok(rustix::io::read(fd, &mut [0; 512])?)));
            settle();
            File::create(dir.path().join("file"))?;
            assert!(waiter.join().expect("no panic")? > 0);
            Ok(())
        })
    });
}

#[test]
fn a_terminal_is_read_line_by_line() {
    everywhere(|| {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&screen)?;
        unlockpt(&screen)?;
        let name = ptsname(&screen, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(name, flags, rustix::fs::Mode::empty())?;
        let (mut screen, mut terminal) =
            (Watched::new(File::from(screen))?, Watched::new(File::from(terminal))?);
        let reader = thread::spawn(move || {
            let mut line = [0; 64];
            let read = terminal.read(&mut line)?;
            io::Result::Ok(line[..read].to_vec())
        });
        settle();
        screen.write_all(b"half ")?;
        settle();
        assert!(!reader.is_finished());
        screen.write_all(b"a line\n")?;
        assert_eq!(reader.join().expect("no panic")?, b"half a line\n");
        // The terminal echoes.
        let mut echo = [0; 4];
        screen.read_exact(&mut echo)?;
        assert_eq!(&echo, b"half");
        Ok(())
    });
}

#[test]
fn who_waits_does_not_keep_the_worker() {
    let _watchdog = watchdog();
    one_worker().run(|| {
        let pairs: Vec<_> = (0..100).map(|_| pair().expect("a pair")).collect();
        let (ends, others): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let readers: Vec<_> =
            ends.into_iter().map(|mut end| thread::spawn(move || end.read_exact(&mut [0; 3]))).collect();
        settle();
        for mut other in others {
            other.write_all(b"abc").expect("room");
        }
        for reader in readers {
            reader.join().expect("no panic").expect("read");
        }
    });
}

#[test]
fn a_cancelled_read_has_taken_nothing() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (here, mut there) = UnixStream::pair().expect("a pair");
        let (sender, returned) = mpsc::channel();
        let mut here = Returned(Some(Watched::new(here).expect("watched")), sender);
        let waiter =
            runtime.handle().spawn(move || here.0.as_mut().expect("not returned yet").read(&mut [0; 8]));
        until_waiting(&waiter, "Readable");
        drop(runtime);
        assert!(waiter.join().expect_err("cancelled").is::<Cancelled>());
        there.write_all(b"late").expect("room");
        let mut here = returned.recv().expect("returned while unwinding");
        let error = here.read(&mut [0; 8]).expect_err("the runtime has ended");
        assert!(error.get_ref().is_some_and(|inner| inner.is::<RuntimeClosed>()));
        let mut here = Watched::new(here.into_inner()).expect("watched anew");
        assert_eq!(here.read(&mut [0; 8]).expect("four bytes"), 4);
    }
}

#[test]
fn a_value_that_changes_its_descriptor_harms_nobody() {
    everywhere(|| {
        let (here, there) = UnixStream::pair()?;
        let mut here = Watched::new(here)?;
        assert!(here.read_ready_timeout(Duration::from_millis(1)).is_err());
        // The first is closed here, and its number goes to the next, which is watched as well.
        let (other, mut its_peer) = UnixStream::pair()?;
        *here.get_mut() = other;
        let (third, mut its_other) = UnixStream::pair()?;
        let third = Watched::new(third)?;
        assert!(third.read_ready_timeout(Duration::from_millis(1)).is_err());
        drop(here.into_inner());
        once_closed(|| its_peer.write_all(b"x").is_err());
        thread::scope(|scope| {
            let waiter = scope.spawn(|| third.read_ready());
            settle();
            its_other.write_all(b"x")?;
            waiter.join().expect("no panic")
        })?;
        drop(there);
        Ok(())
    });
}

#[test]
fn descriptors_go_in_and_out() {
    everywhere(|| {
        let (here, there) = UnixStream::pair()?;
        let raw = here.as_raw_fd();
        let here: Watched<UnixStream> = OwnedFd::from(here).try_into()?;
        assert_eq!((here.as_raw_fd(), here.as_fd().as_raw_fd()), (raw, raw));
        assert!(format!("{here:?}").starts_with("Watched(UnixStream"));
        let here = OwnedFd::from(here);
        assert_eq!(here.as_raw_fd(), raw);
        drop(there);
        Ok(())
    });
}

#[test]
fn descriptors_are_closed() {
    alone("descriptors_are_closed", || {
        for runtime in runtimes() {
            let round = || {
                let (here, there) = pair().expect("a pair");
                assert!(here.read_ready_timeout(Duration::from_millis(1)).is_err());
                drop(there.into_inner());
                here.read_ready().expect("the end");
                drop(Watched::new(File::open("/dev/null").expect("there")).expect("always ready"));
            };
            runtime.run(round);
            let before = descriptors();
            for _ in 0..10 {
                runtime.run(round);
            }
            assert_eq!(descriptors(), before);
        }
    });
}
