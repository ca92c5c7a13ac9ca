//! What slabs promise, each in a test named for it.
//!
//! Chunks are counted by their references to the mailbox: each live one has one.

use std::cell::Cell;
use std::collections::HashSet;
use std::ptr::NonNull;
use std::sync::{Arc, mpsc};
use std::thread;

use super::{ALIGN, BLOCK, BLOCKS, MOST_EXTRA, Mailbox, SPARES, Slab};

std::thread_local! {
    /// While set, this thread gets no chunk.
    pub(super) static NO_MEMORY: Cell<bool> = const { Cell::new(false) };
}

/// A block that is out, filled with a byte of its own.
struct Block(NonNull<u8>, u8);

// SAFETY: whoever has it is the only one to use the block.
unsafe impl Send for Block {}

impl Block {
    fn new(slab: &Slab, fill: usize) -> Self {
        let block = slab.alloc().expect("there is memory");
        let fill = fill.to_le_bytes()[0];
        // SAFETY: a block has so many bytes, and this one is ours.
        unsafe { block.write_bytes(fill, BLOCK) };
        Self(block, fill)
    }

    fn address(&self) -> usize {
        self.0.addr().get()
    }

    /// Frees it, if nobody has written to it.
    fn free(self, slab: Option<&Slab>) {
        // SAFETY: all of it was written in `new`.
        let bytes = unsafe { self.0.cast::<[u8; BLOCK]>().read() };
        assert_eq!(bytes, [self.1; BLOCK]);
        // SAFETY: it came from `alloc`, and ends here.
        unsafe { Slab::free(self.0, slab) };
    }
}

fn blocks(slab: &Slab, count: usize) -> Vec<Block> {
    (0..count).map(|i| Block::new(slab, i)).collect()
}

/// How many chunks live, seen from a mailbox that the slab and the test hold.
fn chunks(mailbox: &Arc<Mailbox>) -> usize {
    Arc::strong_count(mailbox) - 2
}

fn scaled(count: usize) -> usize {
    if cfg!(miri) { count / 100 } else { count }
}

#[test]
fn the_block_freed_last_is_given_out_first() {
    let slab = Slab::new();
    let mut three = blocks(&slab, 3);
    let addresses: Vec<_> = three.iter().map(Block::address).collect();
    three.remove(1).free(Some(&slab));
    three.remove(0).free(Some(&slab));
    three.push(Block::new(&slab, 3));
    three.push(Block::new(&slab, 4));
    assert_eq!(
        three.iter().map(Block::address).collect::<Vec<_>>(),
        [addresses[2], addresses[0], addresses[1]]
    );
    three.into_iter().for_each(|block| block.free(Some(&slab)));
}

#[test]
fn fresh_blocks_ascend() {
    let slab = Slab::new();
    let blocks = blocks(&slab, BLOCKS);
    assert!(blocks.windows(2).all(|pair| pair[0].address() + BLOCK == pair[1].address()));
    blocks.into_iter().for_each(|block| block.free(Some(&slab)));
}

#[test]
fn blocks_are_aligned_and_none_is_given_out_twice() {
    let slab = Slab::new();
    let mut out: Vec<Block> = Vec::new();
    let mut addresses = HashSet::new();
    let mut random = 1_u32;
    for i in 0..scaled(200_000) {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Grows and shrinks by turns, in an order of no order.
        let grow = if i / 10_000 % 2 == 0 { 5 } else { 3 };
        if out.is_empty() || random >> 29 < grow {
            let block = Block::new(&slab, i);
            assert_eq!(block.address() % ALIGN, 0);
            assert!(addresses.insert(block.address()));
            out.push(block);
        } else {
            let block = out.swap_remove((random >> 8) as usize % out.len());
            addresses.remove(&block.address());
            block.free((random & 7 != 0).then_some(&slab));
        }
    }
    out.into_iter().for_each(|block| block.free(Some(&slab)));
}

#[test]
fn a_chunk_with_a_free_block_is_used_before_a_new_one() {
    let slab = Slab::new();
    let mailbox = Arc::clone(&slab.mailbox);
    let mut out = blocks(&slab, 3 * BLOCKS);
    out.swap_remove(1).free(Some(&slab));
    out.swap_remove(BLOCKS + 1).free(None);
    out.extend(blocks(&slab, 2));
    assert_eq!(chunks(&mailbox), 3);
    out.into_iter().for_each(|block| block.free(Some(&slab)));
}

#[test]
fn after_a_burst_few_chunks_are_kept() {
    let slab = Slab::new();
    let mailbox = Arc::clone(&slab.mailbox);
    // Under Miri the bound is not reached, but the rest is checked.
    let burst = scaled((2 * MOST_EXTRA + SPARES) * BLOCKS);
    for half in 0..2 {
        let out = blocks(&slab, burst);
        assert_eq!(chunks(&mailbox), burst.div_ceil(BLOCKS));
        out.into_iter().for_each(|block| block.free((half == 0).then_some(&slab)));
        while slab.collect() {}
        assert!(chunks(&mailbox) <= SPARES + MOST_EXTRA + 1);
        assert_eq!(chunks(&mailbox), slab.spares.get() + 1);
    }
    drop(slab);
    assert_eq!(Arc::strong_count(&mailbox), 1);
}

#[test]
fn sent_blocks_are_taken_back_in_parts() {
    let slab = Slab::new();
    let mailbox = Arc::clone(&slab.mailbox);
    for count in [0, 1, super::BATCH, super::BATCH + 1, 3 * super::BATCH] {
        blocks(&slab, count).into_iter().for_each(|block| block.free(None));
        // One of them leaves a part for the slab's end.
        let mut rounds = 0;
        while slab.collect() && rounds < 1 {
            rounds += 1;
        }
    }
    drop(slab);
    assert_eq!(Arc::strong_count(&mailbox), 1);
}

#[test]
fn without_memory_there_is_none() {
    let slab = Slab::new();
    NO_MEMORY.set(true);
    assert!(slab.alloc().is_none());
    NO_MEMORY.set(false);
    let mut out = blocks(&slab, BLOCKS);
    NO_MEMORY.set(true);
    assert!(slab.alloc().is_none());
    assert!(slab.alloc().is_none());
    out.pop().expect("one of many").free(Some(&slab));
    out.pop().expect("one of many").free(None);
    out.extend(blocks(&slab, 2));
    assert!(slab.alloc().is_none());
    NO_MEMORY.set(false);
    out.extend(blocks(&slab, 1));
    out.into_iter().for_each(|block| block.free(Some(&slab)));
}

#[test]
fn a_slab_may_move_to_another_thread() {
    let slab = Slab::new();
    let out = blocks(&slab, BLOCKS + 1);
    let mailbox = Arc::clone(&slab.mailbox);
    thread::spawn(move || {
        out.into_iter().for_each(|block| block.free(Some(&slab)));
        assert!(slab.mailbox.load(super::Relaxed).is_null());
    })
    .join()
    .expect("no assertion fails");
    assert_eq!(Arc::strong_count(&mailbox), 1);
}

#[test]
fn who_frees_the_last_block_after_the_slabs_end_frees_its_chunk() {
    let slab = Slab::new();
    let mailbox = Arc::clone(&slab.mailbox);
    let mut out = blocks(&slab, 2 * BLOCKS + 1);
    out.pop().expect("one of many").free(Some(&slab));
    out.swap_remove(0).free(None);
    drop(slab);
    let chunks = || Arc::strong_count(&mailbox) - 1;
    assert_eq!(chunks(), 2);
    let other = Slab::new();
    let last = out.pop().expect("one of many");
    out.into_iter().for_each(|block| block.free(Some(&other)));
    assert_eq!(chunks(), 1);
    last.free(None);
    assert_eq!(chunks(), 0);
}

#[test]
fn blocks_are_freed_by_four_threads_while_slabs_come_and_go() {
    let (senders, inboxes): (Vec<_>, Vec<_>) = (0..4).map(|_| mpsc::channel()).unzip();
    let start = |inbox| {
        let senders = senders.clone();
        thread::spawn(move || allocate_and_free(senders, inbox))
    };
    let threads: Vec<_> = inboxes.into_iter().map(start).collect();
    drop(senders);
    let mailboxes = threads.into_iter().flat_map(|thread| thread.join().expect("no assertion fails"));
    let mailboxes: Vec<_> = mailboxes.collect();
    assert!(mailboxes.iter().all(|mailbox| Arc::strong_count(mailbox) == 1));
}

/// Gives its blocks to everyone, and frees what it gets. Returns the mailboxes of its slabs.
fn allocate_and_free(senders: Vec<mpsc::Sender<Block>>, inbox: mpsc::Receiver<Block>) -> Vec<Arc<Mailbox>> {
    let mut mailboxes = Vec::new();
    for life in 0..5 {
        let slab = Slab::new();
        mailboxes.push(Arc::clone(&slab.mailbox));
        for i in 0..scaled(10_000) {
            if let Err(back) = senders[i % senders.len()].send(Block::new(&slab, i)) {
                back.0.free(None);
            }
            while let Ok(block) = inbox.try_recv() {
                block.free((i % 3 != 0).then_some(&slab));
                // Blocks pile up in every other life.
                if life % 2 == 0 {
                    break;
                }
            }
        }
    }
    drop(senders);
    inbox.into_iter().for_each(|block| block.free(None));
    mailboxes
}
