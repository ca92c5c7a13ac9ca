//! What the tests of processes, signals and streams share: tests that have a process to themselves, and looks at the process.

use std::{
    env,
    fs::{self, File},
    io::Read,
    panic::Location,
    path::Path,
    process::{Command, Stdio},
    sync::{Once, mpsc},
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, setrlimit};
use sward_io::io::pipe;
use sward_runtime::{
    runtime::{Builder, Runtime},
    thread::{self, JoinHandle},
    time,
};

/// Says to a child process of a test what it is there for.
const ROLE: &str = "SWARD_TEST_ROLE";

/// What this process is there for, if it is a child of a test. Then it has a watchdog, for its parent may not live to see its end.
pub(crate) fn role() -> Option<String> {
    static WATCHED: Once = Once::new();
    let role = env::var(ROLE).ok()?;
    WATCHED.call_once(|| std::mem::forget(super::watchdog()));
    Some(role)
}

/// A command that runs the test `name` of the calling module in a process of its own, in which [`role`] is `role`.
#[track_caller]
pub(crate) fn in_role(name: &str, role: &str) -> Command {
    let module = Path::new(Location::caller().file()).file_stem().expect("a file").display();
    let mut command = Command::new(env::current_exe().expect("the test binary has a path"));
    command
        .args([&format!("{module}::{name}"), "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, role);
    command
}

/// Runs a test in a process of its own: for what belongs to the process, as signals and numbers of descriptors.
#[track_caller]
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    if role().is_some() {
        return test();
    }
    let output = in_role(name, "alone").stdin(Stdio::null()).output().expect("the test binary runs again");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "no test is called {name}\n{out}");
}

/// A runtime with one worker, which a green thread that blocks takes from all others.
pub(crate) fn one_worker() -> Runtime {
    Builder::new().workers(1).build().expect("a runtime")
}

/// Lets the runtime open what it needs to wait for descriptors, so that those counted later are the test's.
pub(crate) fn open_the_poller() {
    let (mut reader, _writer) = pipe().expect("a pipe");
    assert!(time::timeout(Duration::from_millis(1), || reader.read(&mut [0])).is_err());
}

/// How many descriptors this process has open.
pub(crate) fn descriptors() -> usize {
    // One of them is that of the directory.
    fs::read_dir("/proc/self/fd").expect("/proc is mounted").count() - 1
}

/// The limit of descriptors as it was before [`limit_descriptors`]; it is so again when this is dropped.
pub(crate) struct Limit(Rlimit);

impl Drop for Limit {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0).expect("as it was");
    }
}

/// Lowers the limit of descriptors, in a process that is [`alone`].
pub(crate) fn limit_descriptors(limit: u64) -> Limit {
    let old = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), ..old }).expect("lowered");
    Limit(old)
}

/// As many files as can be opened.
pub(crate) fn open_all() -> Vec<File> {
    std::iter::repeat_with(|| File::open("/dev/null")).map_while(Result::ok).collect()
}

/// How many children of this process have ended and have not been waited for.
pub(crate) fn zombies() -> usize {
    let me = std::process::id().to_string();
    let processes = fs::read_dir("/proc").expect("/proc is mounted").filter_map(Result::ok);
    let stats = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    stats
        .filter(|stat| {
            // The name, in parentheses, may contain anything.
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            fields.next() == Some("Z") && fields.next() == Some(&me)
        })
        .count()
}

/// Sends a signal to a process.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("the number of a process");
    rustix::process::kill_process(pid, signal).expect("it is there, and ours");
}

/// Yields until something is so.
pub(crate) fn yield_until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Yields until a green thread waits for something, whose name is that of a `WaitReason`.
pub(crate) fn until_waiting<T>(thread: &JoinHandle<T>, reason: &str) {
    yield_until(|| format!("{:?}", thread.thread()).contains(reason));
}

/// Sends what it holds when it is dropped, also by unwinding.
pub(crate) struct Returned<T>(pub(crate) Option<T>, pub(crate) mpsc::Sender<T>);

impl<T> Drop for Returned<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            let _ = self.1.send(value);
        }
    }
}
