//! The ends of channels: what those at the other end are told, and what becomes of messages that nobody received.

use std::time::{Duration, Instant};

use crate::common::{
    CAPACITIES, DropToken, Drops, Either, ON_PURPOSE, channel, each_config, each_run, everywhere, fill,
    is_waiting, panics_with, spawn_either, stress, until_waiting, wait_until,
};
use sward_runtime::{park::WaitReason, thread};
use sward_sync::channel::{
    Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, TryRecvError, TrySendError,
    bounded, select, unbounded,
};

#[test]
fn without_receivers_each_way_to_send_gives_the_message_back() {
    everywhere(|| {
        for capacity in CAPACITIES {
            let (sender, receiver) = channel(capacity);
            drop(receiver);
            for _ in 0..2 {
                assert_eq!(sender.send(1), Err(SendError(1)));
                assert_eq!(sender.try_send(2), Err(TrySendError::Disconnected(2)));
                assert_eq!(
                    sender.send_timeout(3, Duration::MAX),
                    Err(SendTimeoutError::Disconnected(3)),
                    "time does not matter"
                );
                assert_eq!(sender.send_deadline(4, Instant::now()), Err(SendTimeoutError::Disconnected(4)));
                let sent = select! { send(sender, 5) -> result => result };
                assert_eq!(sent, Err(SendError(5)));
            }
            assert_eq!((sender.len(), sender.is_empty(), sender.capacity()), (0, true, capacity));
        }
    });
}

#[test]
fn without_senders_there_is_no_message_however_one_asks() {
    everywhere(|| {
        for capacity in CAPACITIES {
            let (sender, receiver) = channel::<u32>(capacity);
            drop(sender);
            for _ in 0..2 {
                assert_eq!(receiver.recv(), Err(RecvError));
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
                assert_eq!(receiver.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Disconnected));
                assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvTimeoutError::Disconnected));
                assert_eq!(select! { recv(receiver) -> message => message }, Err(RecvError));
                assert_eq!((receiver.iter().next(), receiver.try_iter().next()), (None, None));
            }
            assert_eq!((receiver.len(), receiver.is_empty(), receiver.capacity()), (0, true, capacity));
        }
    });
}

#[test]
fn what_was_sent_can_be_received_when_the_senders_are_gone() {
    everywhere(|| {
        for capacity in CAPACITIES {
            let (sender, receiver) = channel(capacity);
            let mut numbers = 0..;
            let sent = fill(&sender, || numbers.next().unwrap());
            assert_eq!(sent, capacity.unwrap_or(10));
            drop(sender);
            for i in 0..sent {
                assert_eq!(receiver.len(), sent - i);
                let received = match i % 3 {
                    0 => receiver.recv().ok(),
                    1 => receiver.try_recv().ok(),
                    _ => receiver.recv_timeout(Duration::ZERO).ok(),
                };
                assert_eq!(received, Some(i));
            }
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        }
    });
}

#[test]
fn an_end_is_gone_with_its_last_handle() {
    everywhere(|| {
        for capacity in CAPACITIES {
            let (sender, receiver) = channel::<u32>(capacity);
            let (senders, receivers) = (vec![sender.clone(); 3], vec![receiver.clone(); 3]);
            drop((senders, receivers.clone()));
            assert!(
                sender.try_send(0).is_ok_and(|()| receivers[0].try_recv() == Ok(0)) == (capacity != Some(0))
            );
            drop(receiver);
            assert!(sender.try_send(0).is_err() == (capacity == Some(0)), "there are more receivers");
            drop(receivers);
            assert_eq!(sender.try_send(1), Err(TrySendError::Disconnected(1)));
        }
    });
}

#[test]
fn messages_are_dropped_with_the_last_receiver_each_once() {
    everywhere(|| {
        for capacity in CAPACITIES {
            let drops = Drops::new();
            let (sender, receiver) = channel(capacity);
            let sent = fill(&sender, || drops.token());
            let refused = drops.count();
            let second = receiver.clone();
            drop(receiver);
            assert_eq!(drops.count(), refused, "there is another receiver");
            drop(second);
            assert_eq!(drops.count(), refused + sent);
            let token = sender.send(drops.token()).unwrap_err().into_inner();
            assert_eq!(drops.count(), refused + sent);
            drop((token, sender));
            assert_eq!(drops.count(), refused + sent + 1);
        }
    });
}

#[test]
fn a_channel_that_goes_with_messages_in_it_drops_each_once() {
    everywhere(|| {
        for capacity in CAPACITIES {
            for receivers_last in [true, false] {
                let drops = Drops::new();
                let (sender, receiver) = channel(capacity);
                let made = fill(&sender, || drops.token()) + drops.count();
                if receivers_last {
                    drop((sender, receiver));
                } else {
                    drop((receiver, sender));
                }
                assert_eq!(drops.count(), made);
            }
        }
    });
}

/// A receiver, plain or in a `select`, with or without a time limit.
fn wait_to_receive<T>(n: usize, receiver: &Receiver<T>) -> bool {
    match n % 4 {
        0 => receiver.recv().is_ok(),
        1 => match receiver.recv_timeout(Duration::MAX) {
            Ok(_) => true,
            Err(error) => !error.is_disconnected(),
        },
        2 => select! { recv(receiver) -> message => message.is_ok() },
        _ => receiver.iter().next().is_some(),
    }
}

/// As above, for a sender, which says whether it got its message back.
fn wait_to_send<T>(n: usize, sender: &Sender<T>, message: T) -> Option<T> {
    match n % 3 {
        0 => sender.send(message).err().map(SendError::into_inner),
        1 => match sender.send_timeout(message, Duration::MAX) {
            Ok(()) => None,
            Err(error) => {
                assert!(error.is_disconnected());
                Some(error.into_inner())
            }
        },
        _ => select! { send(sender, message) -> result => result.err().map(SendError::into_inner) },
    }
}

fn waits(thread: &thread::Thread) -> bool {
    is_waiting(thread, WaitReason::Channel) || is_waiting(thread, WaitReason::Select)
}

#[test]
fn receivers_that_wait_are_told_that_there_are_no_senders() {
    each_run(|| {
        for capacity in CAPACITIES {
            let (sender, receiver) = channel::<u32>(capacity);
            let green: Vec<_> = (0..4)
                .map(|n| {
                    let receiver = receiver.clone();
                    thread::spawn(move || wait_to_receive(n, &receiver))
                })
                .collect();
            let os: Vec<_> = (0..4)
                .map(|n| {
                    let receiver = receiver.clone();
                    spawn_either(1, move || wait_to_receive(n, &receiver))
                })
                .collect();
            wait_until(|| green.iter().all(|handle| waits(handle.thread())));
            drop(sender);
            assert!(green.into_iter().all(|handle| !handle.join().unwrap()));
            assert!(os.into_iter().all(|thread| !thread.join()));
        }
    });
}

#[test]
fn senders_that_wait_get_their_messages_back_when_there_are_no_receivers() {
    each_run(|| {
        for capacity in [0, 1, 7] {
            let drops = Drops::new();
            let (sender, receiver) = bounded(capacity);
            (0..capacity).for_each(|i| sender.send((i, drops.token())).unwrap());
            let green: Vec<_> = (0..6)
                .map(|n| {
                    let (sender, message) = (sender.clone(), (n, drops.token()));
                    thread::spawn(move || wait_to_send(n, &sender, message))
                })
                .collect();
            let os: Vec<_> = (0..6)
                .map(|n| {
                    let (sender, message) = (sender.clone(), (n, drops.token()));
                    spawn_either(1, move || wait_to_send(n, &sender, message))
                })
                .collect();
            wait_until(|| green.iter().all(|handle| waits(handle.thread())));
            drop(receiver);
            let green = green.into_iter().map(|handle| handle.join().unwrap());
            let back: Vec<_> = green.chain(os.into_iter().map(Either::join)).collect();
            assert!(back.iter().map(|message| message.as_ref().unwrap().0).eq((0..6).chain(0..6)));
            assert_eq!(drops.count(), capacity, "those in the channel");
            drop(back);
            assert_eq!(drops.count(), capacity + 12);
        }
    });
}

#[test]
fn a_sender_that_panics_is_gone() {
    each_run(|| {
        for capacity in CAPACITIES {
            let (sender, receiver) = channel::<u32>(capacity);
            let failed = thread::spawn(move || {
                let _sender = sender;
                thread::park();
                panic!("{ON_PURPOSE}");
            });
            let receiving = spawn_either(1, move || receiver.recv());
            until_waiting(failed.thread(), WaitReason::Park);
            failed.thread().unpark();
            assert_eq!(receiving.join(), Err(RecvError));
            assert!(failed.join().is_err());
        }
    });
}

#[test]
fn a_receiver_that_is_gone_with_its_runtime_is_gone() {
    each_config(|config| {
        for capacity in CAPACITIES {
            let drops = Drops::new();
            let (sender, receiver) = channel(capacity);
            let sent = fill(&sender, || drops.token());
            let refused = drops.count();
            let runtime = config.build();
            let holding = runtime.handle().spawn(move || {
                let _receiver = receiver;
                thread::park();
            });
            until_waiting(holding.thread(), WaitReason::Park);
            drop(runtime);
            assert_eq!(drops.count(), refused + sent);
            assert!(sender.send(drops.token()).is_err());
        }
    });
}

/// What is in the channel may be what keeps it alive.
#[test]
fn a_channel_in_which_its_own_senders_lie_goes_with_its_receivers() {
    struct Message {
        _sender: Sender<Self>,
        _token: DropToken,
    }
    everywhere(|| {
        for capacity in [Some(1), Some(7), None] {
            let drops = Drops::new();
            let (sender, receiver) = channel(capacity);
            let sent = fill(&sender, || Message { _sender: sender.clone(), _token: drops.token() });
            let refused = drops.count();
            drop(sender);
            assert_eq!(receiver.len(), sent);
            drop(receiver);
            assert_eq!(drops.count(), refused + sent);
        }
    });
}

/// Destructors run when the channel is disconnected, and may use it.
#[test]
fn a_message_may_use_its_channel_as_it_is_dropped() {
    struct Message(Sender<Self>, DropToken);
    impl Drop for Message {
        fn drop(&mut self) {
            let another = Self(self.0.clone(), DropToken::clone_of(&self.1));
            assert_eq!(self.0.len(), 0);
            match self.0.try_send(another) {
                // Not to be dropped: it would try again, and so on for ever.
                Err(error) if error.is_disconnected() => std::mem::forget(error.into_inner()),
                other => panic!("the last receiver is gone: {:?}", other.is_ok()),
            }
        }
    }
    everywhere(|| {
        for capacity in [Some(1), Some(7), None] {
            let drops = Drops::new();
            let (sender, receiver) = channel(capacity);
            let count = capacity.unwrap_or(10);
            for _ in 0..count {
                assert!(sender.send(Message(sender.clone(), drops.token())).is_ok());
            }
            drop(receiver);
            assert_eq!(drops.count(), count);
        }
    });
}

/// Panics as it is dropped, if it is the one that is to.
struct Bomb {
    goes_off: bool,
    _token: DropToken,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.goes_off {
            panic!("{ON_PURPOSE}");
        }
    }
}

#[test]
fn a_destructor_that_panics_panics_where_the_last_receiver_is_dropped_and_harms_nobody_else() {
    each_run(|| {
        for capacity in [1, 3, 30] {
            let drops = Drops::new();
            let (sender, receiver) = bounded(capacity);
            for i in 0..capacity {
                assert!(sender.send(Bomb { goes_off: i == capacity / 2, _token: drops.token() }).is_ok());
            }
            let waiting: Vec<_> = (0..4)
                .map(|n| {
                    let (sender, message) = (sender.clone(), Bomb { goes_off: false, _token: drops.token() });
                    spawn_either(n, move || wait_to_send(n, &sender, message).is_some())
                })
                .collect();
            assert_eq!(panics_with(|| receiver), ON_PURPOSE);
            // None twice, and no message was left behind where it could be received.
            assert!(waiting.into_iter().all(Either::join), "they got theirs back");
            assert!((capacity / 2 + 1..=capacity).contains(&(drops.count() - 4)));
            assert_eq!((sender.len(), sender.is_empty()), (0, true));
            let back = sender.send(Bomb { goes_off: false, _token: drops.token() });
            assert!(back.is_err());
        }
    });
}

#[test]
fn a_destructor_that_panics_ends_a_green_thread_as_any_panic_does() {
    each_run(|| {
        let drops = Drops::new();
        let (sender, receiver) = unbounded();
        assert!(sender.send(Bomb { goes_off: true, _token: drops.token() }).is_ok());
        let failed = thread::spawn(move || drop(receiver.recv()));
        assert_eq!(crate::common::panic_text(&*failed.join().unwrap_err()), ON_PURPOSE);
        assert_eq!(drops.count(), 1);
        assert!(sender.send(Bomb { goes_off: false, _token: drops.token() }).is_err());
    });
}

/// A receiver that goes while a panic unwinds drops the messages there.
#[test]
fn messages_are_dropped_while_their_receiver_unwinds() {
    everywhere(|| {
        let drops = Drops::new();
        let (sender, receiver) = unbounded();
        (0..10).for_each(|_| sender.send(drops.token()).unwrap());
        let fail = move || -> () {
            let _receiver = receiver;
            panic!("{ON_PURPOSE}");
        };
        assert_eq!(panics_with(fail), ON_PURPOSE);
        assert_eq!(drops.count(), 10);
        assert!(sender.send(drops.token()).is_err());
    });
}

/// The last receiver goes while others send: each message is received, given back, or dropped with the channel.
#[test]
fn an_end_that_races_with_sends_loses_no_message() {
    each_run(|| {
        for capacity in CAPACITIES {
            for round in 0..stress(10) {
                let drops = Drops::new();
                let (sender, receiver) = channel(capacity);
                let sending: Vec<_> = (0..3)
                    .map(|n| {
                        let (sender, drops) = (sender.clone(), drops.clone());
                        spawn_either(n, move || {
                            let mut sent = 0;
                            while wait_to_send(n + sent, &sender, drops.token()).is_none() {
                                sent += 1;
                            }
                            sent
                        })
                    })
                    .collect();
                let received = receiver.iter().take(round * 5).count();
                drop(receiver);
                let sent: usize = sending.into_iter().map(Either::join).sum();
                // What was sent was received or dropped with the channel; and each sender had one message left.
                assert!(sent >= received);
                assert_eq!(drops.count(), sent + 3);
            }
        }
    });
}

/// The last sender goes while others receive: what was sent before is received.
#[test]
fn an_end_that_races_with_receives_loses_no_message() {
    each_run(|| {
        for capacity in CAPACITIES {
            for round in 0..stress(10) {
                let (sender, receiver) = channel(capacity);
                let receiving: Vec<_> = (0..3)
                    .map(|n| {
                        let receiver = receiver.clone();
                        spawn_either(n, move || {
                            (0..).take_while(|i| wait_to_receive(n + i, &receiver)).count()
                        })
                    })
                    .collect();
                drop(receiver);
                let sending: Vec<_> = (0..2)
                    .map(|n| {
                        let sender = sender.clone();
                        spawn_either(n, move || (0..round * 3).for_each(|i| sender.send(i).unwrap()))
                    })
                    .collect();
                drop(sender);
                sending.into_iter().for_each(Either::join);
                assert_eq!(receiving.into_iter().map(Either::join).sum::<usize>(), 2 * round * 3);
            }
        }
    });
}
