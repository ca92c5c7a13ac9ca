use sward_runtime::{thread, runtime::Builder};
use std::time::Instant;
fn fib(n: u32) -> u64 { if n < 2 { return n as u64 } let h = thread::spawn(move || fib(n-1)); let b = fib(n-2); h.join().unwrap() + b }
fn skynet(num: u64, size: u64) -> u64 { if size == 1 { return num } let hs: Vec<_> = (0..10).map(|i| thread::spawn(move || skynet(num + i*(size/10), size/10))).collect(); hs.into_iter().map(|h| h.join().unwrap()).sum() }
fn main() {
    let roam = std::env::args().any(|a| a == "roam");
    for w in [1usize, 2] {
        let mut b = Builder::new().workers(w);
        if roam { b = unsafe { b.roaming() } }
        let rt = b.build().unwrap();
        rt.run(|| {
            let t = |name: &str, n: u64, f: &dyn Fn()| { f(); let s = Instant::now(); f(); println!("w{w} {name}: {:.1} ns", s.elapsed().as_nanos() as f64 / n as f64); };
            t("yield_2", 2_000_000, &|| { let hs: Vec<_> = (0..2).map(|_| thread::spawn(|| for _ in 0..1_000_000 { thread::yield_now() })).collect(); for h in hs { h.join().unwrap() } });
            t("yield_1000", 1_000_000, &|| { let hs: Vec<_> = (0..1000).map(|_| thread::spawn(|| for _ in 0..1_000 { thread::yield_now() })).collect(); for h in hs { h.join().unwrap() } });
            t("spawn_join", 500_000, &|| for _ in 0..500_000 { thread::spawn(|| ()).join().unwrap() });
            t("spawn_batch", 100_000, &|| { let hs: Vec<_> = (0..100_000).map(|_| thread::spawn(|| ())).collect(); for h in hs { h.join().unwrap() } });
            t("pingpong", 500_000, &|| { 
                let main = thread::current();
                let h = thread::spawn(move || for _ in 0..500_000 { thread::park(); main.unpark(); });
                for _ in 0..500_000 { h.thread().unpark(); thread::park(); }
                h.join().unwrap();
            });
            t("fib27", 317810, &|| { assert_eq!(thread::spawn(|| fib(27)).join().unwrap(), 196418) });
            t("skynet", 1_111_111, &|| { assert_eq!(thread::spawn(|| skynet(0, 1_000_000)).join().unwrap(), 499999500000) });
        });
    }
}
