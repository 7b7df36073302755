//! From many threads to one: order, wake-ups, and room that goes back.

use std::{
    collections::VecDeque,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use websocket::queue::{Queue, Woken};

/// Longer than a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn items_come_in_the_order_of_each_thread_and_none_is_slept_through() {
    const THREADS: usize = 4;
    const EACH: usize = 20_000;
    let (queue, mut sleep) = Queue::new().expect("the system has descriptors");
    let queue = Arc::new(queue);
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                for number in (0..EACH).step_by(10) {
                    queue.push_all((number..number + 10).map(|number| (thread, number)));
                }
            })
        })
        .collect();
    let mut next = [0; THREADS];
    let mut taken = VecDeque::new();
    while next != [EACH; THREADS] {
        queue.take(&mut taken);
        if taken.is_empty() {
            queue.arm();
            if queue.is_empty() {
                let before = Instant::now();
                let woken = sleep.sleep(Some(PATIENCE)).expect("a poll can be slept in");
                assert_eq!(woken, Woken::ByQueue);
                assert!(
                    before.elapsed() < PATIENCE,
                    "nobody woke the taker: {next:?}"
                );
            }
        }
        for (thread, number) in taken.drain(..) {
            assert_eq!(number, next[thread]);
            next[thread] += 1;
        }
    }
    for thread in threads {
        thread.join().expect("pushing does not panic");
    }
}

#[test]
fn a_push_wakes_only_who_is_armed_and_once() {
    let (queue, mut sleep) = Queue::new().expect("the system has descriptors");
    queue.push_all([1]);
    let short = Some(Duration::ZERO);
    let before = Instant::now();
    assert_eq!(
        sleep
            .sleep(Some(Duration::from_millis(20)))
            .expect("it sleeps"),
        Woken::ByQueue
    );
    assert!(
        before.elapsed() >= Duration::from_millis(20),
        "nobody was armed"
    );
    queue.arm();
    queue.push_all([2]);
    let before = Instant::now();
    sleep.sleep(Some(PATIENCE)).expect("it sleeps");
    assert!(before.elapsed() < PATIENCE);
    let mut taken = VecDeque::new();
    queue.take(&mut taken);
    assert_eq!(taken, [1, 2]);
    assert!(queue.is_empty());
    sleep.sleep(short).expect("it sleeps");
}

#[test]
fn what_a_burst_took_goes_back() {
    let (queue, _sleep) = Queue::new().expect("the system has descriptors");
    let mut taken = VecDeque::new();
    queue.push_all(0..100_000);
    queue.take(&mut taken);
    taken.clear();
    assert!(taken.capacity() >= 100_000);
    queue.return_room(&mut taken);
    assert!(taken.capacity() < 100_000, "{}", taken.capacity());
    queue.trim();
    queue.push_all([1]);
    queue.take(&mut taken);
    assert!(taken.capacity() < 100_000, "{}", taken.capacity());
    assert_eq!(taken, [1]);
}
