//! Blocks of one size, for the records of green threads.
//!
//! Each worker has a [`Slab`], from which it takes the record of nearly every green thread that it spawns; larger ones are boxed.
//! Its memory comes in chunks from the global allocator, and goes back to it when they are empty.
//!
//! # Roles
//!
//! The *owner*, a worker, allocates. *Anyone* frees: the owner, other workers, OS threads outside, also after the slab's end.
//!
//! # States
//!
//! Of a chunk, which is aligned to its size, so that a block's address leads to its chunk's header:
//!
//! ```text
//! (system) ─1─▶ CURRENT ─2─▶ FULL ─3─▶ PARTIAL ─5─▶ SPARE        any ─7─▶ ABANDONED ─8─▶ (system)
//!                 ▲ ▲                   │     │      │
//!                 │ └─────────4─────────┘     6      │
//!                 └───────────────────4───────┼──────┘
//!                                             ▼
//!                                          (system)
//! ```
//!
//! 1., 2. and 4. [`Slab::refill`]: the current chunk has no room, so another takes its place. 3. [`Slab::reopen`]: the owner takes a
//! block back. 5. and 6. [`Slab::retire`]: it took back the last, and keeps the chunk, or has spares enough. 7. [`Slab::abandon`]: the
//! slab ends. 8. [`Slab::free_elsewhere`]: whoever frees the last block frees the chunk.
//!
//! A block is *fresh* (not given out since its chunk was empty), *out*, *sent* (its owner has yet to take it back) or *free*.
//!
//! # Invariants
//!
//! - **I1** A chunk lives while it is current or in a list of its slab, and while a block of it is out or sent. Elsewhere there is no
//!   [`ChunkRef`] to it.
//! - **I2** Only the owner touches [`Own`], and blocks that are fresh or free.
//! - **I3** A block that is sent or free holds a [`Link`].
//! - **I4** `used` is the number of blocks that are out or sent, and one more for the current chunk, so that it is never retired.
//! - **I5** `owner` is the mailbox's address, with [`FULL`] for chunks in `full`. The chunk keeps the mailbox alive, so no other slab has it.
//! - **I6** A block is sent while the mailbox is open, and taken off `outstanding` when it is closed. The owner closes and empties it, then adds
//!   `used`. So one step, the last of all, brings `outstanding` to 0: it frees the chunk.
//! - **I7** Spares beyond [`SPARES`] are counted in [`EXTRA`].
//!
//! # Orderings
//!
//! The exchange in `send` (Release) is read by the swap in `empty` (Acquire): a block's last use, and its link. A `send` over
//! older blocks keeps their release sequence. `outstanding` is AcqRel on both sides: who frees the chunk has seen the last use of each
//! block. Closing publishes nothing. `owner` is Relaxed: what a thread looks for there, its own slab, only it writes. `EXTRA` is a mere number.
//!
//! # Rejected
//!
//! - A list of remote frees in each chunk (mimalloc): it takes a list of such chunks as well, whose entries outlive slabs and pin chunks.
//!   Thieves of one victim free neighbours, and would meet in a chunk's list as they do in the mailbox.
//! - Sending in batches (snmalloc): blocks would wait in the outboxes of sleeping workers, and pin a chunk each.
//! - One free list for all chunks: none would be known to be empty. Links in fresh blocks: they would be touched before their use.
//!
//! # Checked by
//!
//! `loom-tests/tests/slab.rs`, `task/slab/tests.rs`.
//!
//! # Sources
//!
//! Leijen, Zorn, de Moura, "Mimalloc: Free List Sharding in Action" (2019): owner and full flag in one comparison. Liétar et al.,
//! "snmalloc: A Message Passing Allocator" (2019): the mailbox. Treiber, "Systems Programming: Coping with Parallelism" (1986).

#[cfg(test)]
mod tests;

use std::{
    alloc::Layout,
    cell::Cell,
    ops::Deref,
    ptr::{self, NonNull},
    sync::Arc,
};

use crossbeam_utils::CachePadded;

use crate::prim::{
    self,
    atomic::{
        AtomicIsize, AtomicPtr, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
    global::AtomicUsize as GlobalUsize,
    raw::{alloc, dealloc},
};

/// Bytes of a block.
pub(crate) const BLOCK: usize = 128;

/// Every block's alignment.
pub(crate) const ALIGN: usize = 64;

/// A chunk's alignment, and its size with what malloc puts between two.
const CHUNK: usize = 64 << 10;

/// How many blocks a chunk has. The rest is left to malloc's next header: else there would be a hole as large as a chunk after each.
const BLOCKS: usize = if prim::MODEL { 2 } else { 510 };

/// The offset of a chunk's first block, and that of its end.
const BEGIN: usize = size_of::<Chunk>();
const END: usize = BEGIN + BLOCKS * BLOCK;

const LAYOUT: Layout = match Layout::from_size_align(END, CHUNK) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two"),
};

/// How many empty chunks a slab may keep: as many as it takes for a load that goes up and down to reach the allocator.
const SPARES: usize = 8;

/// How many more all slabs of the process may keep together: 16 MiB, or the records of 130,000 green threads.
const MOST_EXTRA: usize = 256;

/// How many more there are (I7).
static EXTRA: GlobalUsize = GlobalUsize::new(0);

/// How many sent blocks are taken back at once, so that no spawn waits for long; more than a chunk has.
const BATCH: usize = 1024;

/// See I5.
const FULL: usize = 1;

/// The blocks of one worker. See the module.
#[derive(Debug, Default)]
pub struct Slab {
    current: Cell<Option<ChunkRef>>,
    mailbox: Arc<Mailbox>,
    /// Sent, and taken from the mailbox.
    sent: Cell<Option<NonNull<Link>>>,
    partial: List,
    full: List,
    spare: List,
    spares: Cell<usize>,
}

// SAFETY: what the chunks hold for their owner moves with the slab (I2); the rest is atomic.
unsafe impl Send for Slab {}

impl Slab {
    /// Makes a slab that has no memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives out a block, uninitialised. `None` when there is no memory.
    #[inline]
    pub fn alloc(&self) -> Option<NonNull<u8>> {
        let chunk = self.current.get();
        let block = chunk.and_then(|chunk| chunk.pop().or_else(|| chunk.carve()));
        block.or_else(|| self.refill())
    }

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// The block came, with this provenance, from `alloc` of any slab, and is not used any more. `slab` is the caller's, if it is a worker.
    #[inline]
    pub unsafe fn free(block: NonNull<u8>, slab: Option<&Self>) {
        // SAFETY: the block is out, so its chunk lives (I1).
        let chunk = unsafe { ChunkRef::of(block) };
        if let Some(slab) = slab
            && chunk.owner.load(Relaxed) == slab.id()
        {
            // SAFETY: the block is not used any more, and its chunk is this slab's (I5).
            return unsafe { slab.push(chunk, block) };
        }
        // SAFETY: the caller's contract.
        unsafe { Self::free_elsewhere(chunk, block, slab) };
    }

    /// Takes back what others have freed, or a part of it. Whether there is more. A load and no more if there is nothing.
    #[inline]
    pub fn collect(&self) -> bool {
        let idle = self.sent.get().is_none() && self.mailbox.load(Relaxed).is_null();
        !idle && self.take_back()
    }

    /// What `owner` is in the slab's chunks.
    #[inline]
    fn id(&self) -> usize {
        Arc::as_ptr(&self.mailbox).addr()
    }

    /// Gives out a block when there is no current chunk, or it has no room.
    #[inline(never)]
    fn refill(&self) -> Option<NonNull<u8>> {
        self.collect();
        if let Some(block) = self.current.get().and_then(ChunkRef::pop) {
            return Some(block);
        }
        let next = self.partial.pop().or_else(|| self.take_spare());
        let next = next.or_else(|| ChunkRef::new(&self.mailbox))?;
        next.own.used.set(next.own.used.get() + 1);
        if let Some(full) = self.current.replace(Some(next)) {
            full.own.used.set(full.own.used.get() - 1);
            full.owner.store(self.id() | FULL, Relaxed);
            self.full.push(full);
        }
        next.pop().or_else(|| next.carve())
    }

    /// # Safety
    ///
    /// The block is out or sent, and not used any more; its chunk is this slab's.
    #[inline]
    unsafe fn push(&self, chunk: ChunkRef, block: NonNull<u8>) {
        let own = &chunk.own;
        let link = block.cast::<Link>();
        // SAFETY: the block is not used any more, and nobody else frees it.
        unsafe { link.write(Link(own.free.get())) };
        own.free.set(Some(link));
        let used = own.used.get() - 1;
        own.used.set(used);
        if used == 0 {
            self.retire(chunk);
        }
    }

    /// Frees a block of a full chunk, or of another slab.
    ///
    /// # Safety
    ///
    /// As [`free`](Self::free); `chunk` is the block's.
    #[inline(never)]
    unsafe fn free_elsewhere(chunk: ChunkRef, block: NonNull<u8>, slab: Option<&Self>) {
        if let Some(slab) = slab
            && chunk.owner.load(Relaxed) == slab.id() | FULL
        {
            slab.reopen(chunk);
            // SAFETY: the block is not used any more, and its chunk is this slab's (I5).
            return unsafe { slab.push(chunk, block) };
        }
        // SAFETY: the block is not used any more.
        if unsafe { chunk.send(block.cast()) } {
            return;
        }
        // Counted off before the slab has counted: below 0.
        if chunk.outstanding.fetch_sub(1, AcqRel) == 1 {
            // SAFETY: this was the last step of all (I6).
            unsafe { chunk.release() };
        }
    }

    /// A full chunk is about to have room. Owner only.
    fn reopen(&self, chunk: ChunkRef) {
        self.full.remove(chunk);
        chunk.owner.store(self.id(), Relaxed);
        self.partial.push(chunk);
    }

    /// A partial chunk is empty: keeps it, as if it were new, or gives it back.
    #[cold]
    fn retire(&self, chunk: ChunkRef) {
        self.partial.remove(chunk);
        let spares = self.spares.get();
        if spares >= SPARES && EXTRA.fetch_add(1, Relaxed) >= MOST_EXTRA {
            EXTRA.fetch_sub(1, Relaxed);
            // SAFETY: no block is out or sent, and it is in no list.
            return unsafe { chunk.release() };
        }
        chunk.own.free.set(None);
        chunk.own.carved.set(0);
        self.spare.push(chunk);
        self.spares.set(spares + 1);
    }

    fn take_spare(&self) -> Option<ChunkRef> {
        let chunk = self.spare.pop()?;
        let spares = self.spares.get() - 1;
        self.spares.set(spares);
        if spares >= SPARES {
            EXTRA.fetch_sub(1, Relaxed);
        }
        Some(chunk)
    }

    /// Takes back a batch of sent blocks. Whether there are more.
    #[cold]
    fn take_back(&self) -> bool {
        let mut sent = self.sent.take().or_else(|| self.empty(ptr::null_mut()));
        for _ in 0..BATCH {
            let Some(link) = sent else { return false };
            // SAFETY: a sent block holds a link (I3), and nobody else knows of it.
            sent = unsafe { link.read() }.0;
            // SAFETY: it was sent to this slab's mailbox, and is taken back once.
            unsafe { Self::free(link.cast(), Some(self)) };
        }
        self.sent.set(sent);
        sent.is_some()
    }

    /// Takes what is in the mailbox, and leaves `head` there. Not after it was closed.
    fn empty(&self, head: *mut Link) -> Option<NonNull<Link>> {
        NonNull::new(self.mailbox.swap(head, Acquire))
    }

    /// Leaves a chunk to those who have blocks of it; frees it, if nobody does. It is in no list any more.
    fn abandon(chunk: ChunkRef) {
        let used = chunk.own.used.get().cast_signed();
        if used == 0 || chunk.outstanding.fetch_add(used, AcqRel) == -used {
            // SAFETY: no block is out; or this was the last step of all (I6).
            unsafe { chunk.release() };
        }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        while self.take_back() {}
        self.sent.set(self.empty(CLOSED));
        while self.sent.get().is_some() && self.take_back() {}
        if let Some(current) = self.current.take() {
            current.own.used.set(current.own.used.get() - 1);
            Self::abandon(current);
        }
        EXTRA.fetch_sub(self.spares.get().saturating_sub(SPARES), Relaxed);
        for list in [&self.spare, &self.partial, &self.full] {
            while let Some(chunk) = list.pop() {
                Self::abandon(chunk);
            }
        }
    }
}

/// At the beginning of a chunk. Others than the owner read only its first cache line, which seldom changes.
#[repr(C, align(64))]
struct Chunk {
    owner: AtomicUsize,
    /// After the slab's end: how many blocks are out, once the slab has added its count (I6).
    outstanding: AtomicIsize,
    mailbox: Arc<Mailbox>,
    own: Own,
}

/// What only the owner touches (I2).
#[derive(Debug, Default)]
#[repr(align(64))]
struct Own {
    free: Cell<Option<NonNull<Link>>>,
    used: Cell<usize>,
    /// Bytes of blocks that are not fresh.
    carved: Cell<usize>,
    next: Cell<Option<ChunkRef>>,
    previous: Cell<Option<ChunkRef>>,
}

/// In a block that is sent or free: the next one.
struct Link(Option<NonNull<Self>>);

/// A chunk that lives (I1).
#[derive(Clone, Copy, Debug)]
struct ChunkRef(NonNull<Chunk>);

impl Deref for ChunkRef {
    type Target = Chunk;

    #[inline]
    fn deref(&self) -> &Chunk {
        // SAFETY: it lives (I1), and its header is written in `new`; through references only cells and atomics change.
        unsafe { self.0.as_ref() }
    }
}

impl ChunkRef {
    /// The chunk of a block.
    ///
    /// # Safety
    ///
    /// The block is out or sent; its provenance is what `alloc` gave it.
    #[inline]
    unsafe fn of(block: NonNull<u8>) -> Self {
        let chunk = block.as_ptr().map_addr(|address| address & !(CHUNK - 1));
        // SAFETY: a chunk is not at address 0.
        Self(unsafe { NonNull::new_unchecked(chunk.cast()) })
    }

    /// Takes a chunk from the global allocator. `None` when there is no memory.
    #[cold]
    fn new(mailbox: &Arc<Mailbox>) -> Option<Self> {
        #[cfg(test)]
        if tests::NO_MEMORY.get() {
            return None;
        }
        // SAFETY: the layout has a size.
        let chunk = NonNull::new(unsafe { alloc(LAYOUT) })?.cast::<Chunk>();
        let header = Chunk {
            owner: AtomicUsize::new(Arc::as_ptr(mailbox).addr()),
            outstanding: AtomicIsize::default(),
            mailbox: Arc::clone(mailbox),
            own: Own::default(),
        };
        // SAFETY: large and aligned enough for it, and ours alone.
        unsafe { chunk.write(header) };
        Some(Self(chunk))
    }

    /// Gives the memory back.
    ///
    /// # Safety
    ///
    /// No block is out or sent, the chunk is in no list, and nobody uses it any more.
    #[cold]
    unsafe fn release(self) {
        // SAFETY: nobody else uses it.
        let outstanding = unsafe { prim::unsync_load(&self.outstanding) };
        assert!(!prim::MODEL || outstanding == 0);
        // SAFETY: the header was written in `new`; the caller is the last.
        unsafe { self.0.drop_in_place() };
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.0.as_ptr().cast(), LAYOUT) };
    }

    /// Sends a block to its owner. `false`, if the mailbox is closed. Once it is sent, chunk and mailbox may be gone.
    ///
    /// # Safety
    ///
    /// The block is out, of this chunk, and not used any more; it is given away, if the result is `true`.
    unsafe fn send(self, link: NonNull<Link>) -> bool {
        let mailbox: &AtomicPtr<Link> = &self.mailbox;
        let mut head = mailbox.load(Relaxed);
        while head != CLOSED {
            // SAFETY: the block is ours until the exchange.
            unsafe { link.write(Link(NonNull::new(head))) };
            match mailbox.compare_exchange_weak(head, link.as_ptr(), Release, Relaxed) {
                Ok(_) => return true,
                Err(now) => head = now,
            }
        }
        false
    }

    /// Gives out the block that was freed last. Owner only.
    #[inline]
    fn pop(self) -> Option<NonNull<u8>> {
        let own = &self.own;
        let block = own.free.get()?;
        // SAFETY: a free block holds a link (I3), and is the owner's (I2).
        own.free.set(unsafe { block.read() }.0);
        own.used.set(own.used.get() + 1);
        Some(block.cast())
    }

    /// Gives out the first fresh block. Owner only.
    #[inline]
    fn carve(self) -> Option<NonNull<u8>> {
        let own = &self.own;
        let offset = BEGIN + own.carved.get();
        if offset + BLOCK > END {
            return None;
        }
        own.carved.set(own.carved.get() + BLOCK);
        own.used.set(own.used.get() + 1);
        // SAFETY: the chunk has END bytes.
        Some(unsafe { self.0.cast::<u8>().add(offset) })
    }
}

/// Chunks of one slab in one state. Owner only.
#[derive(Debug, Default)]
struct List {
    first: Cell<Option<ChunkRef>>,
}

impl List {
    fn push(&self, chunk: ChunkRef) {
        let next = self.first.replace(Some(chunk));
        chunk.own.previous.set(None);
        chunk.own.next.set(next);
        if let Some(next) = next {
            next.own.previous.set(Some(chunk));
        }
    }

    fn pop(&self) -> Option<ChunkRef> {
        let chunk = self.first.get()?;
        self.remove(chunk);
        Some(chunk)
    }

    /// The chunk is in this list.
    fn remove(&self, chunk: ChunkRef) {
        let (previous, next) = (chunk.own.previous.get(), chunk.own.next.get());
        match previous {
            Some(previous) => previous.own.next.set(next),
            None => self.first.set(next),
        }
        if let Some(next) = next {
            next.own.previous.set(previous);
        }
    }
}

/// Where others send what they have freed.
type Mailbox = CachePadded<AtomicPtr<Link>>;

/// The head of a closed mailbox: no block's address.
const CLOSED: *mut Link = ptr::without_provenance_mut(1);
