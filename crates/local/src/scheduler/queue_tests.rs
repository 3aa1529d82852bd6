use std::thread;

use super::*;

fn queue(capacity: usize, max_wait_ms: u32) -> Arc<Queue<&'static str>> {
    Queue::new(QueueConfig {
        name: "stt",
        limits: QueueLimits {
            capacity,
            max_wait_ms,
        },
        workers: 1,
        ms_per_unit: 1.0,
    })
}

fn ticket(session: &str, class: Class, units: u32) -> Ticket {
    Ticket {
        session: session.to_owned(),
        class,
        units,
        cancel: Cancel::new(),
    }
}

fn drain(queue: &Arc<Queue<&'static str>>) -> Vec<&'static str> {
    std::iter::from_fn(|| queue.try_take().map(|batch| batch.jobs[0])).collect()
}

#[test]
fn urgent_before_live_before_speculative_and_order_kept_within() {
    let queue = queue(16, 60_000);
    queue
        .push(ticket("a", Class::Speculative, 1), "guess")
        .unwrap();
    queue
        .push(ticket("a", Class::Live, 1), "second piece")
        .unwrap();
    queue
        .push(ticket("a", Class::Live, 1), "third piece")
        .unwrap();
    queue
        .push(ticket("b", Class::Urgent, 1), "first piece")
        .unwrap();
    assert_eq!(
        drain(&queue),
        ["first piece", "second piece", "third piece", "guess"]
    );
}

#[test]
fn a_session_with_many_jobs_does_not_starve_another() {
    let queue = queue(16, 60_000);
    for job in ["a1", "a2", "a3", "a4"] {
        queue.push(ticket("a", Class::Live, 100), job).unwrap();
    }
    queue.push(ticket("b", Class::Live, 100), "b1").unwrap();
    queue.push(ticket("b", Class::Live, 100), "b2").unwrap();
    assert_eq!(drain(&queue), ["a1", "b1", "a2", "b2", "a3", "a4"]);
}

#[test]
fn a_session_that_comes_late_is_not_paid_for_its_absence() {
    let queue = queue(16, 60_000);
    queue.push(ticket("a", Class::Live, 100), "a1").unwrap();
    queue.push(ticket("a", Class::Live, 100), "a2").unwrap();
    assert_eq!(queue.try_take().unwrap().jobs, ["a1"]);
    assert_eq!(queue.try_take().unwrap().jobs, ["a2"]);
    queue.push(ticket("a", Class::Live, 100), "a3").unwrap();
    queue.push(ticket("late", Class::Live, 100), "l1").unwrap();
    queue.push(ticket("late", Class::Live, 100), "l2").unwrap();
    assert_eq!(drain(&queue), ["l1", "a3", "l2"]);
}

#[test]
fn work_is_refused_by_expected_wait_not_only_by_count() {
    let queue = queue(16, 4_000);
    queue.push(ticket("a", Class::Live, 3_000), "3 s").unwrap();
    queue
        .push(ticket("b", Class::Live, 3_000), "3 s more")
        .unwrap();
    let refused = queue
        .push(ticket("c", Class::Live, 10), "short")
        .unwrap_err();
    assert!(
        matches!(
            refused,
            LocalError::Overloaded {
                queue: "stt",
                waiting: 2
            }
        ),
        "{refused}"
    );
    // what waits behind a job does not delay it
    queue
        .push(ticket("c", Class::Urgent, 10), "urgent")
        .unwrap();
}

#[test]
fn measured_speed_changes_what_is_accepted() {
    let queue = queue(16, 1_000);
    queue.push(ticket("a", Class::Live, 900), "a").unwrap();
    queue.push(ticket("b", Class::Live, 900), "b").unwrap();
    assert!(queue.push(ticket("c", Class::Live, 1), "c").is_err());
    for _ in 0..20 {
        queue.lock().learn(1_000, Duration::from_millis(100));
    }
    queue.push(ticket("c", Class::Live, 1), "c").unwrap();
    for _ in 0..20 {
        queue.lock().learn(1_000, Duration::from_secs(10));
    }
    assert!(queue.push(ticket("d", Class::Live, 1), "d").is_err());
}

#[test]
fn a_full_queue_gives_a_guess_up_for_live_work() {
    let queue = queue(2, 60_000);
    queue
        .push(ticket("a", Class::Speculative, 1), "old guess")
        .unwrap();
    queue
        .push(ticket("a", Class::Speculative, 1), "new guess")
        .unwrap();
    assert!(
        queue
            .push(ticket("b", Class::Speculative, 1), "third guess")
            .is_err()
    );
    queue.push(ticket("b", Class::Live, 1), "live").unwrap();
    assert_eq!(queue.waiting(), 2);
    queue.push(ticket("b", Class::Live, 1), "live too").unwrap();
    assert!(
        queue
            .push(ticket("b", Class::Live, 1), "one too many")
            .is_err()
    );
    assert_eq!(drain(&queue), ["live", "live too"]);
}

#[test]
fn a_cancelled_job_never_starts_and_makes_room() {
    let queue = queue(2, 60_000);
    let gone = ticket("a", Class::Live, 1);
    let cancel = gone.cancel.clone();
    queue.push(gone, "gone").unwrap();
    queue.push(ticket("a", Class::Live, 1), "kept").unwrap();
    assert!(queue.push(ticket("a", Class::Live, 1), "refused").is_err());
    cancel.cancel();
    assert_eq!(queue.waiting(), 1);
    queue.push(ticket("a", Class::Live, 1), "fits now").unwrap();
    assert_eq!(drain(&queue), ["kept", "fits now"]);
}

#[test]
fn a_batch_takes_what_fits_of_one_class_and_leaves_the_rest_in_order() {
    let queue = queue(16, 60_000);
    for job in ["xa", "y", "xb", "xc", "xd"] {
        queue.push(ticket(job, Class::Live, 1), job).unwrap();
    }
    queue
        .push(ticket("s", Class::Speculative, 1), "xs")
        .unwrap();
    let same_letter = |a: &&str, b: &&str| a.as_bytes()[0] == b.as_bytes()[0];
    let batch = queue.take(3, same_letter).unwrap();
    assert_eq!(batch.jobs, ["xa", "xb", "xc"]);
    assert_eq!(queue.running(), 3);
    drop(batch);
    assert_eq!(queue.running(), 0);
    assert_eq!(queue.take(4, same_letter).unwrap().jobs, ["y"]);
    assert_eq!(queue.take(4, same_letter).unwrap().jobs, ["xd"]);
    assert_eq!(queue.take(4, same_letter).unwrap().jobs, ["xs"]);
}

#[test]
fn a_waiting_worker_is_woken_by_a_job_and_by_closing() {
    let queue = queue(4, 60_000);
    let taker = Arc::clone(&queue);
    let worker = thread::spawn(move || {
        let first = taker.take(1, |_, _| false).map(|batch| batch.jobs[0]);
        (first, taker.take(1, |_, _| false).is_none())
    });
    queue.push(ticket("a", Class::Live, 1), "job").unwrap();
    while queue.waiting() > 0 {
        thread::yield_now();
    }
    queue.close();
    // closing may come before the worker asks again; either way it ends
    assert_eq!(worker.join().unwrap(), (Some("job"), true));
    assert!(queue.push(ticket("a", Class::Live, 1), "late").is_err());
}

#[test]
fn closing_cancels_what_runs() {
    let queue = queue(4, 60_000);
    let running = ticket("a", Class::Live, 1);
    let cancel = running.cancel.clone();
    queue.push(running, "job").unwrap();
    let _batch = queue.try_take().unwrap();
    queue.close();
    assert!(cancel.is_cancelled());
}
