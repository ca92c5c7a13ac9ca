//! Optimised builds with debug assertions, roaming mode: the look at a suspended stack before its task moves to another worker.
//!
//! Who turns roaming on promises that no reference into a thread-local lives across a suspension. A suspended stack holds every live
//! register, so a broken promise shows as a word that points into the thread-locals of the OS thread which the task is about to
//! leave. The look is conservative: a dead word left over by an earlier call counts too. Optimised frames have few of them; others have
//! so many that `build.rs` leaves the look out.

use std::{ops::Range, ptr, sync::OnceLock};

use super::Shared;
use crate::{
    prim::{atomic::Ordering::Relaxed, global},
    task::{Header, header::NO_HOME},
};

/// Where the thread-locals of the calling OS thread lie: the static block below the thread pointer.
pub(super) fn tls_range() -> Range<usize> {
    let thread_pointer: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the x86-64 ABI keeps the thread pointer's own address at fs:0.
    unsafe {
        std::arch::asm!("mov {}, fs:0", out(reg) thread_pointer, options(nostack, readonly, preserves_flags));
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        std::arch::asm!("mrs {}, tpidr_el0", out(reg) thread_pointer, options(nostack, nomem, preserves_flags));
    };
    let size = static_tls_size();
    if cfg!(target_arch = "aarch64") {
        thread_pointer..thread_pointer + size
    } else {
        thread_pointer - size..thread_pointer
    }
}

/// The sum of the TLS segments of everything loaded.
fn static_tls_size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    extern "C" fn add(info: *mut libc::dl_phdr_info, _: libc::size_t, sum: *mut libc::c_void) -> libc::c_int {
        // SAFETY: `dl_iterate_phdr` hands out a valid record.
        let info = unsafe { &*info };
        for i in 0..usize::from(info.dlpi_phnum) {
            // SAFETY: the record has that many headers.
            let header = unsafe { info.dlpi_phdr.add(i) };
            // SAFETY: as above.
            let header = unsafe { &*header };
            if header.p_type == libc::PT_TLS {
                let aligned = (header.p_memsz as usize).next_multiple_of((header.p_align as usize).max(1));
                // SAFETY: `sum` is the address of the atomic below.
                unsafe { &*sum.cast::<global::AtomicUsize>() }.fetch_add(aligned, Relaxed);
            }
        }
        0
    }
    *SIZE.get_or_init(|| {
        let sum = global::AtomicUsize::new(0);
        // SAFETY: `add` takes what it is given, and `sum` outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(add), ptr::from_ref(&sum).cast_mut().cast()) };
        sum.load(Relaxed)
    })
}

/// Whether a task that worker `here` is about to resume must go back to the one it last ran on, because its stack points into the
/// thread-locals there. It is marked then, and panics when it runs again.
pub(super) fn must_stay(task: &Header, here: usize, shared: &Shared) -> bool {
    let started = task.started();
    let last = started.last.replace(here as u32);
    if !shared.roaming || last == NO_HOME || last as usize == here {
        return false;
    }
    let Some(tls) = shared.remotes[last as usize].tls.get() else { return false };
    let mut sp = started.sp.get();
    let mut hit = None;
    // Who waits inside of a generator is on its stack; the next one is that of its resumer.
    while let Some((top, resumer)) = crate::coroutine::record::frames_at(sp) {
        hit = hit.or_else(|| look(sp..top, tls));
        sp = resumer;
    }
    let own = task.running().guard().end..task.running().top();
    // Stacks of others, which the task may be on, are not known.
    if own.contains(&sp) {
        hit = hit.or_else(|| look(sp..own.end, tls));
    }
    let Some(word) = hit else { return false };
    started.tls_hit.set(word);
    started.last.set(last);
    task.home.set(last);
    true
}

/// The first word of a part of a suspended stack that points into `tls`.
fn look(part: Range<usize>, tls: &Range<usize>) -> Option<usize> {
    (part.start.next_multiple_of(8)..part.end).step_by(8).find_map(|address| {
        // SAFETY: the words between the stack pointer of a suspended stack and its top are mapped, and nobody writes them while we
        // own the task.
        let word = unsafe { ptr::with_exposed_provenance::<usize>(address).read_volatile() };
        tls.contains(&word).then_some(word)
    })
}
