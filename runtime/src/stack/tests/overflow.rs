//! What happens at a fault, in a guard and elsewhere.

use std::hint::black_box;
use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use std::thread;

use corosensei::Coroutine;

use super::super::overflow::{self, Running};
use super::super::{DEFAULT_STACK_SIZE, Guards, page_size};
use super::{assert_success, in_child, is_accessible, is_mapped, is_other_child, poke, pool};

/// What the handler is told to be running in a child.
static RUNNING: Mutex<Option<(usize, usize, &str)>> = Mutex::new(None);

fn running(_: usize) -> Option<Running> {
    // A child has one thread that uses it, so that this does not wait.
    let (start, end, name) = (*RUNNING.try_lock().ok()?)?;
    Some(Running {
        guard: start..end,
        name: if name.is_empty() { std::ptr::null() } else { name.as_ptr() },
        name_len: name.len(),
        id: Some(1_234_567_890),
    })
}

/// Uses up any stack.
#[expect(unconditional_recursion, reason = "that is the point")]
fn recurse(depth: usize) -> usize {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[depth % 64]
}

fn overflow_a_fiber(guards: Guards, name: &'static str) {
    overflow::install(running);
    let (pool, mut cache) = pool(guards);
    let stack = pool.acquire(&mut cache, DEFAULT_STACK_SIZE).unwrap();
    let guard = stack.guard();
    *RUNNING.lock().unwrap() = Some((guard.start, guard.end, name));
    let mut fiber = Coroutine::with_stack(stack, |_: &corosensei::Yielder<(), ()>, ()| recurse(0));
    fiber.resume(());
}

#[test]
fn an_overflow_names_the_green_thread_and_aborts() {
    for (variant, guards, name) in [
        ("auto, reader", Guards::Auto, "reader"),
        ("auto, unnamed", Guards::Auto, ""),
        ("mprotect, reader", Guards::Mprotect, "reader"),
    ] {
        if is_other_child(variant) {
            continue;
        }
        let output = in_child("overflow::an_overflow_names_the_green_thread_and_aborts", variant, || {
            overflow_a_fiber(guards, name);
        });
        let name = if name.is_empty() { "<unnamed>" } else { name };
        let expected = format!(
            "\ngreen thread '{name}' (id 1234567890) has overflowed its stack\n\
             fatal runtime error: stack overflow, aborting\n"
        );
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{variant}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected, "{variant}");
    }
}

#[test]
fn an_overflow_is_reported_on_a_thread_that_std_did_not_start() {
    extern "C" fn on_foreign_thread(_: *mut libc::c_void) -> *mut libc::c_void {
        let alternate = overflow::alternate_stack();
        overflow_a_fiber(Guards::Auto, "foreign");
        drop(alternate);
        std::ptr::null_mut()
    }
    let test = "overflow::an_overflow_is_reported_on_a_thread_that_std_did_not_start";
    let output = in_child(test, "1", || {
        let mut thread = 0;
        let argument = std::ptr::null_mut();
        // SAFETY: the function has the right signature and takes no argument.
        let result =
            unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), on_foreign_thread, argument) };
        assert_eq!(result, 0);
        // SAFETY: just made, joined once.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    });
    assert_eq!(output.status.signal(), Some(libc::SIGABRT));
    assert!(String::from_utf8_lossy(&output.stderr).contains("green thread 'foreign'"));
}

#[test]
fn an_overflow_of_an_os_thread_is_left_to_std() {
    let output = in_child("overflow::an_overflow_of_an_os_thread_is_left_to_std", "1", || {
        overflow::install(running);
        let thread = thread::Builder::new().name("plain".to_owned());
        let _ = thread.spawn(|| recurse(0)).unwrap().join();
    });
    assert_eq!(output.status.signal(), Some(libc::SIGABRT));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("thread 'plain'") && stderr.contains("has overflowed its stack"), "{stderr}");
    assert!(!stderr.contains("green thread"), "{stderr}");
}

#[test]
fn a_fault_elsewhere_ends_the_process_as_without_the_handler() {
    for variant in ["std before", "default before", "ignored before"] {
        if is_other_child(variant) {
            continue;
        }
        let output =
            in_child("overflow::a_fault_elsewhere_ends_the_process_as_without_the_handler", variant, || {
                let action = match variant {
                    "default before" => Some(libc::SIG_DFL),
                    "ignored before" => Some(libc::SIG_IGN),
                    _ => None,
                };
                if let Some(action) = action {
                    // SAFETY: a constant action.
                    unsafe { libc::signal(libc::SIGSEGV, action) };
                }
                overflow::install(running);
                *RUNNING.lock().unwrap() = Some((1 << 20, 2 << 20, "innocent"));
                poke(page_size());
            });
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{variant}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{variant}");
    }
}

#[test]
fn a_fault_elsewhere_reaches_the_handler_that_was_there_before() {
    extern "C" fn three_arguments(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: a handler with `SA_SIGINFO` gets a valid pointer.
        let info = unsafe { &*info };
        // SAFETY: a fault has an address.
        let address = unsafe { info.si_addr() }.addr();
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(if address == page_size() { 42 } else { 1 }) };
    }
    extern "C" fn one_argument(signal: libc::c_int) {
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(if signal == libc::SIGSEGV { 42 } else { 1 }) };
    }
    for variant in ["three arguments", "one argument"] {
        if is_other_child(variant) {
            continue;
        }
        let output = in_child(
            "overflow::a_fault_elsewhere_reaches_the_handler_that_was_there_before",
            variant,
            || {
                // SAFETY: zeros are a valid action.
                let mut action: libc::sigaction = unsafe { mem::zeroed() };
                if variant == "three arguments" {
                    action.sa_sigaction = three_arguments as *const () as usize;
                    action.sa_flags = libc::SA_SIGINFO;
                } else {
                    action.sa_sigaction = one_argument as *const () as usize;
                }
                // SAFETY: the handlers above have the signatures that the flags say.
                unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut()) };
                overflow::install(running);
                poke(page_size());
            },
        );
        assert_eq!(output.status.code(), Some(42), "{variant}");
    }
}

#[test]
fn an_alternate_stack_is_left_alone_or_added_and_removed() {
    fn register(stack: &libc::stack_t) {
        // SAFETY: the tests pass what is valid.
        let result = unsafe { libc::sigaltstack(stack, std::ptr::null_mut()) };
        assert_eq!(result, 0);
    }
    fn current() -> libc::stack_t {
        // SAFETY: zeros are a valid `stack_t`.
        let mut stack = unsafe { mem::zeroed() };
        // SAFETY: asks only.
        unsafe { libc::sigaltstack(std::ptr::null(), &raw mut stack) };
        stack
    }
    let output = in_child("overflow::an_alternate_stack_is_left_alone_or_added_and_removed", "1", || {
        thread::spawn(|| {
            let of_std = current();
            assert_eq!(of_std.ss_flags & libc::SS_DISABLE, 0);
            drop(overflow::alternate_stack());
            assert_eq!(current().ss_sp, of_std.ss_sp);

            let none = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            register(&none);
            let alternate = overflow::alternate_stack();
            let added = current();
            assert_eq!(added.ss_flags & libc::SS_DISABLE, 0);
            assert!(added.ss_size >= libc::SIGSTKSZ);
            poke(added.ss_sp.addr());
            assert!(!is_accessible(added.ss_sp.addr() - 8));
            drop(alternate);
            assert_ne!(current().ss_flags & libc::SS_DISABLE, 0);
            assert!(!is_mapped(added.ss_sp.addr()));

            register(&of_std);
        })
        .join()
        .unwrap();
    });
    assert_success(&output);
}
