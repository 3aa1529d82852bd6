//! Chat rooms with many listeners: messages told a second, and how long each takes to reach everybody.
//! The mode `rooms`; the same for our server and for the peer of `tests/bench/rooms`.
//! It signs its own tokens, and counts what comes twice, out of order or not at all.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _, future::join_all, stream::SplitSink};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    Rooms,
    caller::ms,
    report::Report,
    server::{Process, Usage},
    target::{Socket, Target},
};

/// Sockets opened at the same time.
const AT_ONCE: usize = 50;
/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one listener has heard.
#[derive(Debug, Default)]
struct Heard {
    delays_ms: Vec<f64>,
    last: Option<usize>,
    twice: usize,
    disordered: usize,
}

/// Opens the rooms, lets one socket of each speak, and reports.
pub(crate) async fn run(target: &Target, rooms: &Rooms, report: &mut Report) -> anyhow::Result<()> {
    ensure!(
        rooms.rooms > 0 && rooms.listeners > 0,
        "at least one room and one listener"
    );
    let process = target.server_pid.map(Process::new);
    let before = process.map(Process::read).transpose()?;
    let mut sockets = open_all(target, rooms).await?;
    tokio::time::sleep(Duration::from_millis(rooms.settle_ms)).await;
    let all = rooms.rooms * rooms.listeners;
    report.value("rooms", rooms.rooms);
    report.value("sockets", all);
    if let (Some(before), Some(during)) = (before, process.map(Process::read).transpose()?) {
        let grown = during.rss_kb.saturating_sub(before.rss_kb);
        report.value("server_rss_before_mb", before.rss_kb as f64 / 1024.0);
        report.value("server_rss_open_mb", during.rss_kb as f64 / 1024.0);
        report.value("server_kb_per_socket", grown as f64 / all as f64);
    }
    if rooms.messages == 0 {
        return report.finish();
    }
    let begun = Instant::now();
    let talking = async {
        let (done, over) = watch::channel(0_usize);
        let done = Arc::new(done);
        let (mut listeners, mut speakers) = (JoinSet::new(), JoinSet::new());
        for (room, sockets) in sockets.drain(..).enumerate() {
            let window = Arc::new(Semaphore::new(rooms.window));
            let mut sockets = sockets.into_iter();
            let first = sockets.next().context("a room without sockets")?;
            let (sink, stream) = first.split();
            speakers.spawn(speak(
                sink,
                Arc::clone(&window),
                (rooms.clone(), room),
                begun,
            ));
            listeners.spawn(listen(
                stream,
                Some(window),
                rooms.messages,
                (begun, Arc::clone(&done)),
            ));
            for socket in sockets {
                let (sink, stream) = socket.split();
                let (done, messages) = (Arc::clone(&done), rooms.messages);
                listeners.spawn(async move {
                    // the way out stays open for as long as somebody listens
                    let _sink = sink;
                    listen(stream, None, messages, (begun, done)).await
                });
            }
        }
        let told = finish(listeners, speakers, over).await?;
        anyhow::Ok((told, begun.elapsed()))
    };
    let (told, usage) = Usage::during(target.server_pid, talking).await?;
    let (heard, took) = told?;
    tell(&heard, (rooms, took), report);
    if let Some(usage) = usage {
        usage.tell(all, report)?;
    }
    report.finish()
}

/// All sockets, by room.
async fn open_all(target: &Target, rooms: &Rooms) -> anyhow::Result<Vec<Vec<Socket>>> {
    let mut all = Vec::with_capacity(rooms.rooms);
    let numbers: Vec<(usize, usize)> = (0..rooms.rooms)
        .flat_map(|room| (0..rooms.listeners).map(move |listener| (room, listener)))
        .collect();
    all.resize_with(rooms.rooms, Vec::new);
    for some in numbers.chunks(AT_ONCE) {
        let opened = join_all(some.iter().map(|at| open(target, rooms, *at))).await;
        for ((room, _), socket) in some.iter().zip(opened) {
            all[*room].push(socket?);
        }
    }
    Ok(all)
}

async fn open(
    target: &Target,
    rooms: &Rooms,
    (room, listener): (usize, usize),
) -> anyhow::Result<Socket> {
    let claims = json!({ "userId": format!("u{room}_{listener}"), "chatId": format!("bench-{room}"), "isAuthenticated": true });
    let key = EncodingKey::from_secret(rooms.secret.as_bytes());
    let token = encode(&Header::default(), &claims, &key).context("sign a token")?;
    let mut target = target.clone();
    target.path = format!("{}?token={token}", rooms.path);
    let mut socket = target.open().await?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.contains(r#""connected""#) => return Ok(socket),
            Some(Ok(Message::Close(frame))) => bail!("the server closed the connection: {frame:?}"),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error).context("the connection broke"),
            None => bail!("the server closed the connection"),
        }
    }
}

/// Says everything, with at most so many messages on their way, or so many a second.
async fn speak(
    mut sink: SplitSink<Socket, Message>,
    window: Arc<Semaphore>,
    (rooms, room): (Rooms, usize),
    begun: Instant,
) -> anyhow::Result<()> {
    let filler = "x".repeat(rooms.bytes);
    let every = (rooms.per_second > 0.0).then(|| Duration::from_secs_f64(1.0 / rooms.per_second));
    // rooms do not all speak in the same instant
    let offset = every.map(|every| every.mul_f64(room as f64 / rooms.rooms as f64));
    let first = Instant::now() + offset.unwrap_or_default();
    for number in 0..rooms.messages {
        if let Some(every) = every {
            tokio::time::sleep_until(first + every.mul_f64(number as f64)).await;
        }
        window.acquire().await.context("nobody listens")?.forget();
        let sent_us = begun.elapsed().as_micros();
        let message = format!(
            r##"{{"type":"message","content":"#{number} {sent_us} {filler}","role":"ASSISTANT"}}"##
        );
        sink.send(Message::text(message))
            .await
            .context("say something")?;
    }
    Ok(())
}

/// Hears everything, or as much as comes.
async fn listen(
    mut stream: impl futures_util::Stream<Item = Result<Message, tokio_tungstenite::tungstenite::Error>>
    + Unpin,
    window: Option<Arc<Semaphore>>,
    messages: usize,
    (begun, done): (Instant, Arc<watch::Sender<usize>>),
) -> Heard {
    let mut heard = Heard::default();
    while heard.last.is_none_or(|last| last + 1 < messages) {
        let Some(Ok(message)) = stream.next().await else {
            break;
        };
        let Message::Text(text) = message else {
            continue;
        };
        let Some((number, sent_us)) = stamp(&text) else {
            continue;
        };
        match heard.last {
            Some(last) if number <= last => {
                heard.twice += 1;
                continue;
            }
            Some(last) if number > last + 1 => heard.disordered += 1,
            None if number > 0 => heard.disordered += 1,
            _ => {}
        }
        heard.last = Some(number);
        heard
            .delays_ms
            .push(ms(begun.elapsed()) - sent_us as f64 / 1000.0);
        if let Some(window) = &window {
            window.add_permits(1);
        }
    }
    done.send_modify(|done| *done += 1);
    // a socket that is dropped here is reset while others still listen: it is kept until all are done
    heard
}

/// Number and time of a message of ours.
fn stamp(text: &str) -> Option<(usize, u64)> {
    let (_, rest) = text.split_once(r##""content":"#"##)?;
    let mut words = rest.split([' ', '"']);
    let number = words.next()?.parse().ok()?;
    Some((number, words.next()?.parse().ok()?))
}

async fn finish(
    mut listeners: JoinSet<Heard>,
    mut speakers: JoinSet<anyhow::Result<()>>,
    mut over: watch::Receiver<usize>,
) -> anyhow::Result<Vec<Heard>> {
    let count = listeners.len();
    while let Some(spoken) = speakers.join_next().await {
        spoken.context("a speaker broke off")??;
    }
    // what is lost is not waited for for ever
    let all = over.wait_for(|done| *done == count);
    let _ = tokio::time::timeout(PATIENCE, all).await;
    let mut heard = Vec::with_capacity(count);
    while let Some(listened) = listeners.try_join_next() {
        heard.push(listened.context("a listener broke off")?);
    }
    listeners.abort_all();
    Ok(heard)
}

fn tell(heard: &[Heard], (rooms, took): (&Rooms, Duration), report: &mut Report) {
    let delays: Vec<f64> = heard
        .iter()
        .flat_map(|it| it.delays_ms.iter().copied())
        .collect();
    let expected = rooms.rooms * rooms.listeners * rooms.messages;
    report.value("messages_said", rooms.rooms * rooms.messages);
    report.value("messages_told", delays.len());
    report.value("missing", expected.saturating_sub(delays.len()));
    report.value("twice", heard.iter().map(|it| it.twice).sum::<usize>());
    report.value(
        "out_of_order",
        heard.iter().map(|it| it.disordered).sum::<usize>(),
    );
    report.value("seconds", took.as_secs_f64());
    report.value(
        "told_per_s",
        delays.len() as f64 / took.as_secs_f64().max(0.001),
    );
    report.spread("delay_ms", &delays);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_ours_is_known_by_its_stamp() {
        let text =
            r##"{"type":"message","data":{"id":"m","content":"#17 4711 xxx","role":"assistant"}}"##;
        assert_eq!(stamp(text), Some((17, 4711)));
        assert_eq!(stamp(r#"{"type":"pong"}"#), None);
        assert_eq!(stamp(r#"{"content":"hello"}"#), None);
    }
}
