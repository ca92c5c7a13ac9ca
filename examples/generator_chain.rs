//! Generators: a recursive walk that yields, two walks in step, and a chain of filters.
//!
//! "Same fringe" is the classic: do two trees of different shape have the same leaves? Each walk is a plain recursion, which yields from
//! whatever depth it is at; the comparison takes one leaf of each in turn and stops at the first that differs. No scheduler has a
//! part in it, so all of this works on any thread.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use sward::coroutine::{self, Generator, Scope, Yielder};

enum Tree {
    Leaf(u32),
    Node(Box<Self>, Box<Self>),
}

use Tree::{Leaf, Node};

fn node(left: Tree, right: Tree) -> Tree {
    Node(Box::new(left), Box::new(right))
}

fn walk(tree: &Tree, y: &Yielder<(), u32>) {
    match tree {
        Leaf(value) => y.yield_(*value),
        Node(left, right) => {
            walk(left, y);
            walk(right, y);
        }
    }
}

fn leaves<'s>(s: &'s Scope<'s, '_>, tree: &'s Tree) -> Generator<'s, (), u32, ()> {
    s.iter(|y| walk(tree, y))
}

/// What comes in, less the multiples of `prime`.
fn sieve<'s>(
    s: &'s Scope<'s, '_>,
    numbers: Generator<'s, (), u32, ()>,
    prime: u32,
) -> Generator<'s, (), u32, ()> {
    s.iter(move |y| numbers.filter(|n| n % prime != 0).for_each(|n| y.yield_(n)))
}

/// Each prime puts one more generator in front of the next.
fn primes(count: usize) -> Vec<u32> {
    coroutine::scope(|s| {
        let mut chain = s.iter(|y| (2..1_000).for_each(|n| y.yield_(n)));
        let mut primes = Vec::new();
        while primes.len() < count {
            let prime = chain.next().expect("the numbers do not end");
            primes.push(prime);
            chain = sieve(s, chain, prime);
        }
        // The chain goes here: each body is unwound where it stands.
        primes
    })
}

fn main() {
    let left_deep = node(node(Leaf(1), Leaf(2)), Leaf(3));
    let right_deep = node(Leaf(1), node(Leaf(2), Leaf(3)));
    let shorter = node(Leaf(1), Leaf(3));
    // The walks borrow the trees.
    coroutine::scope(|s| {
        assert!(leaves(s, &left_deep).eq(leaves(s, &right_deep)));
        assert!(leaves(s, &left_deep).ne(leaves(s, &shorter)));
        println!("the fringe of both: {:?}", leaves(s, &left_deep).collect::<Vec<_>>());
    });

    let primes = primes(10);
    println!("primes: {primes:?}");
    assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
}
