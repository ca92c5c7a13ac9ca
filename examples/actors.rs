//! Actors: a bank whose accounts nobody shares, so that they need no locks, and a supervisor that opens it again after a bug.
//!
//! The bank is a value that handles messages one after the other; between messages it has no stack. Its bug ends it. The
//! supervisor makes another one, from what the ledger says, under the same address; what waited for the first is handled by it.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{collections::HashMap, error::Error, time::Duration};

use sward::{
    actor::{self, Actor, Addr, Context, Exit, Reply, Restart, Strategy, Supervisor},
    thread,
};

/// What has been paid, by account. It outlives the bank.
#[derive(Default)]
struct Ledger(HashMap<u32, i64>);

enum Entry {
    Write(u32, i64),
    Read(Reply<HashMap<u32, i64>>),
}

impl Actor for Ledger {
    type Message = Entry;

    fn handle(&mut self, message: Entry, _: &mut Context<Self>) {
        match message {
            Entry::Write(account, balance) => _ = self.0.insert(account, balance),
            Entry::Read(reply) => reply.send(self.0.clone()),
        }
    }
}

struct Bank(HashMap<u32, i64>, Addr<Ledger>);

enum Order {
    Pay(u32, i64),
    Balance(u32, Reply<i64>),
}

impl Actor for Bank {
    type Message = Order;

    fn started(&mut self, _: &mut Context<Self>) {
        self.0 = self.1.call(Entry::Read).expect("the ledger outlives the bank");
        println!("the bank opens with {} accounts", self.0.len());
    }

    fn handle(&mut self, message: Order, _: &mut Context<Self>) {
        match message {
            Order::Pay(account, amount) => {
                assert!(amount != 13, "a bug: nobody has thought of {amount}");
                let balance =
                    self.0.entry(account).and_modify(|balance| *balance += amount).or_insert(amount);
                self.1.cast(Entry::Write(account, *balance)).expect("the ledger outlives the bank");
            }
            Order::Balance(account, reply) => reply.send(self.0[&account]),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let ledger = actor::spawn(Ledger::default());
    let mut supervisor = Supervisor::new(Strategy::OneForOne).intensity(4, Duration::from_secs(60));
    let bank = supervisor.child(Restart::Permanent, move || Bank(HashMap::new(), ledger.clone()));
    let supervisor = actor::spawn(supervisor);

    let customers = [0, 1, 2, 3].map(|account| {
        let bank = bank.clone();
        thread::spawn(move || (0..=20).try_for_each(|i| bank.cast(Order::Pay(account, i))).is_ok())
    });
    assert!(customers.into_iter().all(|customer| customer.join().is_ok_and(|all_paid| all_paid)));
    for account in 0..4 {
        let balance = bank.call(|reply| Order::Balance(account, reply))?;
        println!("account {account}: {balance}");
        assert_eq!(balance, 210 - 13, "only the payments that broke the bank are lost");
    }
    assert_eq!((supervisor.join(), bank.exit()), (Exit::Normal, Some(Exit::Normal)));
    Ok(())
}
