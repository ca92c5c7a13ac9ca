//! The slab: its owner, against threads that free its blocks, until and after its end.
//!
//! The real `Slab`, with two blocks in a chunk. Stand-in: what a task does with its block is a write to [`Plain`] memory that goes with the
//! block's address. loom counts what is allocated: a chunk that is never freed, or twice, fails a model.
//!
//! # Fails when
//!
//! - the exchange in `send` is Relaxed, or the swap in `empty` is Relaxed: a block is given out before its last use is seen;
//! - the subtraction from `outstanding`, or the addition to it, is Acquire or Release: a chunk is freed before its last use is seen;
//! - the slab ends without closing the mailbox, or the owner's addition does not free the chunk that it brings to 0: memory is lost;
//! - the current chunk is not counted in its own `used`: it is retired, and used.

use std::{
    collections::HashMap,
    ptr::NonNull,
    sync::{Arc, Mutex},
};

use loom::thread;
use sward_loom_tests::{Plain, check, check_bounded};
use sward_runtime::model::Slab;

/// The memory of blocks, by address. The mutex is std's: it orders nothing that loom knows of.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<HashMap<usize, Arc<Plain<u32>>>>>);

impl Memory {
    fn at(&self, block: NonNull<u8>) -> Arc<Plain<u32>> {
        let mut memory = self.0.lock().unwrap();
        Arc::clone(memory.entry(block.addr().get()).or_default())
    }

    fn alloc(&self, slab: &Slab) -> Block {
        let block = slab.alloc().unwrap();
        let uses = self.at(block);
        assert_eq!(uses.replace(1), 0, "given out twice");
        Block(block, uses)
    }
}

/// A block that is out.
struct Block(NonNull<u8>, Arc<Plain<u32>>);

// SAFETY: whoever has it is the only one to use the block.
unsafe impl Send for Block {}

impl Block {
    fn free(self, slab: Option<&Slab>) {
        assert_eq!(self.1.replace(0), 1);
        // SAFETY: it came from `alloc`, and ends here.
        unsafe { Slab::free(self.0, slab) };
    }

    /// Frees it on another thread, which has no slab.
    fn free_elsewhere(self) -> thread::JoinHandle<()> {
        thread::spawn(move || self.free(None))
    }
}

/// Lets the others go on. loom does so by itself before an operation that races with theirs, but only with the latest one on that word: the
/// owner's look at the mailbox is hidden from the exchange that sends by the load before it.
fn others_first() {
    thread::yield_now();
}

#[test]
fn what_others_free_is_given_out_again() {
    check(|| {
        let (memory, slab) = (Memory::default(), Slab::new());
        let others = [memory.alloc(&slab), memory.alloc(&slab)].map(Block::free_elsewhere);
        // The chunk is full: they get what has come back, or a second chunk is made.
        others_first();
        let mine = [memory.alloc(&slab), memory.alloc(&slab)];
        for other in others {
            other.join().unwrap();
        }
        mine.into_iter().for_each(|block| block.free(Some(&slab)));
    });
}

#[test]
fn the_owner_frees_beside_others() {
    check(|| {
        let (memory, slab) = (Memory::default(), Slab::new());
        let [first, second, third] = [(); 3].map(|()| memory.alloc(&slab));
        let other = first.free_elsewhere();
        second.free(Some(&slab));
        others_first();
        slab.collect();
        third.free(Some(&slab));
        let again = [(); 3].map(|()| memory.alloc(&slab));
        other.join().unwrap();
        slab.collect();
        again.into_iter().for_each(|block| block.free(Some(&slab)));
    });
}

#[test]
fn a_chunk_of_a_slab_that_ends_is_freed_once() {
    check(|| {
        let (memory, slab) = (Memory::default(), Slab::new());
        let others = [memory.alloc(&slab), memory.alloc(&slab)].map(Block::free_elsewhere);
        drop(slab);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_slab_ends_with_blocks_in_every_state() {
    check_bounded(3, || {
        let (memory, slab) = (Memory::default(), Slab::new());
        let blocks = [(); 5].map(|()| memory.alloc(&slab));
        let [first, second, third, fourth, fifth] = blocks;
        let others = [thread::spawn(move || [first, third].map(|block| block.free(None))), {
            thread::spawn(move || [second, fifth].map(|block| block.free(None)))
        }];
        fourth.free(Some(&slab));
        others_first();
        slab.collect();
        drop(slab);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_block_goes_from_slab_to_slab() {
    check(|| {
        let (memory, slab) = (Memory::default(), Slab::new());
        let block = memory.alloc(&slab);
        let other = thread::spawn({
            let memory = memory.clone();
            move || {
                let own = Slab::new();
                let mine = memory.alloc(&own);
                block.free(Some(&own));
                mine
            }
        });
        drop(slab);
        other.join().unwrap().free(None);
    });
}
