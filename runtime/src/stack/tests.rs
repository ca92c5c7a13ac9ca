//! What stacks promise, each in a test named for it.
//!
//! Tests that crash, that use up a limit of the process or that count its mappings run in a child: [`in_child`] runs
//! the test executable again with the one test that called it.

mod overflow;
mod pool;

use std::collections::HashSet;
use std::fs;
use std::hint::black_box;
use std::io;
use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::thread;

use corosensei::stack::Stack as _;
use corosensei::{Coroutine, CoroutineResult};

use super::slab::{COLOUR_STEP, COLOURS};
use super::{
    DEFAULT_STACK_SIZE, GUARD_SIZE, Guards, MAX_STACK_SIZE, MIN_STACK_SIZE, Stack, StackCache, StackPool,
    page_size, round,
};

const KINDS: [Guards; 2] = [Guards::Auto, Guards::Mprotect];

/// Set in a child; the name of the test it is to run.
const CHILD: &str = "SWARD_STACK_TEST_CHILD";

/// The exit status of a child that got to the end: not the 0 of a test executable that found no such test.
const DONE: i32 = 21;

/// In the parent, runs this executable again with only the calling test, and gives what came of it; in that child,
/// runs `body`, and then ends the process.
fn in_child(test: &str, variant: &str, body: impl FnOnce()) -> Output {
    if std::env::var(CHILD).is_ok_and(|child| child == variant) {
        body();
        std::process::exit(DONE);
    }
    let module = module_path!().split_once("::").expect("in a crate").1;
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{test}"), "--nocapture", "--test-threads=1"])
        .env(CHILD, variant)
        .output()
        .unwrap()
}

/// Whether this process is a child that runs another variant of the test.
fn is_other_child(variant: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|child| child != variant)
}

fn assert_success(output: &Output) {
    assert!(
        output.status.code() == Some(DONE),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn pool(guards: Guards) -> (StackPool, StackCache) {
    (StackPool::new(DEFAULT_STACK_SIZE, guards), StackCache::new())
}

fn acquire_many(pool: &StackPool, cache: &mut StackCache, count: usize) -> Vec<Stack> {
    (0..count).map(|_| pool.acquire(cache, pool.default_size()).unwrap()).collect()
}

fn release_all(pool: &StackPool, cache: &mut StackCache, stacks: impl IntoIterator<Item = Stack>) {
    for stack in stacks {
        pool.release(cache, stack);
    }
}

/// Writes to the word `below` bytes under the top of a stack.
fn touch(stack: &Stack, below: usize) {
    assert!(below <= stack.usable());
    poke(stack.base().get() - below);
}

fn poke(address: usize) {
    put(address, 1);
}

/// Writes to the word at `address`.
fn put(address: usize, value: u64) {
    let word = std::ptr::with_exposed_provenance_mut::<u64>(address & !7);
    // SAFETY: the caller owns the stack that this lies in, or wants the fault.
    unsafe { word.write_volatile(value) };
}

/// Reads the word at `address`.
fn peek(address: usize) -> u64 {
    let word = std::ptr::with_exposed_provenance::<u64>(address & !7);
    // SAFETY: the caller knows that it is mapped.
    unsafe { word.read_volatile() }
}

/// Whether the kernel can put a page at `address`, which it cannot where a guard is.
fn is_accessible(address: usize) -> bool {
    let page = std::ptr::with_exposed_provenance_mut(address & !(page_size() - 1));
    // SAFETY: at most makes an empty page resident.
    unsafe { libc::madvise(page, page_size(), libc::MADV_POPULATE_READ) == 0 }
}

fn is_guarded(stack: &Stack) -> bool {
    let guard = stack.guard();
    let pages = guard.clone().step_by(page_size());
    pages.clone().count() == guard.len() / page_size()
        && pages.into_iter().all(|page| !is_accessible(page))
        && is_accessible(guard.end)
}

/// Bytes mapped by this process.
fn address_space() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<usize>().unwrap() * page_size()
}

/// Resident pages of this process.
fn resident_pages() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse().unwrap()
}

fn map_entries() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

fn is_mapped(address: usize) -> bool {
    let mut resident = 0;
    let page = std::ptr::with_exposed_provenance_mut(address & !(page_size() - 1));
    // SAFETY: asks about one page, and `resident` has room for the answer.
    unsafe { libc::mincore(page, 1, &raw mut resident) == 0 }
}

/// Whether the kernel has `MADV_GUARD_INSTALL`, asked without the code that is tested.
fn has_light_guards() -> bool {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping where the kernel likes it.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), page_size(), protection, flags, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    // SAFETY: the page just mapped, which stays mapped.
    let accepted = unsafe { libc::madvise(page, page_size(), 102) == 0 };
    accepted && !is_accessible(page.addr())
}

#[test]
fn a_stack_handle_is_small_and_may_be_sent() {
    fn is_send_sync<T: Send + Sync>() {}
    is_send_sync::<Stack>();
    is_send_sync::<StackPool>();
    assert!(size_of::<Stack>() <= 16);
    assert!(!mem::needs_drop::<Stack>(), "I5");
}

#[test]
fn sizes_are_rounded_up_to_pages() {
    assert_eq!(round(0), Ok(MIN_STACK_SIZE.next_multiple_of(page_size())));
    assert_eq!(round(1), round(0));
    assert_eq!(round(100_001).unwrap() % page_size(), 0);
    assert!((100_001..100_001 + page_size()).contains(&round(100_001).unwrap()));
    assert_eq!(round(DEFAULT_STACK_SIZE), Ok(DEFAULT_STACK_SIZE));
    assert_eq!(round(MAX_STACK_SIZE), Ok(MAX_STACK_SIZE));
}

#[test]
fn sizes_above_the_limit_are_refused() {
    let error = round(MAX_STACK_SIZE + 1).unwrap_err();
    assert!(error.to_string().contains("1073741825"));
    let (pool, mut cache) = pool(Guards::Auto);
    let error = pool.acquire(&mut cache, usize::MAX).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(pool.live(), 0);
}

#[test]
fn a_stack_is_aligned_guarded_and_large_enough() {
    for guards in KINDS {
        let (pool, mut cache) = pool(guards);
        for size in [0, 20_000, DEFAULT_STACK_SIZE, 1 << 20, MAX_STACK_SIZE] {
            let stack = pool.acquire(&mut cache, size).unwrap();
            let (base, limit, guard) = (stack.base().get(), stack.limit().get(), stack.guard());
            assert_eq!(base % corosensei::stack::STACK_ALIGNMENT, 0);
            assert_eq!(limit, guard.start);
            assert!(guard.len() >= GUARD_SIZE);
            assert!(stack.usable() + (COLOURS - 1) * COLOUR_STEP >= round(size).unwrap());
            assert_eq!(base - guard.end, stack.usable());
            touch(&stack, 8);
            touch(&stack, stack.usable());
            assert!(is_guarded(&stack), "{guards:?} {stack:?}");
            pool.release(&mut cache, stack);
        }
        pool.trim(&mut cache);
        assert_eq!(pool.live(), 0);
    }
}

#[test]
fn neighbours_differ_in_colour_and_stay_in_one_page() {
    let (pool, mut cache) = pool(Guards::Auto);
    let mut stacks = acquire_many(&pool, &mut cache, 100);
    stacks.sort_by_key(Stack::base);
    let colour = |stack: &Stack| stack.base().get().next_multiple_of(4096) - stack.base().get();
    assert!(stacks.iter().all(|stack| colour(stack) <= 1600));
    assert!(stacks.windows(2).all(|pair| colour(&pair[0]) != colour(&pair[1])));
    assert_eq!(stacks.iter().map(colour).collect::<HashSet<_>>().len(), COLOURS);
    release_all(&pool, &mut cache, stacks);
    pool.trim(&mut cache);
}

#[test]
fn the_tops_of_neighbours_lie_in_pages_of_which_all_lower_bits_differ() {
    for guards in KINDS {
        let (pool, mut cache) = pool(guards);
        for size in [MIN_STACK_SIZE, DEFAULT_STACK_SIZE, 300_000] {
            let mut stacks: Vec<_> = (0..32).map(|_| pool.acquire(&mut cache, size).unwrap()).collect();
            stacks.sort_by_key(Stack::base);
            let page = |stack: &Stack| stack.base().get().div_ceil(page_size());
            let bits =
                |count| stacks[..count].iter().map(|stack| page(stack) % count).collect::<HashSet<_>>();
            assert_eq!(bits(32).len(), 32, "{guards:?} {size}");
            assert_eq!(bits(8).len(), 8);
            release_all(&pool, &mut cache, stacks);
            pool.trim(&mut cache);
        }
    }
}

#[test]
fn no_two_stacks_overlap() {
    for guards in KINDS {
        let (pool, mut cache) = pool(guards);
        let mut stacks = acquire_many(&pool, &mut cache, 1000);
        let odd = [MIN_STACK_SIZE, 300_000, 300_000, 5 << 20];
        stacks.extend(odd.map(|size| pool.acquire(&mut cache, size).unwrap()));
        stacks.sort_by_key(Stack::base);
        for pair in stacks.windows(2) {
            assert!(pair[0].base().get() <= pair[1].limit().get(), "{pair:?}");
        }
        release_all(&pool, &mut cache, stacks);
        pool.trim(&mut cache);
        assert_eq!(pool.live(), 0);
    }
}

#[test]
fn the_warmest_stack_is_handed_out_first() {
    let (pool, mut cache) = pool(Guards::Auto);
    let mut stacks = acquire_many(&pool, &mut cache, 3);
    let warmest = stacks[1].base();
    let stack = stacks.remove(1);
    release_all(&pool, &mut cache, stacks);
    pool.release(&mut cache, stack);
    let again = pool.acquire(&mut cache, DEFAULT_STACK_SIZE).unwrap();
    assert_eq!(again.base(), warmest);
    pool.release(&mut cache, again);
    pool.trim(&mut cache);
}

#[test]
fn a_full_cache_spills_to_where_other_caches_refill() {
    let (pool, mut cache) = pool(Guards::Auto);
    let stacks = acquire_many(&pool, &mut cache, 600);
    pool.trim(&mut cache);
    let bases: HashSet<_> = stacks.iter().map(Stack::base).collect();
    assert_eq!(pool.live(), 600);
    release_all(&pool, &mut cache, stacks);
    assert!((128..=256).contains(&cache.len()));
    assert_eq!(pool.live(), cache.len());
    let mut other = StackCache::new();
    let stack = pool.acquire(&mut other, DEFAULT_STACK_SIZE).unwrap();
    assert!(bases.contains(&stack.base()), "a used stack comes before a new one");
    assert_eq!(other.len(), 31);
    pool.release(&mut other, stack);
    pool.trim(&mut other);
    pool.trim(&mut cache);
    assert_eq!((cache.len(), pool.live()), (0, 0));
}

#[test]
fn each_size_has_its_own_stacks() {
    let (pool, mut cache) = pool(Guards::Auto);
    let small = pool.acquire(&mut cache, MIN_STACK_SIZE).unwrap();
    let large = pool.acquire(&mut cache, 1 << 20).unwrap();
    assert!(small.usable() <= MIN_STACK_SIZE.next_multiple_of(page_size()));
    let bases = [small.base(), large.base()];
    release_all(&pool, &mut cache, [large, small]);
    assert_eq!(cache.len(), 0, "a cache holds the default size only");
    let small = pool.acquire(&mut cache, MIN_STACK_SIZE).unwrap();
    let large = pool.acquire(&mut cache, 1 << 20).unwrap();
    assert_eq!([small.base(), large.base()], bases);
    release_all(&pool, &mut cache, [large, small]);
}

#[test]
fn any_size_up_to_the_limit_is_served_with_at_least_that() {
    let (pool, mut cache) = pool(Guards::Auto);
    for size in (1 << 20..2 << 20).step_by(page_size()) {
        let stack = pool.acquire(&mut cache, size).unwrap();
        assert!(stack.usable() + (COLOURS - 1) * COLOUR_STEP >= size);
        pool.release(&mut cache, stack);
    }
}

#[test]
fn occupants_are_found_wherever_their_stacks_are() {
    let (pool, mut cache) = pool(Guards::Auto);
    let mut stacks = acquire_many(&pool, &mut cache, 300);
    stacks.push(pool.acquire(&mut cache, 1 << 20).unwrap());
    for (number, stack) in stacks.iter().enumerate() {
        stack.set_occupant(std::ptr::without_provenance_mut(number + 1));
    }
    stacks[7].clear_occupant();
    let mut found = HashSet::new();
    pool.for_each_occupant(|occupant| assert!(found.insert(occupant.addr())));
    let expected: HashSet<_> = (1..=301).filter(|&number| number != 8).collect();
    assert_eq!(found, expected);
    stacks.iter().for_each(Stack::clear_occupant);
    release_all(&pool, &mut cache, stacks);
    pool.for_each_occupant(|_| panic!("nobody is left"));
    pool.trim(&mut cache);
}

#[test]
fn an_occupant_may_release_its_stack_while_it_is_visited() {
    let (pool, mut cache) = pool(Guards::Auto);
    let stack = pool.acquire(&mut cache, 1 << 20).unwrap();
    stack.set_occupant(std::ptr::without_provenance_mut(1));
    let mut stack = Some(stack);
    pool.for_each_occupant(|_| {
        let stack = stack.take().expect("there is one");
        stack.clear_occupant();
        pool.release(&mut cache, stack);
    });
    assert_eq!(pool.live(), 0);
}

#[test]
fn a_fiber_runs_on_a_stack_and_gives_it_back() {
    for guards in KINDS {
        let (pool, mut cache) = pool(guards);
        for round in 0..100 {
            let stack = pool.acquire(&mut cache, DEFAULT_STACK_SIZE).unwrap();
            let mut fiber = Coroutine::with_stack(stack, |suspender, first: usize| {
                let buffer = black_box([first; 4096]);
                let second = suspender.suspend(());
                buffer.iter().sum::<usize>() + second
            });
            assert!(matches!(fiber.resume(round), CoroutineResult::Yield(())));
            let CoroutineResult::Return(sum) = fiber.resume(1) else { panic!("it suspends once") };
            assert_eq!(sum, round * 4096 + 1);
            pool.release(&mut cache, fiber.into_stack());
        }
        pool.trim(&mut cache);
        assert_eq!(pool.live(), 0);
    }
}

#[test]
fn pages_given_back_are_empty_and_guards_stay() {
    for guards in KINDS {
        let (pool, mut cache) = pool(guards);
        let stacks = acquire_many(&pool, &mut cache, 64);
        stacks.iter().for_each(|stack| touch(stack, 8));
        let bases: HashSet<_> = stacks.iter().map(Stack::base).collect();
        release_all(&pool, &mut cache, stacks);
        pool.trim(&mut cache);
        let stacks = acquire_many(&pool, &mut cache, 64);
        for stack in &stacks {
            assert!(bases.contains(&stack.base()), "clean stacks come before new ones");
            assert_eq!(stack.high_water(), 0);
            assert!(is_guarded(stack), "{guards:?} {stack:?}");
        }
        release_all(&pool, &mut cache, stacks);
        pool.trim(&mut cache);
    }
}

#[test]
fn the_high_water_mark_is_the_deepest_word_used() {
    let (pool, mut cache) = pool(Guards::Auto);
    let stack = pool.acquire(&mut cache, DEFAULT_STACK_SIZE).unwrap();
    let colour = stack.base().get().next_multiple_of(4096) - stack.base().get();
    assert_eq!(stack.high_water(), 0);
    for below in [8, 1000, 100_000, stack.usable()] {
        touch(&stack, below);
        assert_eq!(stack.high_water(), colour + below.next_multiple_of(8));
    }
    let deepest = stack.high_water();
    pool.release(&mut cache, stack);
    pool.trim(&mut cache);
    assert_eq!(pool.high_water(), if cfg!(debug_assertions) { deepest } else { 0 });
}

#[test]
fn a_leaked_stack_keeps_its_slab_mapped_and_no_other() {
    let output = in_child("a_leaked_stack_keeps_its_slab_mapped_and_no_other", "1", || {
        for guards in KINDS {
            let (pool, mut cache) = pool(guards);
            let mut stacks = acquire_many(&pool, &mut cache, 1000);
            let leaked = stacks.swap_remove(500);
            touch(&leaked, 8);
            let base = leaked.base().get();
            drop(leaked);
            let others: Vec<_> = stacks.iter().map(|stack| stack.base().get() - 8).collect();
            release_all(&pool, &mut cache, stacks);
            pool.trim(&mut cache);
            assert_eq!(pool.live(), 1);
            drop(pool);
            assert!(is_mapped(base - 8));
            assert_eq!(peek(base - 8), 1, "a leaked stack is not touched");
            let mapped = others.iter().filter(|&&other| is_mapped(other)).count();
            assert!((1..500).contains(&mapped), "{mapped}");
        }
    });
    assert_success(&output);
}

#[test]
fn workers_share_a_pool() {
    let (pool, _) = pool(Guards::Auto);
    let handed_over = Mutex::new(Vec::<Stack>::new());
    thread::scope(|scope| {
        for worker in 0..4 {
            let (pool, handed_over) = (&pool, &handed_over);
            scope.spawn(move || {
                let mut cache = StackCache::new();
                for round in 0..200 {
                    let own = acquire_many(pool, &mut cache, 20);
                    own.iter().for_each(|stack| touch(stack, 8));
                    // What one worker acquired, another releases.
                    let others = mem::replace(&mut *handed_over.lock().unwrap(), own);
                    release_all(pool, &mut cache, others);
                    if round % 50 == worker {
                        pool.trim(&mut cache);
                    }
                }
                pool.trim(&mut cache);
            });
        }
    });
    let mut cache = StackCache::new();
    release_all(&pool, &mut cache, handed_over.into_inner().unwrap());
    pool.trim(&mut cache);
    assert_eq!(pool.live(), 0);
}

#[test]
fn many_guarded_stacks_take_few_map_entries() {
    let output = in_child("many_guarded_stacks_take_few_map_entries", "1", || {
        if !has_light_guards() {
            return;
        }
        let (pool, mut cache) = pool(Guards::Auto);
        let mut stacks = Vec::with_capacity(200_000);
        for number in 0..200_000 {
            let stack = pool.acquire(&mut cache, DEFAULT_STACK_SIZE).unwrap();
            if number % 40 == 0 {
                touch(&stack, 8);
            }
            stacks.push(stack);
        }
        let entries = map_entries();
        assert!(entries < 1000, "{entries} lines in /proc/self/maps");
        release_all(&pool, &mut cache, stacks);
        pool.trim(&mut cache);
        assert_eq!(pool.live(), 0);
        drop(pool);
        assert!(map_entries() < 1000);
    });
    assert_success(&output);
}

#[test]
fn stacks_that_are_made_together_are_each_guarded_and_cost_a_page_at_most() {
    const NAME: &str = "stacks_that_are_made_together_are_each_guarded_and_cost_a_page_at_most";
    for (variant, guards) in ["auto", "mprotect"].into_iter().zip(KINDS) {
        if is_other_child(variant) {
            continue;
        }
        let output = in_child(NAME, variant, || {
            let (pool, mut cache) = pool(guards);
            let before = resident_pages();
            let stacks = acquire_many(&pool, &mut cache, 2000);
            let made = resident_pages().saturating_sub(before);
            assert!(made < 2500, "{made} pages for 2000 stacks that nobody has used");
            // What nobody has taken goes back as well.
            assert!(cache.len() > 0);
            pool.trim(&mut cache);
            let kept = resident_pages().saturating_sub(before);
            // The kernel's count is inexact by some dozens.
            assert!(cache.len() == 0 && kept < made + 100, "{kept} of {made}");
            for stack in &stacks {
                assert!(is_guarded(stack), "{stack:?}");
                assert_eq!(stack.high_water(), 0);
            }
            release_all(&pool, &mut cache, stacks);
            pool.trim(&mut cache);
            assert_eq!(pool.live(), 0);
        });
        assert_success(&output);
    }
}

#[test]
fn released_memory_goes_back_to_the_kernel() {
    for (variant, guards) in ["auto", "mprotect"].into_iter().zip(KINDS) {
        if is_other_child(variant) {
            continue;
        }
        let output = in_child("released_memory_goes_back_to_the_kernel", variant, || {
            let (pool, mut cache) = pool(guards);
            let before = resident_pages();
            let mut stacks = acquire_many(&pool, &mut cache, 20_000);
            stacks.iter().for_each(|stack| touch(stack, 8));
            let used = resident_pages();
            assert!(used >= before + 20_000);
            // Neither in order of address nor in its reverse.
            stacks.sort_by_key(|stack| stack.base().get().wrapping_mul(0x9e37_79b9_7f4a_7c15));
            release_all(&pool, &mut cache, stacks);
            let dirty = resident_pages() - before;
            assert!(dirty < 3000, "{dirty} pages kept");
            pool.trim(&mut cache);
            drop(pool);
            let rest = resident_pages().saturating_sub(before);
            assert!(rest < 1000, "{rest} pages left");
        });
        assert_success(&output);
    }
}

#[test]
fn dropping_a_pool_unmaps_its_slabs() {
    let output = in_child("dropping_a_pool_unmaps_its_slabs", "1", || {
        for guards in KINDS {
            let (pool, mut cache) = pool(guards);
            let stacks = acquire_many(&pool, &mut cache, 2000);
            let bases: Vec<_> = stacks.iter().map(|stack| stack.base().get() - 8).collect();
            assert!(bases.iter().all(|&base| is_mapped(base)));
            release_all(&pool, &mut cache, stacks);
            pool.trim(&mut cache);
            drop(pool);
            assert!(!bases.iter().any(|&base| is_mapped(base)));
        }
    });
    assert_success(&output);
}

#[test]
fn idle_slabs_are_unmapped_while_the_pool_lives() {
    let output = in_child("idle_slabs_are_unmapped_while_the_pool_lives", "1", || {
        let (pool, mut cache) = pool(Guards::Auto);
        let stacks = acquire_many(&pool, &mut cache, 20_000);
        let bases: Vec<_> = stacks.iter().map(|stack| stack.base().get() - 8).collect();
        release_all(&pool, &mut cache, stacks);
        while pool.trim(&mut cache) {}
        let mapped = bases.iter().filter(|&&base| is_mapped(base)).count();
        assert!(mapped < 250, "{mapped} of 20,000 stacks are still mapped");
    });
    assert_success(&output);
}

#[test]
fn without_address_space_acquire_fails_until_a_stack_is_released() {
    let output = in_child("without_address_space_acquire_fails_until_a_stack_is_released", "1", || {
        let (pool, mut cache) = pool(Guards::Auto);
        // Less than a slab, much more than a stack.
        let limit = (address_space() + (50 << 20)) as u64;
        let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: `limit` is valid.
        let result = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
        assert_eq!(result, 0);
        let mut stacks = Vec::new();
        let error = loop {
            match pool.acquire(&mut cache, DEFAULT_STACK_SIZE) {
                Ok(stack) => stacks.push(stack),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        assert!((100..=160).contains(&stacks.len()), "smaller slabs fill the rest: {}", stacks.len());
        pool.release(&mut cache, stacks.pop().unwrap());
        stacks.push(pool.acquire(&mut cache, DEFAULT_STACK_SIZE).unwrap());
        release_all(&pool, &mut cache, stacks);
        pool.trim(&mut cache);
        assert_eq!(pool.live(), 0);
    });
    assert_success(&output);
}

#[test]
fn at_the_limit_of_mappings_the_error_names_it() {
    let limit = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    if limit.trim().parse::<usize>().unwrap() > 1 << 20 {
        // Practically unlimited.
        return;
    }
    let output = in_child("at_the_limit_of_mappings_the_error_names_it", "1", || {
        let (pool, mut cache) = pool(Guards::Mprotect);
        let mut stacks = Vec::with_capacity(1 << 20);
        let error = loop {
            match pool.acquire(&mut cache, MIN_STACK_SIZE) {
                Ok(stack) => stacks.push(stack),
                Err(error) => break error.to_string(),
            }
        };
        let last = stacks.pop().unwrap();
        let base = last.base();
        pool.release(&mut cache, last);
        let again = pool.acquire(&mut cache, MIN_STACK_SIZE).unwrap();
        assert_eq!(again.base(), base);
        stacks.push(again);
        assert!(stacks.len() > 10_000);
        assert!(stacks[..100].iter().chain(&stacks[stacks.len() - 100..]).all(is_guarded));
        release_all(&pool, &mut cache, stacks);
        assert_eq!(pool.live(), 0, "slots that got no guard are not lost");
        drop(pool);
        assert!(error.contains("mprotect") && error.contains("vm.max_map_count"), "{error}");
    });
    assert_success(&output);
}

#[test]
fn any_word_of_the_guard_faults() {
    let variants = ["auto, lowest", "auto, highest", "mprotect, lowest", "mprotect, highest"];
    for variant in variants {
        if is_other_child(variant) {
            continue;
        }
        let output = in_child("any_word_of_the_guard_faults", variant, || {
            let (kind, place) = variant.split_once(", ").unwrap();
            let (pool, mut cache) = pool(KINDS[usize::from(kind == "mprotect")]);
            let stack = pool.acquire(&mut cache, DEFAULT_STACK_SIZE).unwrap();
            let guard = stack.guard();
            touch(&stack, stack.usable());
            poke(if place == "lowest" { guard.start } else { guard.end - 8 });
        });
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{variant}");
    }
}
