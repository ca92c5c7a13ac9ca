//! Subjects with a blocking API: sward, OS threads with the channels of several crates, and may.
//!
//! Their code is the same but for the imports, so it is written once, as macros that are expanded in a module for each.

/// A message to and fro, each side receiving in the way given.
macro_rules! rally {
    ($capacity:expr, $rounds:expr, $receive:ident($($limit:expr)?)) => {{
        let rounds = $rounds;
        let (ping, pinged) = bounded::<u64>($capacity);
        let (pong, ponged) = bounded::<u64>($capacity);
        let echo = spawn(move || -> Result<()> {
            for _ in 0..rounds {
                ok(pong.send(ok(pinged.$receive($($limit)?))? + 1))?;
            }
            Ok(())
        });
        let start = Instant::now();
        let mut count = 0;
        for _ in 0..rounds {
            ok(ping.send(count))?;
            count = ok(ponged.$receive($($limit)?))?;
        }
        let time = start.elapsed();
        join(echo)??;
        Ok(Done { time, count })
    }};
}

/// The channels with one consumer, given `spawn`, `join` and `bounded`; `$hand_over` is the capacity of a channel that hands over.
macro_rules! channels {
    (hand_over: $hand_over:expr) => {
        pub(super) fn chan_pingpong(rounds: u64) -> Result<Done> {
            rally!($hand_over, rounds, recv())
        }

        /// With room for a message, or those who wait could all be senders, whom nothing limits.
        pub(super) fn pingpong_timeout(rounds: u64) -> Result<Done> {
            rally!(1, rounds, recv_timeout(LIMIT))
        }

        pub(super) fn pipeline(messages: u64) -> Result<Done> {
            let start = Instant::now();
            let (sender, mut receiver) = bounded::<u64>(SELECT_CAPACITY);
            let produce = move || -> Result<()> {
                for _ in 0..messages {
                    ok(sender.send(0))?;
                }
                Ok(())
            };
            let mut stages = vec![spawn(produce)];
            for _ in 0..STAGES {
                let (sender, next) = bounded::<u64>(SELECT_CAPACITY);
                let before = std::mem::replace(&mut receiver, next);
                let pass_on = move || -> Result<()> {
                    for message in before.iter() {
                        ok(sender.send(message + 1))?;
                    }
                    Ok(())
                };
                stages.push(spawn(pass_on));
            }
            let count = receiver.iter().map(|message| message / STAGES).sum();
            let time = start.elapsed();
            for stage in stages {
                join(stage)??;
            }
            Ok(Done { time, count })
        }

        pub(super) fn pairs(messages: u64) -> Result<Done> {
            let start = Instant::now();
            let (producers, consumers): (Vec<_>, Vec<_>) = (0..PAIRS)
                .map(|_| {
                    let (sender, receiver) = bounded::<u64>(SELECT_CAPACITY);
                    let produce = move || -> Result<()> {
                        for _ in 0..messages / PAIRS {
                            ok(sender.send(hash_for_message()))?;
                        }
                        Ok(())
                    };
                    let consume = move || receiver.iter().map(|one| one * hash_for_message()).sum::<u64>();
                    (spawn(produce), spawn(consume))
                })
                .unzip();
            for producer in producers {
                join(producer)??;
            }
            let mut count = 0;
            for consumer in consumers {
                count += join(consumer)?;
            }
            Ok(Done { time: start.elapsed(), count })
        }

        pub(super) fn chan_mpsc(messages: u64) -> Result<Done> {
            let (sender, receiver) = bounded::<u64>(CAPACITY);
            let start = Instant::now();
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|_| {
                    let sender = sender.clone();
                    spawn(move || -> Result<()> {
                        for _ in 0..messages / PRODUCERS {
                            ok(sender.send(1))?;
                        }
                        Ok(())
                    })
                })
                .collect();
            drop(sender);
            let count = receiver.iter().sum();
            let time = start.elapsed();
            for producer in producers {
                join(producer)??;
            }
            Ok(Done { time, count })
        }
    };
}

/// `chan_mpmc`, given the same.
macro_rules! channel_of_many {
    () => {
        pub(super) fn chan_mpmc(messages: u64) -> Result<Done> {
            let (sender, receiver) = bounded::<u64>(CAPACITY);
            let start = Instant::now();
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|_| {
                    let sender = sender.clone();
                    spawn(move || -> Result<()> {
                        for _ in 0..messages / PRODUCERS {
                            ok(sender.send(1))?;
                        }
                        Ok(())
                    })
                })
                .collect();
            let consumers: Vec<_> = (0..CONSUMERS)
                .map(|_| {
                    let receiver = receiver.clone();
                    spawn(move || receiver.iter().sum::<u64>())
                })
                .collect();
            drop(sender);
            let mut count = 0;
            for consumer in consumers {
                count += join(consumer)?;
            }
            let time = start.elapsed();
            for producer in producers {
                join(producer)??;
            }
            Ok(Done { time, count })
        }
    };
}

/// `select_fan_in`, given the same and `select`.
macro_rules! channel_select {
    () => {
        pub(super) fn select_fan_in(messages: u64) -> Result<Done> {
            let start = Instant::now();
            let channels: [_; PRODUCERS as usize] = std::array::from_fn(|_| bounded::<u64>(SELECT_CAPACITY));
            // Each channel stays open beyond its last message: one that is closed is always ready.
            let producers = channels.each_ref().map(|(sender, _)| {
                let sender = sender.clone();
                spawn(move || -> Result<()> {
                    for _ in 0..messages / PRODUCERS {
                        ok(sender.send(1))?;
                    }
                    Ok(())
                })
            });
            let [a, b, c, d] = channels.each_ref().map(|(_, receiver)| receiver);
            let mut count = 0;
            while count < messages {
                count += ok(select! {
                    recv(a) -> message => message,
                    recv(b) -> message => message,
                    recv(c) -> message => message,
                    recv(d) -> message => message,
                })?;
            }
            let time = start.elapsed();
            for producer in producers {
                join(producer)??;
            }
            Ok(Done { time, count })
        }
    };
}

/// The locks, given `spawn`, `join`, `Mutex`, `RwLock` and `Condvar` with the API of `std`.
macro_rules! locks {
    () => {
        pub(super) fn mutex_uncontended(count: u64) -> Result<Done> {
            let number = Mutex::new(0);
            let start = Instant::now();
            for _ in 0..count {
                *ok(number.lock())? += 1;
            }
            let time = start.elapsed();
            Ok(Done { time, count: ok(number.into_inner())? })
        }

        pub(super) fn mutex_contended(count: u64) -> Result<Done> {
            let number = Arc::new(Mutex::new(0));
            let start = Instant::now();
            let contenders: Vec<_> = (0..CONTENDERS)
                .map(|_| {
                    let number = Arc::clone(&number);
                    spawn(move || -> Result<()> {
                        for _ in 0..count / CONTENDERS {
                            *ok(number.lock())? += 1;
                        }
                        Ok(())
                    })
                })
                .collect();
            for contender in contenders {
                join(contender)??;
            }
            let time = start.elapsed();
            let count = *ok(number.lock())?;
            Ok(Done { time, count })
        }

        pub(super) fn rwlock_read_mostly(count: u64) -> Result<Done> {
            let number = Arc::new(RwLock::new(0));
            let start = Instant::now();
            let contenders: Vec<_> = (0..CONTENDERS)
                .map(|_| {
                    let number = Arc::clone(&number);
                    spawn(move || -> Result<u64> {
                        let mut done = 0;
                        for i in 0..count / CONTENDERS {
                            if i % WRITE_EACH == 0 {
                                *ok(number.write())? += 1;
                            } else {
                                done += u64::from(*ok(number.read())? <= count);
                            }
                        }
                        Ok(done)
                    })
                })
                .collect();
            let mut reads = 0;
            for contender in contenders {
                reads += join(contender)??;
            }
            let time = start.elapsed();
            let writes = *ok(number.read())?;
            Ok(Done { time, count: reads + writes })
        }

        pub(super) fn condvar_handoff(rounds: u64) -> Result<Done> {
            /// Whose turn it is, by the parity of how often it changed.
            struct Turns(Mutex<u64>, Condvar);

            impl Turns {
                fn take(&self, parity: u64, rounds: u64) -> Result<()> {
                    for _ in 0..rounds {
                        let mut turns = ok(self.0.lock())?;
                        while *turns % 2 != parity {
                            turns = ok(self.1.wait(turns))?;
                        }
                        *turns += 1;
                        self.1.notify_one();
                    }
                    Ok(())
                }
            }

            let turns = Arc::new(Turns(Mutex::new(0), Condvar::new()));
            let start = Instant::now();
            let other = {
                let turns = Arc::clone(&turns);
                spawn(move || turns.take(1, rounds))
            };
            turns.take(0, rounds)?;
            join(other)??;
            let time = start.elapsed();
            let count = *ok(turns.0.lock())? / 2;
            Ok(Done { time, count })
        }
    };
}

/// sward.
pub(in crate::subject) mod sward {
    use std::{sync::Arc, time::Instant};

    use super::super::{
        CAPACITY, CONSUMERS, CONTENDERS, Done, LIMIT, PAIRS, PERMITS, PRODUCERS, Primitive, SELECT_CAPACITY,
        STAGES, WRITE_EACH, hash_for_message, ok,
    };
    use crate::error::Result;
    use crate::subject::sward::join;
    use sward::{
        channel::{bounded, select},
        sync::{Condvar, Mutex, RwLock, Semaphore},
        thread::{spawn, yield_now},
    };

    channels!(hand_over: 0);
    channel_of_many!();
    channel_select!();
    locks!();

    fn semaphore(count: u64) -> Result<Done> {
        let permits = Arc::new(Semaphore::new(PERMITS));
        let start = Instant::now();
        let contenders: Vec<_> = (0..CONTENDERS)
            .map(|_| {
                let permits = Arc::clone(&permits);
                spawn(move || -> Result<u64> {
                    let mut done = 0;
                    for _ in 0..count / CONTENDERS {
                        let _permit = ok(permits.acquire())?;
                        yield_now();
                        done += 1;
                    }
                    Ok(done)
                })
            })
            .collect();
        let mut count = 0;
        for contender in contenders {
            count += join(contender)??;
        }
        Ok(Done { time: start.elapsed(), count })
    }

    /// On a green thread.
    pub(in crate::subject) fn run(primitive: Primitive, count: u64) -> Result<Done> {
        match primitive {
            Primitive::ChanPingpong => chan_pingpong(count),
            Primitive::PingpongTimeout => pingpong_timeout(count),
            Primitive::Pipeline => pipeline(count),
            Primitive::Pairs => pairs(count),
            Primitive::ChanMpsc => chan_mpsc(count),
            Primitive::ChanMpmc => chan_mpmc(count),
            Primitive::SelectFanIn => select_fan_in(count),
            Primitive::MutexUncontended => mutex_uncontended(count),
            Primitive::MutexContended => mutex_contended(count),
            Primitive::RwLockReadMostly => rwlock_read_mostly(count),
            Primitive::CondvarHandoff => condvar_handoff(count),
            Primitive::Semaphore => semaphore(count),
        }
    }
}

/// OS threads with what `std` has.
pub(in crate::subject) mod threads {
    use std::{sync::Arc, time::Instant};

    use super::super::{
        CAPACITY, CONTENDERS, Done, LIMIT, PAIRS, PRODUCERS, Primitive, SELECT_CAPACITY, STAGES, WRITE_EACH,
        hash_for_message, lacks, ok,
    };
    use crate::error::Result;
    use crate::subject::threads::join;
    use std::{
        sync::{Condvar, Mutex, RwLock, mpsc::sync_channel as bounded},
        thread::spawn,
    };

    channels!(hand_over: 0);
    locks!();

    pub(in crate::subject) fn run(primitive: Primitive, count: u64) -> Result<Done> {
        match primitive {
            Primitive::ChanPingpong => chan_pingpong(count),
            Primitive::PingpongTimeout => pingpong_timeout(count),
            Primitive::Pipeline => pipeline(count),
            Primitive::Pairs => pairs(count),
            Primitive::ChanMpsc => chan_mpsc(count),
            Primitive::MutexUncontended => mutex_uncontended(count),
            Primitive::MutexContended => mutex_contended(count),
            Primitive::RwLockReadMostly => rwlock_read_mostly(count),
            Primitive::CondvarHandoff => condvar_handoff(count),
            Primitive::ChanMpmc | Primitive::SelectFanIn | Primitive::Semaphore => lacks(primitive),
        }
    }
}

/// OS threads with the channels of `crossbeam-channel`.
pub(in crate::subject) mod crossbeam {
    use std::time::Instant;

    use super::super::{
        CAPACITY, CONSUMERS, Done, LIMIT, PAIRS, PRODUCERS, Primitive, SELECT_CAPACITY, STAGES,
        hash_for_message, lacks, ok,
    };
    use crate::error::Result;
    use crate::subject::threads::join;
    use crossbeam_channel::{bounded, select};
    use std::thread::spawn;

    channels!(hand_over: 0);
    channel_of_many!();
    channel_select!();

    pub(in crate::subject) fn run(primitive: Primitive, count: u64) -> Result<Done> {
        match primitive {
            Primitive::ChanPingpong => chan_pingpong(count),
            Primitive::PingpongTimeout => pingpong_timeout(count),
            Primitive::Pipeline => pipeline(count),
            Primitive::Pairs => pairs(count),
            Primitive::ChanMpsc => chan_mpsc(count),
            Primitive::ChanMpmc => chan_mpmc(count),
            Primitive::SelectFanIn => select_fan_in(count),
            _ => lacks(primitive),
        }
    }
}

/// OS threads with the channels of `flume`.
pub(in crate::subject) mod flume {
    use std::time::Instant;

    use super::super::{
        CAPACITY, CONSUMERS, Done, LIMIT, PAIRS, PRODUCERS, Primitive, SELECT_CAPACITY, STAGES,
        hash_for_message, lacks, ok,
    };
    use crate::error::Result;
    use crate::subject::threads::join;
    use flume::bounded;
    use std::thread::spawn;

    channels!(hand_over: 0);
    channel_of_many!();

    pub(in crate::subject) fn run(primitive: Primitive, count: u64) -> Result<Done> {
        match primitive {
            Primitive::ChanPingpong => chan_pingpong(count),
            Primitive::PingpongTimeout => pingpong_timeout(count),
            Primitive::Pipeline => pipeline(count),
            Primitive::Pairs => pairs(count),
            Primitive::ChanMpsc => chan_mpsc(count),
            Primitive::ChanMpmc => chan_mpmc(count),
            _ => lacks(primitive),
        }
    }
}

/// may. Its channels are unbounded.
pub(in crate::subject) mod may {
    use std::{sync::Arc, time::Instant};

    use super::super::{
        CAPACITY, CONSUMERS, CONTENDERS, Done, LIMIT, PAIRS, PERMITS, PRODUCERS, Primitive, SELECT_CAPACITY,
        STAGES, WRITE_EACH, hash_for_message, lacks, ok,
    };
    use crate::error::Result;
    use crate::subject::may::{join, spawn};
    use may::sync::{Condvar, Mutex, RwLock, Semphore, mpmc, mpsc};

    /// The capacity is that of the others.
    fn bounded<T>(_: usize) -> (mpsc::Sender<T>, mpsc::Receiver<T>) {
        mpsc::channel()
    }

    channels!(hand_over: 0);
    locks!();

    fn chan_mpmc(messages: u64) -> Result<Done> {
        fn bounded<T>(_: usize) -> (mpmc::Sender<T>, mpmc::Receiver<T>) {
            mpmc::channel()
        }
        channel_of_many!();
        chan_mpmc(messages)
    }

    fn semaphore(count: u64) -> Result<Done> {
        let permits = Arc::new(Semphore::new(PERMITS));
        let start = Instant::now();
        let contenders: Vec<_> = (0..CONTENDERS)
            .map(|_| {
                let permits = Arc::clone(&permits);
                spawn(move || {
                    let mut done = 0;
                    for _ in 0..count / CONTENDERS {
                        permits.wait();
                        may::coroutine::yield_now();
                        permits.post();
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let mut count = 0;
        for contender in contenders {
            count += join(contender)?;
        }
        Ok(Done { time: start.elapsed(), count })
    }

    /// On a coroutine.
    pub(in crate::subject) fn run(primitive: Primitive, count: u64) -> Result<Done> {
        match primitive {
            Primitive::ChanPingpong => chan_pingpong(count),
            Primitive::PingpongTimeout => pingpong_timeout(count),
            Primitive::Pipeline => pipeline(count),
            Primitive::Pairs => pairs(count),
            Primitive::ChanMpsc => chan_mpsc(count),
            Primitive::ChanMpmc => chan_mpmc(count),
            Primitive::MutexUncontended => mutex_uncontended(count),
            Primitive::MutexContended => mutex_contended(count),
            Primitive::RwLockReadMostly => rwlock_read_mostly(count),
            Primitive::CondvarHandoff => condvar_handoff(count),
            Primitive::Semaphore => semaphore(count),
            Primitive::SelectFanIn => lacks(primitive),
        }
    }
}
