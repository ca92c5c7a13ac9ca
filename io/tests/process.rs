//! Child processes: what `std` does, seen from green threads and OS threads.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{self, ErrorKind, Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use crate::common::{
    everywhere,
    process::{in_role, role},
};
use rustix::thread::gettid;
use sward_io::{
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Output, Stdio},
};
use sward_runtime::{thread, unblock};

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script);
    command
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn the_status_tells_how_it_ended() {
    everywhere(|| {
        assert!(shell("true").status()?.success());
        let mut child = shell("exit 7").spawn()?;
        assert_eq!(child.wait()?.code(), Some(7));
        assert_eq!(child.wait()?.code(), Some(7), "it is remembered");
        assert_eq!(child.try_wait()?.and_then(|status| status.code()), Some(7));
        child.kill()?;

        let mut child = shell("read line").stdin(Stdio::piped()).spawn()?;
        child.kill()?;
        assert_eq!(child.wait()?.signal(), Some(libc::SIGKILL));
        Ok(())
    });
}

#[test]
fn a_child_has_the_timer_slack_of_a_process_without_a_runtime() {
    const TEST: &str = "a_child_has_the_timer_slack_of_a_process_without_a_runtime";
    fn show() -> Command {
        let mut command = Command::new("cat");
        command.arg("/proc/self/timerslack_ns");
        command
    }
    if role().is_some() {
        let error = thread::spawn(|| show().exec()).join().expect("it does not panic");
        panic!("it could not be started: {error}");
    }
    // That of the main thread.
    let plain = std::fs::read_to_string("/proc/self/timerslack_ns").expect("/proc is mounted");
    let own = || std::fs::read_to_string(format!("/proc/{}/timerslack_ns", gettid().as_raw_nonzero()));
    everywhere(|| {
        let before = own()?;
        assert_eq!(text(&show().output()?), plain);
        assert_eq!(text(&unblock(|| show().output())?), plain);
        assert!(Command::new("/no/such/program").spawn().is_err());
        assert_eq!(own()?, before, "it is restored");
        Ok(())
    });
    let output = Command::from(in_role(TEST, "exec")).output().expect("the test binary runs again");
    assert!(text(&output).ends_with(&plain), "{output:?}");
}

#[test]
fn a_program_that_cannot_be_started_is_an_error() {
    everywhere(|| {
        let kind = |command: &mut Command| command.spawn().expect_err("it cannot be started").kind();
        assert_eq!(kind(&mut Command::new("if-there-is-such-a-program-all-is-lost")), ErrorKind::NotFound);
        assert_eq!(kind(&mut Command::new("/etc/passwd")), ErrorKind::PermissionDenied);
        assert_eq!(kind(Command::new("true").current_dir("/no/such")), ErrorKind::NotFound);
        assert_eq!(kind(&mut Command::new("nul\0inside")), ErrorKind::InvalidInput);
        assert_eq!(kind(Command::new("true").arg("nul\0inside")), ErrorKind::InvalidInput);
        assert_eq!(kind(Command::new("true").args(["nul\0inside"])), ErrorKind::InvalidInput);
        assert_eq!(kind(Command::new("true").env("nul\0inside", "")), ErrorKind::InvalidInput);
        assert_eq!(kind(Command::new("true").env("key", "nul\0inside")), ErrorKind::InvalidInput);
        assert_eq!(kind(Command::new("true").current_dir("nul\0inside")), ErrorKind::InvalidInput);
        assert!(Command::new("/no/such").output().is_err());
        assert!(Command::new("/no/such").status().is_err());
        Ok(())
    });
}

#[test]
fn output_collects_both_streams_and_gives_no_input() {
    everywhere(|| {
        let output = shell("cat; echo out; echo err >&2; exit 3").output()?;
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));

        // What was set stays as it was set.
        let output = shell("cat; echo out; echo err >&2").stdout(Stdio::null()).output()?;
        assert_eq!((&*output.stdout, &*output.stderr), (&b""[..], &b"err\n"[..]));
        Ok(())
    });
}

#[test]
fn a_command_can_be_used_again() {
    everywhere(|| {
        let mut command = shell("echo $A; [ -t 0 ] || true");
        assert_eq!(text(&command.env("A", "1").output()?), "1\n");
        assert_eq!(text(&command.env("A", "2").output()?), "2\n");
        // After `output` the streams are inherited again.
        let child = command.stdout(Stdio::null()).spawn()?;
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
        assert!(child.wait_with_output()?.status.success());
        Ok(())
    });
}

#[test]
fn streams_are_there_if_they_are_pipes() {
    everywhere(|| {
        let mut child = shell("read line; echo $line; echo $line >&2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // Out of the child itself, without `take`: it has no destructor of its own.
        child.stdin.as_mut().expect("piped").write_all(b"foobar\n")?;
        let (mut out, mut err) = (String::new(), String::new());
        child.stdout.as_mut().expect("piped").read_to_string(&mut out)?;
        child.stderr.as_mut().expect("piped").read_to_string(&mut err)?;
        assert!(child.wait()?.success());
        assert_eq!((&*out, &*err), ("foobar\n", "foobar\n"));

        let child = shell("echo moved").stdout(Stdio::piped()).spawn()?;
        let stdout: ChildStdout = child.stdout.expect("piped");
        assert_eq!(io::read_to_string(stdout)?, "moved\n");
        Ok(())
    });
}

#[test]
fn waiting_closes_the_input_first() {
    everywhere(|| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        assert_eq!(child.try_wait()?, None);
        assert!(child.stdin.is_some(), "looking closes nothing");
        assert!(child.wait()?.success());
        assert!(child.stdin.is_none());

        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.as_mut().expect("piped").write_all(b"all of it")?;
        assert_eq!(child.wait_with_output()?.stdout, b"all of it");
        Ok(())
    });
}

#[test]
fn the_environment_is_inherited_as_far_as_it_is_not_changed() {
    everywhere(|| {
        let path = env::var("PATH").expect("set wherever tests run");
        assert_eq!(text(&shell("echo $PATH").output()?), format!("{path}\n"));
        let print = || Command::new("/usr/bin/env");
        assert_eq!(text(&print().env_clear().env("A", "1").envs([("B", "2")]).output()?), "A=1\nB=2\n");
        assert_eq!(text(&print().env("A", "1").env_clear().output()?), "");
        assert!(!text(&print().env_remove("PATH").output()?).lines().any(|line| line.starts_with("PATH=")));
        Ok(())
    });
}

#[test]
fn directory_name_and_group_are_as_set() {
    everywhere(|| {
        assert_eq!(text(&Command::new("pwd").current_dir("/").output()?), "/\n");
        assert_eq!(text(&shell("echo $0").arg0("bee").output()?), "bee\n");
        let group = text(&shell("ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat").output()?);
        assert_eq!(group.trim(), rustix::process::getpgrp().as_raw_nonzero().to_string());
        let mut child = shell("read line").stdin(Stdio::piped()).process_group(0).spawn()?;
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("positive"));
        assert_eq!(rustix::process::getpgid(pid)?, pid.expect("not zero"));
        assert!(!child.wait()?.success(), "the end of its input");
        Ok(())
    });
}

#[test]
fn user_and_group_are_set_before_the_program_runs() {
    if !rustix::process::geteuid().is_root() {
        // The system refuses, and says so.
        assert_eq!(
            Command::new("true").uid(0).spawn().expect_err("no right").kind(),
            ErrorKind::PermissionDenied
        );
        return;
    }
    everywhere(|| {
        assert_eq!(text(&Command::new("id").arg("-u").uid(65534).output()?), "65534\n");
        assert_eq!(text(&Command::new("id").arg("-g").gid(65533).output()?), "65533\n");
        Ok(())
    });
}

#[test]
fn what_runs_before_the_program_can_prevent_it() {
    everywhere(|| {
        let mut command = shell("echo $PPID; pwd");
        // SAFETY: a system call, and an error without memory of its own.
        unsafe { command.pre_exec(|| Ok(rustix::process::chdir("/")?)) };
        assert!(text(&command.output()?).ends_with("\n/\n"));
        // SAFETY: as above.
        unsafe { command.pre_exec(|| Err(io::Error::from_raw_os_error(libc::ENOTTY))) };
        assert_eq!(command.spawn().expect_err("prevented").raw_os_error(), Some(libc::ENOTTY));
        Ok(())
    });
}

#[test]
fn exec_replaces_the_process() {
    let name = "exec_replaces_the_process";
    if role().is_some() {
        let error = Command::new("/no/such/program").exec();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = shell("echo it is me; exit 9").exec();
        panic!("it came back: {error}");
    }
    let output = in_role(name, "exec").output().expect("it runs");
    assert_eq!(output.status.code(), Some(9));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("it is me\n"));
}

#[test]
fn what_was_set_can_be_asked_for() {
    let mut command = Command::new("program");
    command.args(["a", "b"]).env("SET", "1").env_remove("REMOVED").current_dir("/dir");
    assert_eq!(command.get_program(), "program");
    assert!(command.get_args().eq(["a", "b"]));
    assert!(
        command.get_envs().eq([(OsStr::new("REMOVED"), None), (OsStr::new("SET"), Some(OsStr::new("1")))])
    );
    assert_eq!(command.get_current_dir(), Some(Path::new("/dir")));
    let mut of_std = std::process::Command::new("program");
    of_std.args(["a", "b"]).env("SET", "1").env_remove("REMOVED").current_dir("/dir");
    assert_eq!(format!("{command:?}"), format!("{of_std:?}"));
    fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    is_send_and_sync(&command);
}

#[test]
fn a_stream_of_one_child_is_that_of_another() {
    everywhere(|| {
        let mut first = shell("echo 3; echo 1; echo 2").stdout(Stdio::piped()).spawn()?;
        // Read from before it is given away, so that it is registered and non-blocking.
        let mut stdout = first.stdout.take().expect("piped");
        assert_eq!(stdout.read(&mut [0; 2])?, 2);
        let sorted = Command::new("sort").stdin(stdout).output()?;
        assert_eq!(text(&sorted), "1\n2\n");
        assert!(first.wait()?.success());

        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        let mut second = Command::new("cat").stdin(Stdio::piped()).stdout(File::create(&path)?).spawn()?;
        let stdin = second.stdin.take().expect("piped");
        assert!(shell("echo through").stdout(stdin).status()?.success());
        assert!(second.wait()?.success());
        assert_eq!(std::fs::read_to_string(path)?, "through\n");
        Ok(())
    });
}

#[test]
fn a_child_finds_its_streams_in_blocking_mode() {
    everywhere(|| {
        let flags = "read x flags < /proc/self/fdinfo/0; grep flags /proc/self/fdinfo/0";
        let (reader, _writer) = sward_io::io::pipe()?;
        let output = shell(flags).stdin(reader).output()?;
        let line = String::from_utf8_lossy(&output.stdout).into_owned();
        let flags = line.split_whitespace().last().and_then(|octal| i32::from_str_radix(octal, 8).ok());
        assert_eq!(flags.expect("flags") & libc::O_NONBLOCK, 0, "{line}");
        Ok(())
    });
}

#[test]
fn children_and_streams_of_std_are_taken_over() {
    everywhere(|| {
        let child = std::process::Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut child = Child::from(child);
        child.stdin.take().expect("piped").write_all(b"taken over")?;
        assert_eq!(child.wait_with_output()?.stdout, b"taken over");

        let mut child =
            std::process::Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut stdin = ChildStdin::from(child.stdin.take().expect("piped"));
        let mut stdout = ChildStdout::from(child.stdout.take().expect("piped"));
        stdin.write_all(b"there")?;
        let mut bytes = [0; 5];
        stdout.read_exact(&mut bytes)?;
        assert_eq!(&bytes, b"there");
        // And back again, where they block.
        let mut stdin = std::process::ChildStdin::from(stdin);
        let mut stdout = std::process::ChildStdout::from(stdout);
        stdin.write_all(b"back")?;
        drop(stdin);
        assert_eq!(io::read_to_string(&mut stdout)?, "back");
        assert!(child.wait()?.success());
        Ok(())
    });
}

#[test]
fn streams_are_descriptors() {
    everywhere(|| {
        let mut child = shell("cat; echo err >&2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let stderr = child.stderr.take().expect("piped");
        let raw = [stdin.as_raw_fd(), stdout.as_raw_fd(), stderr.as_raw_fd()];
        assert_eq!(stdin.as_fd().as_raw_fd(), raw[0]);
        assert!(format!("{stdin:?} {stdout:?} {stderr:?}").contains("ChildStderr"));
        let fds = [OwnedFd::from(stdin), OwnedFd::from(stdout), OwnedFd::from(stderr)];
        assert_eq!(fds.each_ref().map(AsRawFd::as_raw_fd), raw);
        let [stdin, stdout, stderr] = fds;
        let (stdin, mut stdout) = (ChildStdin::from(stdin), ChildStdout::from(stdout));
        (&stdin).write_all(b"in")?;
        drop(stdin);
        assert_eq!(io::read_to_string(&mut stdout)?, "in");
        assert_eq!(io::read_to_string(&mut ChildStderr::from(stderr))?, "err\n");
        assert!(child.wait()?.success());
        Ok(())
    });
}

#[test]
fn a_child_may_write_to_a_stream_of_its_parent() {
    let name = "a_child_may_write_to_a_stream_of_its_parent";
    if role().is_some() {
        let status = Command::new("echo").arg("over and out").stdout(sward_io::io::stderr()).status();
        assert!(status.expect("it runs").success());
        return;
    }
    everywhere(|| {
        let Output { stderr, .. } = Command::from(in_role(name, "parent")).output()?;
        assert!(String::from_utf8_lossy(&stderr).contains("over and out"));
        Ok(())
    });
}
