//! What the tests share: the matrix of runtimes, stress, a watchdog, counted drops, child processes.
//!
//! | variable | what it does |
//! |---|---|
//! | `SWARD_WORKERS` | runs with so many workers only, in place of 1, 2 and 8 |
//! | `SWARD_MODE` | runs in this mode only: `anchored` or `roaming` |
//! | `SWARD_STRESS` | multiplies the iterations of stress tests, and the watchdog's patience; 1 if not set |
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    env, fs,
    io::Write,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    path::Path,
    process::{Command, Output, Stdio},
    sync::{
        Arc, Once,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use sward_runtime::{
    runtime::{Builder, Runtime},
    thread,
};

/// What a panic says that a test wants. The hook keeps quiet about it.
pub(crate) const ON_PURPOSE: &str = "on purpose";

/// Panics that tests provoke: their own, and those of the libraries that are documented.
const EXPECTED: [&str; 21] = [
    ON_PURPOSE,
    "a generator ",
    "a scoped thread panicked",
    "a suspension inside `no_suspend`",
    "`run` called on a green thread",
    "a green thread cannot join itself",
    "thread name may not contain interior null bytes",
    "an actor cannot ",
    "the default runtime could not be started",
    "the runtime could not be built",
    "thread-local storage",
    "instance has previously been poisoned",
    "MAX_PERMITS",
    "permits from different semaphore",
    "deadlock: ",
    "`SelectedOperation`",
    "added to `Select`",
    "wasn't selected",
    "by one `select` at a time",
    "no operation with this index",
    "index out of bounds; ",
];

/// After so long a test has hung. The slowest takes some seconds; a minute was too little beside other programs that kept the CPUs busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// Which runtime a test runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    pub(crate) roaming: bool,
}

impl Config {
    /// A builder with these settings.
    pub(crate) fn builder(self) -> Builder {
        let builder = Builder::new().workers(self.workers);
        if self.roaming {
            // SAFETY: the tests keep no reference into a thread-local and nothing bound to an OS thread across a suspension; the
            // one that does so is there to be caught.
            return unsafe { builder.roaming() };
        }
        builder
    }

    pub(crate) fn build(self) -> Runtime {
        self.builder().build().expect("the runtime could not be built")
    }

    /// The mode, as `SWARD_MODE` has it.
    pub(crate) fn mode(self) -> &'static str {
        if self.roaming { "roaming" } else { "anchored" }
    }
}

/// Both modes, or the one that the environment asks for.
pub(crate) fn modes() -> Vec<bool> {
    match env::var("SWARD_MODE").as_deref() {
        Ok("anchored") => vec![false],
        Ok("roaming") => vec![true],
        Ok(other) => panic!("SWARD_MODE is {other}, which is neither anchored nor roaming"),
        Err(_) => vec![false, true],
    }
}

/// 1, 2 and 8, or what the environment asks for.
fn worker_counts() -> Vec<usize> {
    match env::var("SWARD_WORKERS") {
        Ok(n) => vec![n.parse().expect("SWARD_WORKERS is not a number")],
        Err(_) => vec![1, 2, 8],
    }
}

/// The matrix.
pub(crate) fn configs() -> impl Iterator<Item = Config> {
    matrix(worker_counts())
}

fn matrix(workers: Vec<usize>) -> impl Iterator<Item = Config> {
    let each = move |roaming| workers.clone().into_iter().map(move |workers| Config { workers, roaming });
    modes().into_iter().flat_map(each)
}

/// Runs `body` once for each configuration of the matrix, under the watchdog.
#[track_caller]
pub(crate) fn each_config(body: impl Fn(Config)) {
    run_configs(configs(), body);
}

/// As [`each_config`], for tests about a certain number of workers: both modes.
#[track_caller]
pub(crate) fn each_mode(workers: usize, body: impl Fn(Config)) {
    run_configs(matrix(vec![workers]), body);
}

#[track_caller]
fn run_configs(configs: impl Iterator<Item = Config>, body: impl Fn(Config)) {
    struct Name(Config);
    impl Drop for Name {
        fn drop(&mut self) {
            if std::thread::panicking() {
                note(&format!("the failure above was with {} workers, {}", self.0.workers, self.0.mode()));
            }
        }
    }
    let _watchdog = Watchdog::new();
    quiet_panics();
    for config in configs {
        let _name = Name(config);
        body(config);
    }
}

/// Runs `body` with a runtime of each configuration of the matrix, under the watchdog.
#[track_caller]
pub(crate) fn each_runtime(body: impl Fn(&Runtime)) {
    each_config(|config| body(&config.build()));
}

/// Runs `body` on a green thread of a runtime of each configuration of the matrix, under the watchdog.
#[track_caller]
pub(crate) fn each_run(body: impl Fn() + Sync) {
    each_runtime(|runtime| runtime.run(&body));
}

/// Runs `test` on this OS thread, on another one, and on a green thread in both modes.
#[track_caller]
pub(crate) fn on_every_thread(test: impl Fn() + Copy + Send + Sync + 'static) {
    quiet_panics();
    let watchdog = Watchdog::new();
    test();
    std::thread::spawn(test).join().unwrap();
    drop(watchdog);
    each_mode(1, |config| config.build().run(test));
}

/// What a call panics with, if that is a text.
#[track_caller]
pub(crate) fn panics(f: impl FnOnce()) -> String {
    let payload = panic::catch_unwind(AssertUnwindSafe(f)).expect_err("it does not panic");
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).expect("no text")
}

/// How often to do what is to be done `n` times if nobody asks for more.
pub(crate) fn stress(n: usize) -> usize {
    n * factor()
}

fn factor() -> usize {
    env::var("SWARD_STRESS").map_or(1, |n| n.parse().expect("SWARD_STRESS is not a number"))
}

/// Ends the process when its test takes too long: a hang is a failure.
pub(crate) struct Watchdog {
    alive: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watchdog {
    /// Watches the test that calls this, until the value is dropped.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let test = std::thread::current().name().unwrap_or("<unnamed>").to_owned();
        let place = panic::Location::caller();
        let patience = PATIENCE * u32::try_from(factor()).expect("SWARD_STRESS is too large");
        let (alive, end) = mpsc::channel();
        let watch = move || {
            if end.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                note(&format!("test `{test}` ({place}) has hung for {patience:?}, aborting"));
                std::process::abort();
            }
        };
        Self { alive: Some(alive), thread: Some(std::thread::spawn(watch)) }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes to the real standard error, which the test harness does not capture.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Keeps the panic hook from reporting panics that tests cause on purpose: those that say so, and those without a text.
pub(crate) fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            let Some(text) = info.payload_as_str() else {
                return;
            };
            if !EXPECTED.iter().any(|expected| text.contains(expected)) {
                // Past the capture of the harness too: whoever waits for the one that panics may wait until the watchdog barks.
                note(&info.to_string());
                report(info);
            }
        }));
    });
}

/// Polls until `condition` holds, letting others run.
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Counts the drops of the tokens that it makes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn token(&self) -> DropToken {
        DropToken(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// Counts its drop.
#[derive(Debug)]
pub(crate) struct DropToken(Arc<AtomicUsize>);

impl DropToken {
    /// Another token of the same count.
    pub(crate) fn clone_of(other: &Self) -> Self {
        Self(Arc::clone(&other.0))
    }
}

impl Drop for DropToken {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Calls a function when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// How many OS threads of this process have names that begin with `prefix` (15 bytes are kept of a name).
pub(crate) fn os_threads(prefix: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is not mounted");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}

/// Returns once there is no such OS thread. One that was joined may be listed for a moment longer, and that is all.
pub(crate) fn until_os_threads_are_gone(prefix: &str) {
    while os_threads(prefix) > 0 {
        std::thread::yield_now();
    }
}

/// The kernel's number of the calling OS thread. Never inlined: it may change across a suspension.
#[inline(never)]
pub(crate) fn os_thread_id() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}

const CHILD: &str = "SWARD_TEST_CHILD";

/// What this process is to do in place of the test, if it is a child that [`child`] made.
pub(crate) fn child_case() -> Option<String> {
    env::var(CHILD).ok()
}

/// Runs the test `test` of the calling module in a child process, in which [`child_case`] is `case`.
#[track_caller]
pub(crate) fn child(test: &str, case: &str) -> Output {
    let module = Path::new(panic::Location::caller().file()).file_stem().expect("a file").display();
    Command::new(env::current_exe().expect("the test binary has a path"))
        .args([&format!("{module}::{test}"), "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, case)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .output()
        .expect("the test binary could not be started again")
}

/// Runs a case in a child process that is to succeed.
#[track_caller]
pub(crate) fn child_succeeds(test: &str, case: &str) {
    let output = child(test, case);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "case {case}: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "the child ran no test `{test}`\n{out}");
}
