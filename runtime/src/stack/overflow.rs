//! What happens when a green thread or a generator overflows its stack: a message that names it, and an abort.
//!
//! The guard below a stack turns an overflow into a fault. `std` has a handler for such faults, which knows only the
//! guards of its own threads. This one is chained before it, asks whose guard it is, that of the green thread which runs
//! on the faulting OS thread or of a generator, and leaves every other fault to the handler that was there before.
//!
//! # Roles
//!
//! Any OS thread may call [`install`]. Each OS thread that runs green threads holds an [`AlternateStack`] while it
//! does: a handler cannot run on a stack that is full. The handler itself may run at any instruction of any OS
//! thread, so it calls only what signal-safety(7) allows, allocates nothing and takes no lock.
//!
//! # Invariants
//!
//! - O1: [`LOOKUP`] and [`PREVIOUS`] are set before [`handle`] is registered, and never change.
//! - O2: an [`AlternateStack`] that holds a mapping is dropped on the OS thread that made it.
//!
//! # Rejected
//!
//! - Unwinding or abandoning the green thread and going on: frames without cleanup code, locks held, borrowed data
//!   forgotten.
//! - Raising the signal again from the handler: returning with the previous handler restored repeats the fault with
//!   the same address and registers, as debuggers and crash reporters expect.
//!
//! # Checked by
//!
//! `stack/tests.rs`
//!
//! # Sources
//!
//! `library/std/src/sys/pal/unix/stack_overflow.rs` in rust-lang/rust.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::OnceLock;

use super::page_size;

/// Who is running on an OS thread: a green thread or a generator.
pub(crate) struct Running {
    /// Of its stack, see [`Stack::guard`](super::Stack::guard).
    pub(crate) guard: Range<usize>,
    /// Its name in UTF-8, valid while it runs; null if it has none.
    pub(crate) name: *const u8,
    /// Bytes of the name.
    pub(crate) name_len: usize,
    /// The number of a green thread. A generator has none.
    pub(crate) id: Option<u64>,
}

/// The signals that a fault in a guard may arrive as.
const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Says who runs, given the address of a fault.
type Lookup = fn(usize) -> Option<Running>;

static LOOKUP: OnceLock<Lookup> = OnceLock::new();

/// What the process did on each of [`SIGNALS`] before.
static PREVIOUS: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

/// Registers the handler for this process, once; later calls do nothing.
///
/// `lookup` says who is running on the calling OS thread and may have come to the address. It is called in a signal handler, so
/// it may neither allocate nor wait for a lock, and must be right at any instruction: a stack is not used before it is what `lookup`
/// returns.
pub(crate) fn install(lookup: Lookup) {
    // Whoever comes first does everything; the others wait for it here.
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let previous = SIGNALS.map(current_action);
        // INVARIANT: O1. Nobody else sets these.
        let _ = LOOKUP.set(lookup);
        let _ = PREVIOUS.set(previous);
        for (signal, previous) in SIGNALS.into_iter().zip(previous) {
            register(signal, &previous);
        }
    });
}

fn current_action(signal: c_int) -> libc::sigaction {
    let mut action = MaybeUninit::zeroed();
    // SAFETY: asks only; `action` has room for the answer.
    unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeros are a valid `sigaction` (the default action), and it was filled in above.
    unsafe { action.assume_init() }
}

/// Makes [`handle`] the handler of `signal`, under the conditions that the previous one had asked for.
fn register(signal: c_int, previous: &libc::sigaction) {
    let mut action = *previous;
    if !is_function(previous) {
        // SAFETY: zeros are a valid `sigaction`: no flags, and no further signals blocked.
        action = unsafe { mem::zeroed() };
    }
    action.sa_sigaction = handle as *const () as usize;
    action.sa_flags |= libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `handle` has the signature that `SA_SIGINFO` asks for and does only what a handler may (see its
    // comments); what it reads is set (O1).
    unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
}

fn is_function(action: &libc::sigaction) -> bool {
    action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN
}

/// The handler. Async-signal-safe: `OnceLock::get` is one atomic load, `lookup` has promised to be.
extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if let Some(address) = fault_address(info)
        && let Some(running) = LOOKUP.get().and_then(|lookup| lookup(address))
        && running.guard.contains(&address)
    {
        report(&running);
        // SAFETY: no arguments; async-signal-safe.
        unsafe { libc::abort() };
    }
    let which = usize::from(signal == SIGNALS[1]);
    if let Some(previous) = PREVIOUS.get() {
        pass_on(&previous[which], signal, info, context);
    }
}

/// The address of a fault; nothing if the signal was sent by someone.
fn fault_address(info: *mut libc::siginfo_t) -> Option<usize> {
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler that has `SA_SIGINFO`.
    let info = unsafe { info.as_ref() }?;
    // Faults have positive codes, `kill` and the like have not, and for them there is no address.
    // SAFETY: for SIGSEGV and SIGBUS from the kernel the address is the member of the union that is set.
    (info.si_code > 0).then(|| unsafe { info.si_addr() }.addr())
}

/// Does what would have happened without this handler.
fn pass_on(previous: &libc::sigaction, signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if !is_function(previous) {
        // The fault occurs again when this returns, and then the kernel acts on it.
        // SAFETY: restores what was registered before; async-signal-safe.
        unsafe { libc::sigaction(signal, previous, ptr::null_mut()) };
    } else if previous.sa_flags & libc::SA_SIGINFO != 0 {
        type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
        // SAFETY: it is a function, not one of the two constants, and `SA_SIGINFO` says of what signature.
        let handler = unsafe { mem::transmute::<usize, Handler>(previous.sa_sigaction) };
        handler(signal, info, context);
    } else {
        // SAFETY: it is a function, not one of the two constants, and without `SA_SIGINFO` of this signature.
        let handler = unsafe { mem::transmute::<usize, extern "C" fn(c_int)>(previous.sa_sigaction) };
        handler(signal);
    }
}

/// Writes the message, with nothing but write(2).
fn report(running: &Running) {
    let name = if running.name.is_null() {
        b"<unnamed>"
    } else {
        // SAFETY: `Running` says that the name is valid while its owner runs, who faults here.
        unsafe { slice::from_raw_parts(running.name, running.name_len) }
    };
    print(if running.id.is_some() { b"\ngreen thread '" } else { b"\ngenerator '" });
    print(name);
    print(b"'");
    if let Some(id) = running.id {
        print(b" (id ");
        print(decimal(id, &mut [0; 20]));
        print(b")");
    }
    print(b" has overflowed its stack\nfatal runtime error: stack overflow, aborting\n");
}

/// Writes to standard error as much as can be written.
fn print(mut text: &[u8]) {
    while !text.is_empty() {
        // SAFETY: the pointer and the length are those of a slice.
        let written = unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
        let Some(rest) = usize::try_from(written).ok().and_then(|written| text.get(written..)) else {
            return;
        };
        text = rest;
    }
}

/// The digits of a number.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

/// A promise that signal handlers of this OS thread have a stack of their own; see [`alternate_stack`].
#[must_use = "without it an overflow cannot be reported on this OS thread"]
pub(crate) struct AlternateStack {
    /// The mapping, its guard at the bottom included; nothing if the thread had an alternate stack already.
    mapping: Option<(NonNull<c_void>, usize)>,
    /// O2: not `Send`.
    _thread: PhantomData<*mut ()>,
}

/// Sees to it that the calling OS thread has an alternate signal stack until the value is dropped. Threads of `std`
/// have one, and nothing is done then. If there is no memory for one, an overflow ends the process without a message.
pub(crate) fn alternate_stack() -> AlternateStack {
    let mapping = if current_stack().ss_flags & libc::SS_DISABLE != 0 { map_and_use() } else { None };
    AlternateStack { mapping, _thread: PhantomData }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        let Some((start, len)) = self.mapping else {
            return;
        };
        let current = current_stack();
        // Someone may have registered another one since, which is theirs to remove.
        if current.ss_sp.addr() == start.addr().get() + page_size() {
            let none = libc::stack_t {
                ss_sp: ptr::null_mut(),
                ss_flags: libc::SS_DISABLE,
                ss_size: current.ss_size,
            };
            // SAFETY: `none` is valid; the calling thread is the one it was registered on (O2).
            if unsafe { libc::sigaltstack(&raw const none, ptr::null_mut()) } != 0 {
                // We are on it. It stays.
                return;
            }
        }
        // SAFETY: the mapping of `map_and_use`, which by the lines above no handler will run on.
        unsafe { libc::munmap(start.as_ptr(), len) };
    }
}

fn current_stack() -> libc::stack_t {
    let mut stack = MaybeUninit::zeroed();
    // SAFETY: asks only; `stack` has room for the answer.
    unsafe { libc::sigaltstack(ptr::null(), stack.as_mut_ptr()) };
    // SAFETY: zeros are a valid `stack_t`, and it was filled in above.
    unsafe { stack.assume_init() }
}

/// Maps a stack for handlers with a guard page below, and registers it.
fn map_and_use() -> Option<(NonNull<c_void>, usize)> {
    let guard = page_size();
    let usable = handler_stack_size();
    let len = guard + usable;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
    // SAFETY: a new mapping at an address that the kernel picks affects no memory in use.
    let start = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the mapping is one page longer than `usable`.
    let bottom = unsafe { start.byte_add(guard) };
    let stack = libc::stack_t { ss_sp: bottom, ss_flags: 0, ss_size: usable };
    // SAFETY: the range is the mapping less its first page.
    let opened = unsafe { libc::mprotect(bottom, usable, libc::PROT_READ | libc::PROT_WRITE) } == 0;
    // SAFETY: the memory is mapped until `AlternateStack` is dropped, which takes it back first (O2).
    if opened && unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) } == 0 {
        return NonNull::new(start).map(|start| (start, len));
    }
    // SAFETY: the mapping made above, which nobody uses.
    unsafe { libc::munmap(start, len) };
    None
}

/// What the kernel needs to save all registers (more than `SIGSTKSZ` with wide vectors), and room for the handlers,
/// of which others may be in the chain.
fn handler_stack_size() -> usize {
    const AT_MINSIGSTKSZ: libc::c_ulong = 51;
    const ROOM: usize = 32 << 10;
    // SAFETY: any number may be asked for; the answer is zero for one that is not known.
    let least = unsafe { libc::getauxval(AT_MINSIGSTKSZ) };
    let least = usize::try_from(least).unwrap_or(0).max(libc::SIGSTKSZ);
    (least + ROOM).next_multiple_of(page_size())
}
