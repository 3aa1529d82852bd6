//! Work for workers: nothing lost, nothing answered twice, and an end to everything.

use std::time::Duration;

use store::live::work::claim::{Claim, Claimer, Hold, Last, Told};
use store::live::work::inbox::{Answer, Inbox, News};
use store::live::work::{Headers, Message};
use store::live::{Live, Queue, WorkError, WorkKind, WorkLimits};

use crate::live::Gateways;
use crate::redis_servers::DEADLINE;

/// Limits that a story sees the end of.
pub(crate) const LIMITS: WorkLimits = WorkLimits {
    jobs: 1000,
    messages: 8,
    bytes: 4096,
    answers: 8,
    job_ms: 600_000,
    listener_ms: 600_000,
    takeover_ms: 100,
    tries: 3,
    backoff_ms: 1,
    letters: 100,
    letters_ms: 600_000,
    kept_bytes: 64,
};

/// Opens two processes with keys of their own for a story.
pub(crate) async fn all(open: impl AsyncFn(&'static str) -> Gateways) {
    what_a_job_is_told_and_answers_waits_for_its_reader(open("waits").await).await;
    a_cancel_before_the_work_begins_wins(open("early").await).await;
    a_cancel_reaches_the_worker_and_nothing_more_is_heard(open("cancel").await).await;
    a_silent_worker_loses_its_job_and_can_answer_no_more(open("fence").await).await;
    a_worker_that_gives_signs_of_life_keeps_its_job(open("alive").await).await;
    what_fails_is_tried_three_times_and_becomes_a_dead_letter(open("dead").await).await;
    a_dead_letter_can_be_tried_again(open("again").await).await;
    every_queue_has_a_size(open("full").await).await;
    of_many_workers_each_job_has_one(open("many").await).await;
    what_nobody_listens_to_ends(open("unheard").await).await;
}

pub(crate) fn queue(live: &Live, limits: WorkLimits) -> Queue {
    Queue::new(live.link().unwrap().clone(), WorkKind::Tts, limits)
}

pub(crate) fn headers() -> Headers {
    Headers {
        tenant: "acme".to_owned(),
        session: "sess_1".to_owned(),
        correlation: "turn-3".to_owned(),
    }
}

pub(crate) fn said(text: &str) -> Message {
    Message::new("say", text.as_bytes().to_vec())
}

pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(DEADLINE, work).await;
    done.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

pub(crate) async fn claimed(claimer: &mut Claimer) -> Claim {
    within("a job", async {
        loop {
            if let Some(claim) = claimer.next().await.unwrap() {
                return claim;
            }
        }
    })
    .await
}

pub(crate) async fn heard(inbox: &mut Inbox, count: usize) -> Vec<Answer> {
    within("answers", async {
        let mut all = Vec::new();
        while all.len() < count {
            match inbox.next().await {
                News::Answers(answers) => all.extend(answers),
                News::Forgotten => panic!("the listener was forgotten"),
            }
        }
        all
    })
    .await
}

async fn told(told: &mut Told, count: usize) -> Vec<Message> {
    within("what a job is told", async {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(told.next().await.unwrap().unwrap());
        }
        all
    })
    .await
}

pub(crate) fn texts(answers: &[Answer]) -> Vec<(u64, String)> {
    let text = |answer: &Answer| {
        let data = String::from_utf8(answer.message.data.to_vec()).unwrap();
        (answer.number, data)
    };
    answers.iter().map(text).collect()
}

pub(crate) fn numbered(all: &[&str]) -> Vec<(u64, String)> {
    (1..).zip(all.iter().map(|it| (*it).to_owned())).collect()
}

async fn what_a_job_is_told_and_answers_waits_for_its_reader(Gateways { one, other }: Gateways) {
    let (gateway, workers) = (queue(&one, LIMITS), queue(&other, LIMITS));
    let mut inbox = Inbox::open(&gateway, "g").await.unwrap();
    gateway
        .open("g", "j", &headers(), b"\x00\xff raw")
        .await
        .unwrap();
    let raw = Message::new("audio", vec![0, 255, 13, 10]);
    let all = [said("one"), raw, said("three")];
    gateway.tell("j", &all[..2]).await.unwrap();
    // nobody was there until now
    let mut claimer = Claimer::new(&workers, "w");
    let claim = claimed(&mut claimer).await;
    assert_eq!((claim.job.as_str(), claim.attempt), ("j", 1));
    assert_eq!(
        (&claim.headers, claim.request.as_ref()),
        (&headers(), &b"\x00\xff raw"[..])
    );
    gateway.tell("j", &all[2..]).await.unwrap();
    let mut listening = claimer.told(&claim);
    assert_eq!(told(&mut listening, 3).await, all);
    // answered to its end before anybody reads
    for (answers, last) in [
        (vec![said("a"), said("b")], Last::No),
        (vec![said("c")], Last::Yes),
    ] {
        let hold = claimer.answer(&claim, &answers, b"", last).await.unwrap();
        assert_eq!(hold, Hold::Held);
    }
    assert_eq!(within("the end", listening.next()).await.unwrap(), None);
    claimer.back(listening);
    let answers = heard(&mut inbox, 3).await;
    assert_eq!(texts(&answers), numbered(&["a", "b", "c"]));
    // over for everybody
    assert_eq!(gateway.tell("j", &all[..1]).await, Err(WorkError::Gone));
    let again = claimer.answer(&claim, &[said("d")], b"", Last::No).await;
    assert_eq!(again.unwrap(), Hold::Lost);
    assert_eq!(claimer.next().await.unwrap(), None);
    assert_eq!(gateway.standing().await.unwrap().running, 0);
    inbox.leave().await.unwrap();
}

async fn a_cancel_before_the_work_begins_wins(Gateways { one, other }: Gateways) {
    let (gateway, workers) = (queue(&one, LIMITS), queue(&other, LIMITS));
    let _inbox = Inbox::open(&gateway, "g").await.unwrap();
    gateway
        .open("g", "cancelled", &headers(), b"")
        .await
        .unwrap();
    gateway.tell("cancelled", &[said("one")]).await.unwrap();
    assert_eq!(gateway.standing().await.unwrap().waiting, 1);
    gateway.cancel("cancelled").await.unwrap();
    // nothing is remembered of it: neither the job nor the cancel
    assert_eq!(gateway.standing().await.unwrap().waiting, 0);
    assert_eq!(
        gateway.tell("cancelled", &[said("two")]).await,
        Err(WorkError::Gone)
    );
    gateway.cancel("never opened").await.unwrap();
    gateway.open("g", "next", &headers(), b"").await.unwrap();
    let claim = claimed(&mut Claimer::new(&workers, "w")).await;
    assert_eq!(claim.job, "next");
}

async fn a_cancel_reaches_the_worker_and_nothing_more_is_heard(gateways: Gateways) {
    let Gateways { one, other } = gateways;
    let (gateway, workers) = (queue(&one, LIMITS), queue(&other, LIMITS));
    let mut inbox = Inbox::open(&gateway, "g").await.unwrap();
    gateway.open("g", "j", &headers(), b"").await.unwrap();
    let mut claimer = Claimer::new(&workers, "w");
    let claim = claimed(&mut claimer).await;
    let mut listening = claimer.told(&claim);
    let answered = claimer.answer(&claim, &[said("a")], b"", Last::No).await;
    assert_eq!(answered.unwrap(), Hold::Held);
    gateway.cancel("j").await.unwrap();
    let message = told(&mut listening, 1).await.remove(0);
    assert_eq!(message.kind, Message::CANCEL);
    let late = claimer.answer(&claim, &[said("b")], b"", Last::No).await;
    assert_eq!(late.unwrap(), Hold::Unheard);
    // the first answer, and none behind it
    gateway.open("g", "k", &headers(), b"").await.unwrap();
    let claim = claimed(&mut Claimer::new(&workers, "w")).await;
    let done = claimer.answer(&claim, &[said("c")], b"", Last::Yes).await;
    assert_eq!(done.unwrap(), Hold::Held);
    let answers = heard(&mut inbox, 2).await;
    let jobs: Vec<_> = answers.iter().map(|answer| answer.job.as_str()).collect();
    assert_eq!(jobs, ["j", "k"]);
}

async fn a_silent_worker_loses_its_job_and_can_answer_no_more(Gateways { one, other }: Gateways) {
    let (gateway, workers) = (queue(&one, LIMITS), queue(&other, LIMITS));
    let mut inbox = Inbox::open(&gateway, "g").await.unwrap();
    gateway.open("g", "j", &headers(), b"").await.unwrap();
    gateway.tell("j", &[said("one")]).await.unwrap();
    let mut dead = Claimer::new(&workers, "dead");
    let first = claimed(&mut dead).await;
    let begun = dead
        .answer(&first, &[said("a")], b"piece 1", Last::No)
        .await;
    assert_eq!(begun.unwrap(), Hold::Held);
    gateway.tell("j", &[said("two")]).await.unwrap();
    let mut alive = Claimer::new(&workers, "alive");
    let second = claimed(&mut alive).await;
    assert_eq!(
        (second.job.as_str(), second.attempt, second.answered),
        ("j", 2, 1)
    );
    assert_eq!(second.progress.as_ref(), b"piece 1");
    assert_eq!(second.former.as_deref(), Some("dead"));
    let all = [said("one"), said("two")];
    assert_eq!(told(&mut alive.told(&second), 2).await, all);
    // it was only slow: it may say nothing more
    for last in [Last::No, Last::Yes] {
        let late = dead.answer(&first, &[said("again")], b"", last).await;
        assert_eq!(late.unwrap(), Hold::Lost);
    }
    assert_eq!(dead.beat(&first).await.unwrap(), Hold::Lost);
    assert!(!dead.release(&first, "late").await.unwrap());
    let done = alive.answer(&second, &[said("b")], b"", Last::Yes).await;
    assert_eq!(done.unwrap(), Hold::Held);
    assert_eq!(texts(&heard(&mut inbox, 2).await), numbered(&["a", "b"]));
}

async fn a_worker_that_gives_signs_of_life_keeps_its_job(Gateways { one, other }: Gateways) {
    let (gateway, workers) = (queue(&one, LIMITS), queue(&other, LIMITS));
    let _inbox = Inbox::open(&gateway, "g").await.unwrap();
    gateway.open("g", "j", &headers(), b"").await.unwrap();
    let mut busy = Claimer::new(&workers, "busy");
    let claim = claimed(&mut busy).await;
    let mut idle = Claimer::new(&workers, "idle");
    // each look waits several times as long as a silent worker is believed to live
    for _ in 0..3 {
        let beating = async {
            let mut turns = tokio::time::interval(Duration::from_millis(10));
            loop {
                turns.tick().await;
                assert_eq!(busy.beat(&claim).await.unwrap(), Hold::Held);
            }
        };
        tokio::select! {
            found = idle.next() => assert_eq!(found.unwrap(), None),
            () = beating => {}
        }
    }
    let done = busy.answer(&claim, &[], b"", Last::Yes).await.unwrap();
    assert_eq!(done, Hold::Held);
}

/// Lets a job fail until it is given up; how often it was begun.
async fn fail(claimer: &mut Claimer) -> u32 {
    within("the last try", async {
        let mut tries = 0;
        loop {
            let claim = claimed(claimer).await;
            tries += 1;
            assert_eq!(claim.attempt, tries);
            if claimer
                .release(&claim, &format!("reason {tries}"))
                .await
                .unwrap()
            {
                return tries;
            }
        }
    })
    .await
}

async fn what_fails_is_tried_three_times_and_becomes_a_dead_letter(gateways: Gateways) {
    let Gateways { one, other } = gateways;
    let (gateway, workers) = (queue(&one, LIMITS), queue(&other, LIMITS));
    let mut inbox = Inbox::open(&gateway, "g").await.unwrap();
    let mut claimer = Claimer::new(&workers, "w");
    gateway.open("g", "failed", &headers(), b"?").await.unwrap();
    assert_eq!(fail(&mut claimer).await, 3);
    // and one whose workers die without a word
    gateway.open("g", "killed", &headers(), b"?").await.unwrap();
    for attempt in 1..=3 {
        assert_eq!(claimed(&mut claimer).await.attempt, attempt);
    }
    within("the last worker is given up", async {
        while gateway.standing().await.unwrap().running > 0 {
            assert_eq!(claimer.next().await.unwrap(), None);
        }
    })
    .await;
    let answers = heard(&mut inbox, 2).await;
    assert!(answers.iter().all(|it| it.message.kind == Message::DEAD));
    let letters = gateway.letters(10).await.unwrap();
    let summary = letters
        .iter()
        .map(|it| (it.job.as_str(), it.reason.as_str(), it.tries.as_str()));
    assert_eq!(
        summary.collect::<Vec<_>>(),
        [
            ("killed", "worker w stopped answering", "3"),
            ("failed", "reason 3", "3")
        ]
    );
    assert_eq!(
        (letters[0].tenant.as_str(), letters[0].session.as_str()),
        ("acme", "sess_1")
    );
    let standing = gateway.standing().await.unwrap();
    assert_eq!(
        (standing.waiting, standing.running, standing.letters),
        (0, 0, 2)
    );
}

async fn a_dead_letter_can_be_tried_again(Gateways { one, other }: Gateways) {
    let (gateway, workers) = (queue(&one, LIMITS), queue(&other, LIMITS));
    let _inbox = Inbox::open(&gateway, "g").await.unwrap();
    let mut claimer = Claimer::new(&workers, "w");
    for (job, words) in [
        ("small", "short"),
        (
            "large",
            "a sentence longer than sixty-four bytes is not kept with its letter",
        ),
    ] {
        gateway.open("g", job, &headers(), b"how").await.unwrap();
        gateway.tell(job, &[said(words)]).await.unwrap();
        fail(&mut claimer).await;
    }
    let letters = gateway.letters(10).await.unwrap();
    let [large, small] = letters.as_slice() else {
        panic!("{letters:?}")
    };
    assert_eq!((large.kept, small.kept), (false, true));
    assert_eq!(gateway.reopen(&large.id, "cli").await, Err(WorkError::Gone));
    assert_eq!(gateway.reopen("1-1", "cli").await, Err(WorkError::Gone));
    let mut cli = Inbox::open(&gateway, "cli").await.unwrap();
    assert_eq!(gateway.reopen(&small.id, "cli").await.unwrap(), "small");
    let claim = claimed(&mut claimer).await;
    assert_eq!((claim.attempt, claim.request.as_ref()), (1, &b"how"[..]));
    assert_eq!(told(&mut claimer.told(&claim), 1).await, [said("short")]);
    let done = claimer
        .answer(&claim, &[said("better")], b"", Last::Yes)
        .await;
    assert_eq!(done.unwrap(), Hold::Held);
    assert_eq!(texts(&heard(&mut cli, 1).await), numbered(&["better"]));
    assert!(gateway.drop_letter(&small.id).await.unwrap());
    assert!(!gateway.drop_letter(&small.id).await.unwrap());
    assert_eq!(gateway.letters(10).await.unwrap().len(), 1);
}

async fn every_queue_has_a_size(Gateways { one, other }: Gateways) {
    let limits = WorkLimits { jobs: 2, ..LIMITS };
    let (gateway, workers) = (queue(&one, limits), queue(&other, limits));
    let mut inbox = Inbox::open(&gateway, "g").await.unwrap();
    for job in ["j", "k"] {
        gateway.open("g", job, &headers(), b"").await.unwrap();
    }
    let third = gateway.open("g", "l", &headers(), b"").await;
    assert_eq!(third, Err(WorkError::Full));
    assert!(gateway.standing().await.unwrap().waiting == 2);
    let many = vec![said("x"); 9];
    assert_eq!(gateway.tell("j", &many).await, Err(WorkError::Full));
    let large = Message::new("audio", vec![0; 5000]);
    assert_eq!(gateway.tell("j", &[large]).await, Err(WorkError::Full));
    gateway.tell("j", &many[..8]).await.unwrap();
    // a gateway that does not read is waited for
    let mut claimer = Claimer::new(&workers, "w");
    let claim = claimed(&mut claimer).await;
    let answered = claimer.answer(&claim, &many[..8], b"", Last::No).await;
    assert_eq!(answered.unwrap(), Hold::Held);
    let more = claimer.answer(&claim, &many[..1], b"", Last::No).await;
    assert_eq!(more.unwrap(), Hold::NoRoom);
    heard(&mut inbox, 8).await;
    within("room", async {
        while claimer
            .answer(&claim, &many[..1], b"", Last::No)
            .await
            .unwrap()
            == Hold::NoRoom
        {
            inbox.next().await;
        }
    })
    .await;
    // an end is always taken, and makes room for the next job
    let done = claimer.answer(&claim, &many[..9], b"", Last::Yes).await;
    assert_eq!(done.unwrap(), Hold::Held);
    gateway.open("g", "l", &headers(), b"").await.unwrap();
}

async fn of_many_workers_each_job_has_one(Gateways { one, other }: Gateways) {
    let limits = WorkLimits {
        takeover_ms: 600_000,
        ..LIMITS
    };
    let gateway = queue(&one, limits);
    let _inbox = Inbox::open(&gateway, "g").await.unwrap();
    let workers = (0..8).map(|worker| {
        let workers = queue([&one, &other][worker % 2], limits);
        tokio::spawn(async move {
            let mut claimer = Claimer::new(&workers, &format!("w{worker}"));
            let mut mine = Vec::new();
            loop {
                let Some(claim) = claimer.next().await.unwrap() else {
                    continue;
                };
                if claim.request.as_ref() == b"stop" {
                    return mine;
                }
                mine.push(claim.job);
            }
        })
    });
    let workers: Vec<_> = workers.collect();
    for job in 0..100 {
        gateway
            .open("g", &format!("j{job:03}"), &headers(), b"")
            .await
            .unwrap();
    }
    for worker in 0..8 {
        gateway
            .open("g", &format!("s{worker}"), &headers(), b"stop")
            .await
            .unwrap();
    }
    let mut all = Vec::new();
    for worker in workers {
        all.extend(within("a worker", worker).await.unwrap());
    }
    all.sort();
    let expected: Vec<_> = (0..100).map(|job| format!("j{job:03}")).collect();
    assert_eq!(all, expected);
}

async fn what_nobody_listens_to_ends(Gateways { one, other }: Gateways) {
    let (gateway, workers) = (queue(&one, LIMITS), queue(&other, LIMITS));
    let inbox = Inbox::open(&gateway, "g").await.unwrap();
    gateway.open("g", "running", &headers(), b"").await.unwrap();
    let mut claimer = Claimer::new(&workers, "w");
    let claim = claimed(&mut claimer).await;
    gateway.open("g", "waiting", &headers(), b"").await.unwrap();
    inbox.leave().await.unwrap();
    // one that is asked for before anybody listens would be forgotten without a word
    let late = gateway.open("g", "late", &headers(), b"").await;
    assert_eq!(late, Err(WorkError::Unheard));
    assert_eq!(claimer.beat(&claim).await.unwrap(), Hold::Unheard);
    assert_eq!(claimer.next().await.unwrap(), None);
    let standing = gateway.standing().await.unwrap();
    assert_eq!(
        (standing.waiting, standing.running, standing.letters),
        (0, 0, 0)
    );
}
