//! Blocks of one size, for the records of green threads.
//!
//! Each worker has a [`Slab`], from which it takes a block for nearly every green thread that it spawns. It gives out blocks of
//! [`BLOCK`] bytes and nothing else; a larger record is boxed. Memory comes from the global allocator in chunks, and goes back to it.
//!
//! # Roles
//!
//! The *owner* is the OS thread that has the slab, a worker: it allocates. *Anyone* frees: the owner, other workers, and threads of no
//! runtime, also after the slab is gone.
//!
//! # States
//!
//! Of a chunk, which is [`CHUNK`] bytes, aligned to as many, so that a block's address leads to its chunk's header:
//!
//! ```text
//!            1 refill            2 refill             3 reopen
//!   (system) ───────▶ CURRENT ───────────▶ FULL ◀──────────────▶ PARTIAL
//!       ▲                ▲                       2 via CURRENT    │  │
//!       │ 6 keep         │ 5 refill                               │  │
//!       ├──────────── SPARE ◀─────────────────────────────────────┘  │
//!       │                                4 retire                    │
//!       └───────── ABANDONED ◀── 7 abandon, from any state ──────────┘
//!         8 last free
//! ```
//!
//! 1. and 5. [`Slab::refill`] found no chunk with room. 2. It found the current one without. 3. The owner freed a block of a full one:
//!    [`Slab::reopen`]; when the current chunk is full, a partial one becomes current. 4. No block of it is out: [`Slab::retire`].
//!    6. There are spares enough: [`Slab::keep`]. 7. The slab is dropped. 8. Whoever frees the last block frees the chunk.
//!
//! A block is *fresh* (never given out since its chunk was empty), *out*, *sent* (in the mailbox), or *free* (in its chunk's list).
//!
//! # Invariants
//!
//! - **I1** A chunk lives while one of its blocks is out or sent, and while it is in a list of its slab or current. Outside of `free`
//!   and of the slab nobody has a [`ChunkRef`].
//! - **I2** Only the owner touches [`Own`], and blocks that are fresh or free. With the slab's end nobody does.
//! - **I3** A block that is sent or free holds a [`Link`] and nothing else.
//! - **I4** `used` is the number of blocks that are out or sent, and one more for the current chunk, so that it cannot become empty.
//!   The chunk is in `partial` if it has room, is not current, and `used` is not 0.
//! - **I5** `owner` is the mailbox's address, plus [`FULL`] for a chunk in `full`. An address is one slab's for ever, as far as
//!   anyone can see: the chunk keeps the mailbox alive.
//! - **I6** A block is sent to an open mailbox, or counted off in `outstanding` if it is closed. After the mailbox was closed and emptied,
//!   the owner adds its `used`. So the sum is 0 exactly once, for the one who does the last of all these steps, and it frees the chunk.
//! - **I7** Of `spares`, those beyond [`SPARES`] are counted in [`EXTRA`].
//!
//! # Orderings
//!
//! | written by | read by | what becomes visible |
//! |---|---|---|
//! | exchange in `send` (Release) | swap in `take` and in `close` (Acquire) | the block's last use, and its link |
//! | `outstanding`, subtraction and addition (AcqRel) | the one that makes it 0 (AcqRel) | every last use of the chunk |
//!
//! A `send` over older blocks keeps their release sequence. `close` publishes nothing: who finds the mailbox closed uses only
//! `outstanding`. `owner` is Relaxed: a thread looks for its own slab there, and only that slab's owner changes it. [`EXTRA`] is a
//! number and publishes nothing.
//!
//! # Rejected
//!
//! - A list of remote frees in each chunk (mimalloc): finding them takes a second list, of chunks, whose entries outlive slabs and pin
//!   chunks in transit. Thieves of one victim run neighbours, and would meet in one chunk's list as they do in one mailbox.
//! - Sending remote frees in batches (snmalloc): blocks wait in the outboxes of idle workers, and each pins a chunk.
//! - One free list for the whole slab: shorter by the counting, but no chunk would ever be known to be empty.
//! - Links in fresh blocks: touches memory long before its use. They are given out in ascending order instead.
//!
//! # Checked by
//!
//! `loom-tests/tests/slab.rs`, `task/slab/tests.rs`.
//!
//! # Sources
//!
//! Leijen, Zorn, de Moura, "Mimalloc: Free List Sharding in Action" (2019): lists by page, owner test and full flag in one comparison.
//! Liétar et al., "snmalloc: A Message Passing Allocator" (2019): the mailbox. Treiber, "Systems Programming: Coping with
//! Parallelism" (1986): the list in it.

#[cfg(test)]
mod tests;

#[cfg(loom)]
use loom::alloc::{alloc, dealloc};
#[cfg(not(loom))]
use std::alloc::{alloc, dealloc};
use std::{
    alloc::Layout,
    cell::Cell,
    fmt,
    ops::Deref,
    ptr::{self, NonNull},
    sync::Arc,
};

use crate::prim::{
    atomic::{
        AtomicIsize, AtomicPtr, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
    global,
};

/// Bytes of a block.
pub(crate) const BLOCK: usize = 128;

/// Every block's alignment.
pub(crate) const ALIGN: usize = 64;

/// Alignment of a chunk, and its size but for what allocators put between neighbours.
const CHUNK: usize = 64 << 10;

/// Where a chunk's blocks begin and end. The end leaves room for the header of malloc's next block: else there would be a hole as
/// large as a chunk after each.
const BEGIN: usize = size_of::<Chunk>();
#[cfg(not(loom))]
const END: usize = CHUNK - BLOCK;
#[cfg(loom)]
const END: usize = BEGIN + 2 * BLOCK;

const LAYOUT: Layout = match Layout::from_size_align(END, CHUNK) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two"),
};

/// How many empty chunks every slab may keep.
const SPARES: usize = 8;

/// How many more the slabs of the process may keep between them: 16 MiB, the records of 130,000 green threads.
const MOST_EXTRA: usize = 256;

/// How many of these there are (I7).
static EXTRA: global::AtomicUsize = global::AtomicUsize::new(0);

/// Set in `owner` of a chunk without room (I5).
const FULL: usize = 1;

/// The blocks of one worker. See the module.
pub struct Slab {
    mailbox: Arc<Mailbox>,
    current: Cell<Option<ChunkRef>>,
    partial: List,
    full: List,
    spare: List,
    spares: Cell<usize>,
}

// SAFETY: what the chunks hold for their owner moves with the slab (I2); the rest is atomic.
unsafe impl Send for Slab {}

impl fmt::Debug for Slab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slab").field("spares", &self.spares.get()).finish_non_exhaustive()
    }
}

impl Default for Slab {
    fn default() -> Self {
        Self::new()
    }
}

impl Slab {
    /// Makes a slab that has no memory yet.
    pub fn new() -> Self {
        Self {
            mailbox: Arc::new(Mailbox { head: AtomicPtr::new(ptr::null_mut()) }),
            current: Cell::new(None),
            partial: List::default(),
            full: List::default(),
            spare: List::default(),
            spares: Cell::new(0),
        }
    }

    /// Gives out a block, uninitialised. `None` when there is no memory.
    #[inline]
    pub fn alloc(&self) -> Option<NonNull<u8>> {
        match self.current.get().and_then(ChunkRef::pop) {
            None => self.refill(),
            block => block,
        }
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
        match slab {
            // SAFETY: the block is not used any more, and its chunk is this slab's (I5).
            Some(slab) if chunk.owner.load(Relaxed) == slab.id() => unsafe { slab.push(chunk, block) },
            // SAFETY: the caller's contract.
            _ => unsafe { Self::free_elsewhere(chunk, block, slab) },
        }
    }

    /// Takes back what others have freed. For the owner when it has time, and before it sleeps; costs a load if there is nothing.
    #[inline]
    pub fn collect(&self) {
        if !self.mailbox.head.load(Relaxed).is_null() {
            self.take_back(self.mailbox.take());
        }
    }

    /// What `owner` is in the slab's chunks.
    #[inline]
    fn id(&self) -> usize {
        Arc::as_ptr(&self.mailbox).addr()
    }

    /// When the current chunk's list is empty, or there is no current chunk.
    #[inline(never)]
    fn refill(&self) -> Option<NonNull<u8>> {
        if let Some(block) = self.current.get().and_then(ChunkRef::carve) {
            return Some(block);
        }
        self.collect();
        if let Some(block) = self.current.get().and_then(ChunkRef::pop) {
            return Some(block);
        }
        let next = self.partial.pop().or_else(|| self.take_spare()).or_else(|| ChunkRef::new(&self.mailbox))?;
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
        unsafe { link.write(Link { next: own.free.get() }) };
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
        if unsafe { chunk.mailbox.send(block.cast()) } {
            return;
        }
        // Counted off before the slab has counted: below 0.
        if chunk.outstanding.fetch_sub(1, AcqRel) == 1 {
            // SAFETY: this was the last step of all (I6).
            unsafe { chunk.release() };
        }
    }

    /// A full chunk is about to have room.
    fn reopen(&self, chunk: ChunkRef) {
        self.full.remove(chunk);
        chunk.owner.store(self.id(), Relaxed);
        self.partial.push(chunk);
    }

    /// A partial chunk is empty.
    #[cold]
    fn retire(&self, chunk: ChunkRef) {
        self.partial.remove(chunk);
        self.keep(chunk);
    }

    /// Keeps an empty chunk, or gives it back. From one to the other it takes as many chunks as a slab may keep, so a load that
    /// goes up and down does not touch the allocator each time.
    fn keep(&self, chunk: ChunkRef) {
        let spares = self.spares.get();
        if spares < SPARES || add_extra() {
            chunk.own.free.set(None);
            chunk.own.fresh.set(BEGIN);
            self.spare.push(chunk);
            self.spares.set(spares + 1);
        } else {
            // SAFETY: it is empty, and in no list.
            unsafe { chunk.release() };
        }
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

    /// Takes back a chain of sent blocks.
    fn take_back(&self, mut chain: Option<NonNull<Link>>) {
        while let Some(link) = chain {
            // SAFETY: a sent block holds a link (I3), and the mailbox has given it to us.
            chain = unsafe { link.read() }.next;
            // SAFETY: the block is sent, so its chunk lives (I1).
            let chunk = unsafe { ChunkRef::of(link.cast()) };
            if chunk.owner.load(Relaxed) & FULL != 0 {
                self.reopen(chunk);
            }
            // SAFETY: the block was sent, and to this slab.
            unsafe { self.push(chunk, link.cast()) };
        }
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
        self.take_back(self.mailbox.close());
        while let Some(spare) = self.take_spare() {
            Self::abandon(spare);
        }
        if let Some(current) = self.current.take() {
            current.own.used.set(current.own.used.get() - 1);
            Self::abandon(current);
        }
        for list in [&self.partial, &self.full] {
            while let Some(chunk) = list.pop() {
                Self::abandon(chunk);
            }
        }
    }
}

/// Whether one more chunk may be kept beyond a slab's own number.
fn add_extra() -> bool {
    EXTRA.fetch_add(1, Relaxed) < MOST_EXTRA || {
        EXTRA.fetch_sub(1, Relaxed);
        false
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
#[repr(align(64))]
struct Own {
    free: Cell<Option<NonNull<Link>>>,
    used: Cell<usize>,
    /// The offset of the first fresh block.
    fresh: Cell<usize>,
    next: Cell<Option<ChunkRef>>,
    previous: Cell<Option<ChunkRef>>,
}

/// In a block that is sent or free.
struct Link {
    next: Option<NonNull<Self>>,
}

/// A chunk that lives (I1).
#[derive(Clone, Copy)]
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
            outstanding: AtomicIsize::new(0),
            mailbox: Arc::clone(mailbox),
            own: Own {
                free: Cell::new(None),
                used: Cell::new(0),
                fresh: Cell::new(BEGIN),
                next: Cell::new(None),
                previous: Cell::new(None),
            },
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
        // A model fails if it has not seen every step on this word.
        #[cfg(loom)]
        // SAFETY: nobody else uses it.
        assert_eq!(unsafe { self.outstanding.unsync_load() }, 0);
        // SAFETY: the header was written in `new`; the caller is the last.
        unsafe { self.0.drop_in_place() };
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.0.as_ptr().cast(), LAYOUT) };
    }

    /// Gives out the block that was freed last. Owner only.
    #[inline]
    fn pop(self) -> Option<NonNull<u8>> {
        let own = &self.own;
        let block = own.free.get()?;
        // SAFETY: a free block holds a link (I3), and is the owner's (I2).
        own.free.set(unsafe { block.read() }.next);
        own.used.set(own.used.get() + 1);
        Some(block.cast())
    }

    /// Gives out the first fresh block. Owner only.
    #[inline]
    fn carve(self) -> Option<NonNull<u8>> {
        let own = &self.own;
        let offset = own.fresh.get();
        if offset + BLOCK > END {
            return None;
        }
        own.fresh.set(offset + BLOCK);
        own.used.set(own.used.get() + 1);
        // SAFETY: the chunk has END bytes.
        Some(unsafe { self.0.cast::<u8>().add(offset) })
    }
}

/// Chunks of one slab in one state. Owner only.
#[derive(Default)]
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

/// What others have freed. Every chunk of the slab keeps it alive.
#[repr(align(128))]
struct Mailbox {
    head: AtomicPtr<Link>,
}

/// The head after the slab's end: no block's address.
const CLOSED: *mut Link = ptr::without_provenance_mut(1);

impl Mailbox {
    /// Sends a block to its owner. `false`, if the mailbox is closed.
    ///
    /// # Safety
    ///
    /// The block is out, of a chunk of this mailbox's slab, and not used any more; it is given away, if the result is `true`.
    unsafe fn send(&self, link: NonNull<Link>) -> bool {
        let mut head = self.head.load(Relaxed);
        while head != CLOSED {
            // SAFETY: the block is ours until the exchange.
            unsafe { link.write(Link { next: NonNull::new(head) }) };
            match self.head.compare_exchange_weak(head, link.as_ptr(), Release, Relaxed) {
                Ok(_) => return true,
                Err(now) => head = now,
            }
        }
        false
    }

    /// Takes every block. Owner only.
    fn take(&self) -> Option<NonNull<Link>> {
        NonNull::new(self.head.swap(ptr::null_mut(), Acquire))
    }

    /// Takes every block, and accepts no more. Owner only, once.
    fn close(&self) -> Option<NonNull<Link>> {
        NonNull::new(self.head.swap(CLOSED, Acquire))
    }
}
