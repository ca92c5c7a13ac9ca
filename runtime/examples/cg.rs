use sward_runtime::{thread, runtime::Builder};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut b = Builder::new().workers(1);
    if a[2] == "roam" { b = unsafe { b.roaming() } }
    let n: usize = a[3].parse().unwrap();
    let rt = b.build().unwrap();
    rt.run(|| match a[1].as_str() {
        "yield" => { let hs: Vec<_> = (0..2).map(|_| thread::spawn(move || for _ in 0..n/2 { thread::yield_now() })).collect(); for h in hs { h.join().unwrap() } }
        "spawn" => for _ in 0..n { thread::spawn(|| ()).join().unwrap() },
        "batch" => { let hs: Vec<_> = (0..n).map(|_| thread::spawn(|| ())).collect(); for h in hs { h.join().unwrap() } }
        "pp" => { let main = thread::current();
                let h = thread::spawn(move || for _ in 0..n { thread::park(); main.unpark(); });
                for _ in 0..n { h.thread().unpark(); thread::park(); }
                h.join().unwrap(); }
        _ => panic!(),
    });
}
