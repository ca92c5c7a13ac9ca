//! The standard streams of child processes: pipes, files, terminals, sockets, `/dev/null`, and nothing.
//!
//! The child runs the same test in a role of its own. What it writes itself begins after a line that says so, since the harness writes too.
#![expect(clippy::print_stdout, reason = "what `std` prints is a part of it")]

use std::{
    fs::File,
    io::{self as std_io, BufReader, ErrorKind},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    panic::{RefUnwindSafe, UnwindSafe},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::common::{
    process::{in_role, one_worker, role, until_waiting},
    settle, watchdog,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, OptionalActions, OutputModes, tcgetattr, tcsetattr},
};
// As a program does that was written for `std`.
use sward_io::io::{self, BufRead, IsTerminal, Read, StdinLock, Write};
use sward_runtime::{cancel::Cancelled, thread};

/// Where the output of the child itself begins.
const BEGIN: &str = "--- the child itself ---";

/// Tells the parent, on a stream that the test is not about, how far the child has come.
fn say(what: &str) {
    writeln!(std_io::stderr(), "{what}").expect("the parent listens");
}

/// Begins the output of the child.
fn begin() {
    println!("\n{BEGIN}");
}

/// Ends the child, as `main` does when it returns.
fn end() -> ! {
    std::process::exit(0);
}

/// The parent's end of what takes the place of a stream of its child.
struct Line {
    /// For the child.
    theirs: OwnedFd,
    /// For the parent.
    ours: File,
}

fn pipe_in() -> Line {
    let (reader, writer) = std_io::pipe().expect("a pipe");
    Line { theirs: reader.into(), ours: OwnedFd::from(writer).into() }
}

fn pipe_out() -> Line {
    let (reader, writer) = std_io::pipe().expect("a pipe");
    Line { theirs: writer.into(), ours: OwnedFd::from(reader).into() }
}

fn socket() -> Line {
    let (theirs, ours) = UnixStream::pair().expect("a pair");
    Line { theirs: theirs.into(), ours: OwnedFd::from(ours).into() }
}

/// A terminal that changes nothing of what is written, and echoes nothing.
fn terminal() -> Line {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&screen).expect("ours");
    unlockpt(&screen).expect("ours");
    let name = ptsname(&screen, Vec::new()).expect("it has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).expect("it opens");
    let mut modes = tcgetattr(&theirs).expect("a terminal");
    modes.local_modes -= LocalModes::ECHO;
    modes.output_modes -= OutputModes::OPOST;
    tcsetattr(&theirs, OptionalActions::Now, &modes).expect("a terminal");
    Line { theirs, ours: screen.into() }
}

fn command(test: &str, role: &str) -> Command {
    let mut command = in_role(test, role);
    command.stderr(Stdio::piped());
    command
}

/// What a child says.
struct Listener(BufReader<std::process::ChildStderr>);

impl Listener {
    fn of(child: &mut Child) -> Self {
        Self(BufReader::new(child.stderr.take().expect("piped")))
    }

    fn wait_for(&mut self, what: &str) {
        let mut line = String::new();
        while line.trim_end() != what {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).expect("read"), 0, "it never said {what}");
        }
    }

    /// All that it says until it ends, which must be well.
    fn rest(mut self, child: &mut Child) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("read");
        assert!(child.wait().expect("its own child").success(), "{rest}");
        rest
    }
}

/// What the child itself has written.
fn own(output: &str) -> &str {
    let start = output.find(BEGIN).expect("it has begun") + BEGIN.len() + 1;
    &output[start..]
}

fn is_nonblocking(fd: impl AsFd) -> bool {
    rustix::fs::fcntl_getfl(fd).expect("open").contains(OFlags::NONBLOCK)
}

fn is_readable(fd: impl AsFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&now)).expect("open") != 0
}

#[test]
fn who_reads_does_not_keep_the_worker_and_leaves_the_mode_alone() {
    let name = "who_reads_does_not_keep_the_worker_and_leaves_the_mode_alone";
    if role().is_some() {
        one_worker().run(|| {
            let reader = thread::spawn(|| {
                let mut lines = Vec::new();
                for line in io::stdin().lines().take(2) {
                    let line = line?;
                    say(&line);
                    lines.push(line);
                }
                io::Result::Ok(lines)
            });
            settle();
            // On the only worker.
            say("alive");
            assert_eq!(reader.join().expect("no panic").expect("two lines"), ["one", "two"]);
        });
        end();
    }
    let _watchdog = watchdog();
    for line in [pipe_in(), socket(), terminal()] {
        let mut ours = line.ours;
        let watched = line.theirs.try_clone().expect("a duplicate");
        let mut child =
            command(name, "read").stdin(line.theirs).stdout(Stdio::null()).spawn().expect("a child");
        let mut listener = Listener::of(&mut child);
        listener.wait_for("alive");
        assert!(!is_nonblocking(&watched), "the mode is that of the description, which we share");
        ours.write_all(b"one\n").expect("room");
        listener.wait_for("one");
        assert!(!is_nonblocking(&watched));
        ours.write_all(b"two\n").expect("room");
        listener.rest(&mut child);
    }
}

#[test]
fn the_whole_input_is_read_whatever_it_is() {
    let name = "the_whole_input_is_read_whatever_it_is";
    if let Some(role) = role() {
        let read = || {
            let mut all = String::new();
            let mut stdin = io::stdin();
            stdin.read_to_string(&mut all)?;
            assert_eq!(stdin.read(&mut [0; 8])?, 0, "the end stays the end");
            io::Result::Ok(all)
        };
        let all = if role == "green" { one_worker().run(read) } else { read() }.expect("read");
        say(&format!("{} {}", all.len(), all.bytes().map(u64::from).sum::<u64>()));
        end();
    }
    let _watchdog = watchdog();
    let text: String = (0..40_000_u32).map(|i| format!("{}\n", i % 1013)).collect();
    let sum = |text: &str| format!("{} {}", text.len(), text.bytes().map(u64::from).sum::<u64>());
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let path = dir.path().join("input");
    std::fs::write(&path, &text).expect("written");
    for role in ["green", "os"] {
        let start = |stdin: Stdio| {
            let mut child = command(name, role).stdin(stdin).stdout(Stdio::null()).spawn().expect("a child");
            let listener = Listener::of(&mut child);
            (child, listener)
        };
        for line in [pipe_in(), socket()] {
            let mut ours = line.ours;
            let (mut child, listener) = start(line.theirs.into());
            ours.write_all(text.as_bytes()).expect("it reads");
            drop(ours);
            assert!(listener.rest(&mut child).contains(&sum(&text)));
        }
        let (mut child, listener) = start(File::open(&path).expect("there").into());
        assert!(listener.rest(&mut child).contains(&sum(&text)));

        let cold = File::open(&path).expect("there");
        cold.sync_all().expect("written");
        rustix::fs::fadvise(&cold, 0, None, rustix::fs::Advice::DontNeed).expect("known");
        let (mut child, listener) = start(cold.into());
        assert!(listener.rest(&mut child).contains(&sum(&text)));

        let (mut child, listener) = start(Stdio::null());
        assert!(listener.rest(&mut child).contains("0 0"));
        let (mut child, listener) = start(File::open("/proc/self/status").expect("there").into());
        assert!(!listener.rest(&mut child).contains("\n0 0\n"), "made when it is read");
    }
}

#[test]
fn closed_streams_are_empty_and_swallow() {
    let name = "closed_streams_are_empty_and_swallow";
    if role().is_some() {
        for fd in [0, 1] {
            // SAFETY: nobody in this process uses them but those who are to find them closed.
            assert_eq!(unsafe { libc::close(fd) }, 0);
        }
        let check = || {
            assert_eq!(io::stdin().read(&mut [0; 8]).expect("the end"), 0);
            assert_eq!(io::stdin().read_line(&mut String::new()).expect("the end"), 0);
            io::stdout().write_all(b"unheard\n").expect("swallowed");
            io::stdout().write_all(&[b'x'; 5000]).expect("swallowed");
            io::stdout().flush().expect("nothing");
            assert!(!io::stdin().is_terminal());
        };
        check();
        one_worker().run(check);
        say("done");
        // SAFETY: as above. The harness has nothing to say any more.
        unsafe { libc::_exit(0) };
    }
    let _watchdog = watchdog();
    let mut child =
        command(name, "closed").stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a child");
    assert!(Listener::of(&mut child).rest(&mut child).contains("done"));
}

#[test]
fn a_cancelled_reader_loses_nothing() {
    let name = "a_cancelled_reader_loses_nothing";
    if role().is_some() {
        let runtime = one_worker();
        let reader = runtime.handle().spawn(|| io::stdin().read_line(&mut String::new()));
        until_waiting(&reader, "Readable");
        drop(runtime);
        assert!(reader.join().expect_err("cancelled").is::<Cancelled>());
        say("cancelled");
        let lines = one_worker().run(|| {
            let mut lines = String::new();
            io::stdin().read_line(&mut lines)?;
            io::stdin().read_line(&mut lines)?;
            io::Result::Ok(lines)
        });
        let mut lines = lines.expect("two lines");
        // And outside.
        io::stdin().read_line(&mut lines).expect("one more");
        assert_eq!(lines, "one\ntwo\nthree\n");
        end();
    }
    let _watchdog = watchdog();
    for line in [pipe_in(), socket(), terminal()] {
        let mut ours = line.ours;
        let mut child =
            command(name, "cancel").stdin(line.theirs).stdout(Stdio::null()).spawn().expect("a child");
        let mut listener = Listener::of(&mut child);
        listener.wait_for("cancelled");
        ours.write_all(b"one\ntwo\nthree\n").expect("room");
        listener.rest(&mut child);
    }
}

#[test]
fn the_input_is_locked_for_one_thread_at_a_time() {
    let name = "the_input_is_locked_for_one_thread_at_a_time";
    if role().is_some() {
        one_worker().run(|| {
            let mut lock = io::stdin().lock();
            let mut first = String::new();
            lock.read_line(&mut first).expect("a line");
            let other = thread::spawn(|| {
                let mut line = String::new();
                (&io::stdin()).take(100).read_to_string(&mut line).map(|_| line)
            });
            settle();
            // Others wait for the lock, also while its owner waits for input.
            say("locked");
            let mut second = Vec::new();
            lock.read_until(b'\n', &mut second).expect("a line");
            assert_eq!((&*first, &*second), ("one\n", &b"two\n"[..]));
            let again = std::panic::catch_unwind(|| drop(io::stdin().lock()));
            assert!(again.is_err(), "by its owner it is not taken again");
            assert!(!other.is_finished());
            drop(lock);
            assert_eq!(other.join().expect("no panic").expect("the rest"), "three\n");
            assert_eq!(format!("{:?}", io::stdin()), "Stdin { .. }");
        });
        end();
    }
    let _watchdog = watchdog();
    let line = pipe_in();
    let mut ours = line.ours;
    let mut child = command(name, "lock").stdin(line.theirs).stdout(Stdio::null()).spawn().expect("a child");
    let mut listener = Listener::of(&mut child);
    ours.write_all(b"one\n").expect("room");
    listener.wait_for("locked");
    ours.write_all(b"two\nthree\n").expect("room");
    drop(ours);
    listener.rest(&mut child);
}

#[test]
fn who_writes_does_not_keep_the_worker_and_leaves_the_mode_alone() {
    let name = "who_writes_does_not_keep_the_worker_and_leaves_the_mode_alone";
    const LINES: usize = 5_000;
    if role().is_some() {
        begin();
        one_worker().run(|| {
            let writer = thread::spawn(|| {
                let mut stdout = io::stdout().lock();
                // At once more than there is room for.
                stdout.write_all(&[b'x'; 200_000])?;
                for i in 0..LINES {
                    writeln!(stdout, "line {i}")?;
                }
                write!(stdout, "the end")?;
                stdout.flush()
            });
            settle();
            say("alive");
            writer.join().expect("no panic").expect("written");
        });
        end();
    }
    let _watchdog = watchdog();
    let mut expected = "x".repeat(200_000);
    expected.extend((0..LINES).map(|i| format!("line {i}\n")));
    expected += "the end";
    for line in [pipe_out(), socket(), terminal()] {
        let watched = line.theirs.try_clone().expect("a duplicate");
        let mut child =
            command(name, "write").stdin(Stdio::null()).stdout(line.theirs).spawn().expect("a child");
        let mut listener = Listener::of(&mut child);
        listener.wait_for("alive");
        assert!(!is_nonblocking(&watched), "the mode is that of the description, which we share");
        drop(watched);
        let mut output = Vec::new();
        // A terminal that is gone is an error, after all has been read.
        let _ = (&line.ours).read_to_end(&mut output);
        listener.rest(&mut child);
        let output = String::from_utf8(output).expect("UTF-8");
        assert!(own(&output) == expected, "{} bytes", own(&output).len());
    }
}

#[test]
fn output_to_a_file_is_all_there() {
    let name = "output_to_a_file_is_all_there";
    if role().is_some() {
        begin();
        one_worker().run(|| {
            for i in 0..1000 {
                writeln!(io::stdout(), "{i}").expect("written");
            }
            io::stdout().write_all(&[b'x'; 100_000]).expect("written");
        });
        end();
    }
    let _watchdog = watchdog();
    let mut file = tempfile::tempfile().expect("a file");
    let stdout = file.try_clone().expect("a duplicate");
    let mut child = command(name, "file").stdin(Stdio::null()).stdout(stdout).spawn().expect("a child");
    Listener::of(&mut child).rest(&mut child);
    let mut output = String::new();
    std_io::Seek::rewind(&mut file).expect("a file");
    file.read_to_string(&mut output).expect("read");
    let expected: String = (0..1000).map(|i| format!("{i}\n")).collect();
    assert!(own(&output) == expected + &"x".repeat(100_000));
    let mut child =
        command(name, "file").stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a child");
    Listener::of(&mut child).rest(&mut child);
}

#[test]
fn lines_are_written_when_they_are_complete() {
    let name = "lines_are_written_when_they_are_complete";
    if role().is_some() {
        let write = || {
            let mut stdout = io::stdout();
            stdout.write_all(b"kept back").expect("kept");
            // A byte for each step; the parent answers.
            let step = |what| {
                say(what);
                io::stdin().read_exact(&mut [0]).expect("the parent answers");
            };
            step("kept");
            stdout.write_all(b" until\nkept").expect("written");
            step("complete");
            stdout.flush().expect("written");
            step("flushed");
            // In order with what the macros of `std` write.
            print!("print ");
            write!(stdout, "write ").expect("kept");
            print!("print ");
            stdout.write_all(b"write\n").expect("written");
            print!("prompt: ");
            stdout.flush().expect("written");
            step("mixed");
            write!(&stdout, "the end has no end of line").expect("kept");
        };
        begin();
        if role().as_deref() == Some("green") {
            one_worker().run(write)
        } else {
            write()
        }
        end();
    }
    let _watchdog = watchdog();
    for role in ["green", "os"] {
        for line in [pipe_out(), socket(), terminal()] {
            let mut ours = line.ours;
            let mut child =
                command(name, role).stdin(Stdio::piped()).stdout(line.theirs).spawn().expect("a child");
            let mut answer = child.stdin.take().expect("piped");
            let mut listener = Listener::of(&mut child);
            let mut read = |listener: &mut Listener, until: &str| {
                listener.wait_for(until);
                let mut output = String::new();
                while is_readable(&ours) {
                    let mut some = [0; 4096];
                    let read = ours.read(&mut some).expect("read");
                    output += std::str::from_utf8(&some[..read]).expect("UTF-8");
                }
                answer.write_all(b".").expect("it reads");
                output
            };
            assert_eq!(own(&read(&mut listener, "kept")), "");
            assert_eq!(read(&mut listener, "complete"), "kept back until\n");
            assert_eq!(read(&mut listener, "flushed"), "kept");
            assert_eq!(read(&mut listener, "mixed"), "print write print write\nprompt: ");
            let mut output = Vec::new();
            let _ = ours.read_to_end(&mut output);
            assert_eq!(output, b"the end has no end of line");
            listener.rest(&mut child);
        }
    }
}

#[test]
fn what_one_call_writes_stays_together() {
    let name = "what_one_call_writes_stays_together";
    if role().is_some() {
        begin();
        one_worker().run(|| {
            let writers: Vec<_> = (0..8)
                .map(|writer| {
                    thread::spawn(move || {
                        for i in 0..200 {
                            let long = "x".repeat(100 * writer);
                            // Piece by piece, but under the lock.
                            writeln!(io::stdout(), "{writer} {i} {long} end").expect("written");
                            io::stderr().write_all(b"").expect("written");
                        }
                        let mut stdout = io::stdout().lock();
                        write!(stdout, "locked").expect("written");
                        settle();
                        // The owner may take it again.
                        writeln!(io::stdout(), " by {writer}").expect("written");
                    })
                })
                .collect();
            for writer in writers {
                writer.join().expect("no panic");
            }
        });
        end();
    }
    let _watchdog = watchdog();
    let line = pipe_out();
    let mut child = command(name, "many").stdin(Stdio::null()).stdout(line.theirs).spawn().expect("a child");
    let listener = Listener::of(&mut child);
    let mut output = String::new();
    (&line.ours).read_to_string(&mut output).expect("read");
    listener.rest(&mut child);
    let (mut whole, mut locked) = (0, 0);
    for line in own(&output).lines() {
        match line.strip_prefix("locked by ") {
            Some(writer) => locked += usize::from(writer.len() == 1),
            None => {
                let parts: Vec<_> = line.split(' ').collect();
                assert!(parts.len() == 4 && parts[3] == "end", "{line}");
                assert_eq!(Ok(parts[2].len()), parts[0].parse::<usize>().map(|writer| 100 * writer));
                whole += 1;
            }
        }
    }
    assert_eq!((whole, locked), (1600, 8));
}

#[test]
fn errors_are_written_at_once_and_parking() {
    let name = "errors_are_written_at_once_and_parking";
    if role().is_some() {
        one_worker().run(|| {
            let mut stderr = io::stderr();
            stderr.write_all(b"no end of line").expect("written");
            let mut go = [0];
            io::stdin().read_exact(&mut go).expect("the parent answers");
            let writer = thread::spawn(|| io::stderr().lock().write_all(&[b'x'; 500_000]));
            settle();
            writeln!(std_io::stdout(), "\nalive").expect("the parent listens");
            writer.join().expect("no panic").expect("written");
            (&stderr).flush().expect("nothing");
        });
        end();
    }
    let _watchdog = watchdog();
    for line in [pipe_out(), socket(), terminal()] {
        let mut ours = line.ours;
        let mut command = in_role(name, "err");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(line.theirs)
            .spawn()
            .expect("a child");
        drop(command);
        let mut message = [0; 14];
        ours.read_exact(&mut message).expect("read");
        assert_eq!(&message, b"no end of line");
        child.stdin.as_mut().expect("piped").write_all(b".").expect("it reads");
        let mut says = BufReader::new(child.stdout.take().expect("piped")).lines();
        assert!(says.any(|line| line.expect("read") == "alive"));
        let mut output = Vec::new();
        let _ = ours.read_to_end(&mut output);
        assert_eq!(output.len(), 500_000);
        assert!(child.wait().expect("its own child").success());
    }
}

#[test]
fn nobody_reading_is_an_error() {
    let name = "nobody_reading_is_an_error";
    if role().is_some() {
        one_worker().run(|| {
            say("ready");
            io::stdin().read_exact(&mut [0]).expect("the parent answers");
            // More than the pipe holds: a child that another test forks has the reading end too, until
            // it executes its program.
            let error = io::stdout().write_all(&[b'x'; 300_000]).expect_err("nobody reads");
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        });
        say("done");
        // SAFETY: ends the process; what is kept back has nowhere to go.
        unsafe { libc::_exit(0) };
    }
    let _watchdog = watchdog();
    let line = pipe_out();
    let mut child =
        command(name, "broken").stdin(Stdio::piped()).stdout(line.theirs).spawn().expect("a child");
    let mut listener = Listener::of(&mut child);
    // Until then the harness writes.
    listener.wait_for("ready");
    drop(line.ours);
    child.stdin.as_mut().expect("piped").write_all(b".").expect("it reads");
    assert!(listener.rest(&mut child).contains("done"));
}

#[test]
fn a_panic_leaves_the_streams_to_others() {
    let name = "a_panic_leaves_the_streams_to_others";
    if role().is_some() {
        let hold_and_panic = || {
            let _in = io::stdin().lock();
            let _out = io::stdout().lock();
            let _err = io::stderr().lock();
            panic!("on purpose");
        };
        one_worker().run(move || assert!(thread::spawn(hold_and_panic).join().is_err()));
        assert!(std::thread::spawn(hold_and_panic).join().is_err());
        drop((io::stdin().lock(), io::stdout().lock(), io::stderr().lock()));
        say("done");
        end();
    }
    let _watchdog = watchdog();
    let mut child =
        command(name, "panic").stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a child");
    assert!(Listener::of(&mut child).rest(&mut child).contains("done"));
}

#[test]
fn redirected_streams_are_followed() {
    let name = "redirected_streams_are_followed";
    if role().is_some() {
        one_worker().run(|| {
            // Waited for once, so that a registration that outlived the wait would be seen.
            let writer = thread::spawn(|| io::stdout().write_all(&[b'x'; 300_000]));
            settle();
            say("waits");
            writer.join().expect("no panic").expect("written");
            let file = tempfile::tempfile().expect("a file");
            let before = rustix::io::dup(rustix::stdio::stdout()).expect("a duplicate");
            rustix::stdio::dup2_stdout(&file).expect("redirected");
            io::stdout().write_all(b"into the file\n").expect("written");
            let (reader, writer) = std_io::pipe().expect("a pipe");
            rustix::stdio::dup2_stdout(&writer).expect("redirected");
            let filler = thread::spawn(|| io::stdout().write_all(&[b'y'; 300_000]));
            settle();
            let mut reader = io::PipeReader::from(reader);
            reader.read_exact(&mut vec![0; 300_000]).expect("all of it");
            filler.join().expect("no panic").expect("written");
            rustix::stdio::dup2_stdout(&before).expect("as it was");
            let mut contents = String::new();
            let mut file = file;
            std_io::Seek::rewind(&mut file).expect("a file");
            file.read_to_string(&mut contents).expect("read");
            assert_eq!(contents, "into the file\n");
        });
        end();
    }
    let _watchdog = watchdog();
    let line = pipe_out();
    let mut child =
        command(name, "switch").stdin(Stdio::null()).stdout(line.theirs).spawn().expect("a child");
    let mut listener = Listener::of(&mut child);
    listener.wait_for("waits");
    let mut output = Vec::new();
    (&line.ours).read_to_end(&mut output).expect("read");
    listener.rest(&mut child);
    assert_eq!(output.iter().filter(|&&byte| byte == b'x').count(), 300_000);
    assert_eq!(output.iter().filter(|&&byte| byte == b'y').count(), 0);
}

#[test]
fn terminals_are_told_from_what_is_none() {
    let name = "terminals_are_told_from_what_is_none";
    if role().is_some() {
        let is = [io::stdin().is_terminal(), io::stdin().lock().is_terminal(), io::stdout().is_terminal()];
        let raw = [io::stdin().as_raw_fd(), io::stdout().as_raw_fd(), io::stderr().as_raw_fd()];
        assert_eq!(raw, [0, 1, 2]);
        assert_eq!(io::stderr().as_fd().as_raw_fd(), 2);
        assert!(!io::stderr().is_terminal());
        say(&format!("{is:?}"));
        end();
    }
    let _watchdog = watchdog();
    let (input, output) = (terminal(), pipe_out());
    let mut child = command(name, "tty").stdin(input.theirs).stdout(output.theirs).spawn().expect("a child");
    assert!(Listener::of(&mut child).rest(&mut child).contains("[true, true, false]"));
    drop((input.ours, output.ours));
}

#[test]
fn a_terminal_that_others_read_too_does_not_stall_the_worker() {
    let name = "a_terminal_that_others_read_too_does_not_stall_the_worker";
    if role().is_some() {
        let runtime = one_worker();
        let reader = runtime.handle().spawn(|| {
            let mut line = String::new();
            io::stdin().read_line(&mut line).map(|_| line)
        });
        until_waiting(&reader, "Readable");
        // Whoever is faster gets the line. The worker goes on in any case.
        let thief = std::thread::spawn(|| {
            let mut line = [0; 64];
            rustix::io::read(rustix::stdio::stdin(), &mut line).map(|read| line[..read].to_vec())
        });
        say("two readers");
        for _ in 0..2 {
            let alive = runtime.handle().spawn(|| {
                thread::sleep(Duration::from_millis(5));
                say("alive");
            });
            alive.join().expect("no panic");
        }
        let mut lines = [
            reader.join().expect("no panic").expect("a line").into_bytes(),
            thief.join().expect("no panic").expect("a line"),
        ];
        lines.sort();
        assert_eq!(lines, [b"one\n", b"two\n"]);
        end();
    }
    let _watchdog = watchdog();
    let line = terminal();
    let mut ours = line.ours;
    let mut child = command(name, "thief").stdin(line.theirs).stdout(Stdio::null()).spawn().expect("a child");
    let mut listener = Listener::of(&mut child);
    listener.wait_for("two readers");
    ours.write_all(b"one\n").expect("room");
    listener.wait_for("alive");
    listener.wait_for("alive");
    ours.write_all(b"two\n").expect("room");
    listener.rest(&mut child);
}

#[test]
fn the_types_are_safe_to_unwind_past() {
    fn check<T: UnwindSafe + RefUnwindSafe>() {}
    check::<io::Stdin>();
    check::<io::Stdout>();
    check::<io::Stderr>();
    check::<io::StdoutLock<'_>>();
    check::<io::StderrLock<'static>>();
    fn check_send<T: Send + Sync>() {}
    check_send::<(io::Stdin, io::Stdout, io::Stderr)>();
}

#[test]
fn the_locked_input_can_be_shared_as_that_of_std() {
    fn check<T: Sync + UnwindSafe + RefUnwindSafe>() {}
    check::<std::io::StdinLock<'static>>();
    check::<StdinLock<'static>>();
}
