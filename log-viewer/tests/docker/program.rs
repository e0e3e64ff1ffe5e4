//! What the containers of the test with a real engine run: it talks on both streams, or crashes.

use std::time::Duration;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args[1].as_str() {
        "talk" => talk(args[2].parse().expect("a number")),
        "crash" => crash(&Vec::new()),
        // Its last words, without a newline.
        "die" => eprint!("dying words"),
        // Until it is stopped.
        "live" => (0..).for_each(|number| {
            println!("alive {number}");
            std::thread::sleep(Duration::from_millis(50));
        }),
        other => panic!("{other}?"),
    }
}

/// About two thousand lines a second, each stream numbered on its own, some longer than Docker's buffer.
fn talk(count: u32) {
    for number in 0..count {
        let filler = "z".repeat(if number % 500 == 250 { 40_000 } else { 60 });
        println!("out {number} <tag> \"quoted\" \t{filler}");
        eprintln!("err {number} {filler}");
        if number % 20 == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn crash(orders: &[u32]) {
    println!("{}", orders[std::env::args().count()]);
}
