//! Panics in a thread, goes on, and panics for good.

#[derive(Debug)]
#[allow(dead_code)]
struct Unhappy {
    port: u16,
}

fn main() {
    eprintln!("starting");
    let worker = std::thread::Builder::new().name("worker".into()).spawn(|| {
        let result: Result<(), Unhappy> = Err(Unhappy { port: 80 });
        result.expect("a port");
    });
    let _ = worker.expect("a thread").join();
    eprintln!("still here");
    assert_eq!(1 + 1, 3, "sums matter");
}
