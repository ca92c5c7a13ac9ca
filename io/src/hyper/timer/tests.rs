use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Wake,
};

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn list() -> List {
    List { notes: BinaryHeap::new(), wakers: Slab::new(), next_id: 0, is_served: true }
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn whose_time_has_come_is_taken_out_in_order_and_once() {
    let (mut list, start) = (list(), Instant::now());
    let counts: [Arc<Count>; 4] = Default::default();
    for (at, seconds) in [3, 1, 2, 1].into_iter().enumerate() {
        list.insert(after(start, seconds), Arc::clone(&counts[at]).into());
    }
    assert!(list.take_due(start).is_empty());
    list.take_due(after(start, 2)).into_iter().for_each(Waker::wake);
    assert_eq!(counts.each_ref().map(|count| count.0.load(Relaxed)), [0, 1, 1, 1]);
    assert!(list.take_due(after(start, 2)).is_empty());
    assert_eq!(list.take_due(after(start, 3)).len(), 1);
    assert_eq!((list.notes.len(), list.wakers.len()), (0, 0));
}

#[test]
fn who_has_left_is_not_woken_nor_is_its_place_mistaken_for_that_of_another() {
    let (mut list, start) = (list(), Instant::now());
    let (left, other) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let first = list.insert(after(start, 1), Arc::clone(&left).into());
    assert!(list.remove(first.name).is_some());
    let second = list.insert(after(start, 2), Arc::clone(&other).into());
    assert_eq!(first.name.place, second.name.place, "the place is used again");
    assert!(list.remove(first.name).is_none());
    assert!(list.take_due(after(start, 1)).is_empty());
    assert_eq!(list.first(), Some(second), "the dead note before it has gone");
    list.take_due(after(start, 2)).into_iter().for_each(Waker::wake);
    assert_eq!((left.0.load(Relaxed), other.0.load(Relaxed)), (0, 1));
}

#[test]
fn notes_of_those_who_have_left_do_not_pile_up() {
    let (mut list, start) = (list(), Instant::now());
    let count = Arc::new(Count::default());
    let kept: Vec<_> =
        (0..10).map(|at| list.insert(after(start, 1000 + at), Arc::clone(&count).into())).collect();
    for at in 0..10_000 {
        let note = list.insert(after(start, 30 + at), Arc::clone(&count).into());
        assert!(list.remove(note.name).is_some());
        assert!(list.notes.len() <= 2 * list.wakers.len() + FEW);
    }
    assert_eq!(list.wakers.len(), kept.len());
    assert!(kept.iter().all(|note| list.find(note.name).is_some()));
    assert_eq!(list.take_due(after(start, 1009)).len(), kept.len());
    assert_eq!(Arc::strong_count(&count), 1);
}
