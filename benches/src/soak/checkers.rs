//! What is checked of messages and bytes: a [`Ledger`] sees each number once, an [`Order`] sees them in turn, a [`Pattern`]
//! knows every byte.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::random::mix;

/// What is wrong with something that was received.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flaw {
    /// This number came before.
    Twice(usize),
    /// Nobody sent this number, or whoever did was told that it failed.
    NotSent(usize),
    /// So many numbers were sent and did not come, of which this is the first.
    Missing { count: usize, first: usize },
    /// This number came from a sender after another of the same sender that is later.
    OutOfTurn { number: u64, after: u64 },
    /// This byte of a stream is another than was sent.
    Byte { at: u64, sent: u8, found: u8 },
    /// The other side has seen other bytes.
    Sum { sent: u64, found: u64 },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(number) => write!(f, "message {number} came twice"),
            Self::NotSent(number) => write!(f, "message {number} came, and was not sent"),
            Self::Missing { count, first } => write!(f, "{count} messages are lost, the first is {first}"),
            Self::OutOfTurn { number, after } => write!(f, "message {number} came after {after}"),
            Self::Byte { at, sent, found } => write!(f, "byte {at} is {found:#04x}, not {sent:#04x}"),
            Self::Sum { sent, found } => write!(f, "the other side has seen {found:#018x}, not {sent:#018x}"),
        }
    }
}

/// Which of some numbered messages were sent, and which were received.
#[derive(Debug)]
pub(crate) struct Ledger {
    seen: Box<[AtomicU8]>,
}

const SENT: u8 = 1;
const RECEIVED: u8 = 2;

impl Ledger {
    pub(crate) fn new(messages: usize) -> Self {
        Self { seen: (0..messages).map(|_| AtomicU8::new(0)).collect() }
    }

    /// To be called when the sender knows that it was sent, with no wait in between.
    pub(crate) fn sent(&self, number: usize) {
        self.seen[number].fetch_or(SENT, Ordering::Relaxed);
    }

    /// To be called when the receiver has it, with no wait in between.
    pub(crate) fn received(&self, number: usize) -> Result<(), Flaw> {
        let Some(seen) = self.seen.get(number) else { return Err(Flaw::NotSent(number)) };
        if seen.fetch_or(RECEIVED, Ordering::Relaxed) & RECEIVED != 0 {
            Err(Flaw::Twice(number))
        } else {
            Ok(())
        }
    }

    /// At the end, when all that was sent should have been received, and nothing else.
    pub(crate) fn close(&self) -> Result<(), Flaw> {
        let states = || self.seen.iter().map(|seen| seen.load(Ordering::Relaxed)).enumerate();
        if let Some((number, _)) = states().find(|&(_, state)| state == RECEIVED) {
            return Err(Flaw::NotSent(number));
        }
        let mut missing = states().filter(|&(_, state)| state == SENT).map(|(number, _)| number);
        match missing.next() {
            None => Ok(()),
            Some(first) => Err(Flaw::Missing { count: missing.count() + 1, first }),
        }
    }
}

/// Whether the numbers of each of some senders grow, as one receiver sees them.
#[derive(Debug)]
pub(crate) struct Order {
    next: Box<[AtomicU64]>,
}

impl Order {
    pub(crate) fn new(senders: usize) -> Self {
        Self { next: (0..senders).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(crate) fn came(&self, sender: usize, number: u64) -> Result<(), Flaw> {
        let next = self.next[sender].swap(number + 1, Ordering::Relaxed);
        if number < next { Err(Flaw::OutOfTurn { number, after: next - 1 }) } else { Ok(()) }
    }
}

/// A stream of bytes that is known from its key, at a position in it.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    key: u64,
    at: u64,
}

impl Pattern {
    pub(crate) fn new(key: u64) -> Self {
        Self { key, at: 0 }
    }

    fn byte(&mut self) -> u8 {
        let word = mix(self.key ^ (self.at / 8));
        let byte = word.to_le_bytes()[(self.at % 8) as usize];
        self.at += 1;
        byte
    }

    /// The next bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    /// Whether these are the next bytes.
    pub(crate) fn verify(&mut self, bytes: &[u8]) -> Result<(), Flaw> {
        for &found in bytes {
            let at = self.at;
            let sent = self.byte();
            if found != sent {
                return Err(Flaw::Byte { at, sent, found });
            }
        }
        Ok(())
    }
}

/// A hash of all bytes of a stream, by FNV-1a.
#[derive(Debug)]
pub(crate) struct Sum(u64);

impl Sum {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(crate) fn value(&self) -> u64 {
        self.0
    }

    /// Whether the other side has seen the same.
    pub(crate) fn agree(&self, found: u64) -> Result<(), Flaw> {
        if self.0 == found { Ok(()) } else { Err(Flaw::Sum { sent: self.0, found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(sent: &[usize], received: &[usize]) -> Ledger {
        let ledger = Ledger::new(5);
        sent.iter().for_each(|&number| ledger.sent(number));
        assert!(received.iter().all(|&number| ledger.received(number).is_ok()));
        ledger
    }

    #[test]
    fn a_ledger_is_content_with_each_message_once() {
        assert_eq!(ledger(&[0, 1, 4], &[4, 0, 1]).close(), Ok(()));
        assert_eq!(ledger(&[], &[]).close(), Ok(()));
    }

    #[test]
    fn a_ledger_sees_a_duplicate_a_gap_and_what_was_not_sent() {
        assert_eq!(ledger(&[0, 1], &[1]).received(1), Err(Flaw::Twice(1)));
        assert_eq!(ledger(&[0, 2, 3], &[0]).close(), Err(Flaw::Missing { count: 2, first: 2 }));
        assert_eq!(ledger(&[0], &[0, 3]).close(), Err(Flaw::NotSent(3)));
        assert_eq!(ledger(&[0], &[]).received(5), Err(Flaw::NotSent(5)));
    }

    #[test]
    fn an_order_is_of_each_sender_and_may_have_gaps() {
        let order = Order::new(2);
        assert!(
            [(0, 0), (1, 5), (0, 1), (0, 4)]
                .iter()
                .all(|&(sender, number)| order.came(sender, number).is_ok())
        );
        assert_eq!(order.came(0, 3), Err(Flaw::OutOfTurn { number: 3, after: 4 }));
        assert!(order.came(1, 6).is_ok());
        assert_eq!(order.came(1, 6), Err(Flaw::OutOfTurn { number: 6, after: 6 }));
    }

    #[test]
    fn a_pattern_sees_a_changed_byte_a_lost_one_and_one_too_many() {
        let bytes = Pattern::new(3).take(100);
        assert_eq!(Pattern::new(3).verify(&bytes), Ok(()));
        let mut changed = bytes.clone();
        changed[70] ^= 1;
        assert!(matches!(Pattern::new(3).verify(&changed), Err(Flaw::Byte { at: 70, .. })));
        let mut shorter = bytes.clone();
        shorter.remove(40);
        assert!(matches!(Pattern::new(3).verify(&shorter), Err(Flaw::Byte { at: 40.., .. })));
        let mut longer = bytes.clone();
        longer.insert(40, bytes[39]);
        assert!(matches!(Pattern::new(3).verify(&longer), Err(Flaw::Byte { at: 40.., .. })));
        assert!(Pattern::new(4).verify(&bytes).is_err());
    }

    #[test]
    fn a_pattern_goes_on_where_it_was() {
        let (mut writer, mut reader) = (Pattern::new(9), Pattern::new(9));
        let bytes: Vec<u8> = [3, 11, 2].into_iter().flat_map(|count| writer.take(count)).collect();
        assert!(bytes.chunks(5).all(|part| reader.verify(part).is_ok()));
    }

    #[test]
    fn sums_differ_when_bytes_or_their_order_do() {
        let sum = |bytes: &[u8]| {
            let mut sum = Sum::new();
            sum.add(bytes);
            sum
        };
        assert_eq!(sum(b"abc").agree(sum(b"abc").value()), Ok(()));
        assert!(sum(b"abc").agree(sum(b"acb").value()).is_err());
        assert!(sum(b"abc").agree(sum(b"abcd").value()).is_err());
    }
}
