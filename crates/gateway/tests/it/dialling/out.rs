//! A call that was placed, on the carrier's side: what it tells of it, where it was asked to, signed as it signs; and how it asks for
//! the answer document.
//! Used by the stories of `callbacks`; the call itself is the REST fake's in `carriers`.
//! Never tells what a carrier has no word for: Exotel says nothing of machines, Telnyx gets its stream with the call.

use gateway::config::{CarrierAccount, Secret};
use reqwest::StatusCode;
use serde_json::{Value, json};
use wire::telephony::Dialect;

use super::{EXTERNAL, FROM, TO};
use crate::carrier::document::Document;
use crate::carrier::{Brand, Call, EXOTEL_NAME, TOKEN, sign};
use crate::carriers::{ACCOUNT, Fake, Placed, SECRET, private_key};
use crate::world::World;

/// Carriers that place calls.
pub(super) const PLACING: [Brand; 6] = [
    Brand::Twilio,
    Brand::SignalWire,
    Brand::Telnyx,
    Brand::Plivo,
    Brand::Vonage,
    Brand::Exotel,
];

const fn dialect(brand: Brand) -> Dialect {
    match brand {
        Brand::SignalWire => Dialect::SignalWire,
        Brand::Telnyx => Dialect::Telnyx,
        Brand::Plivo => Dialect::Plivo,
        Brand::Vonage => Dialect::Vonage,
        Brand::Exotel => Dialect::Exotel,
        _ => Dialect::Twilio,
    }
}

/// A server with an account at this carrier.
pub(super) async fn world(brand: Brand) -> (World, Fake) {
    let fake = Fake::start(dialect(brand), chrono::Utc::now()).await;
    fake.with(|book| book.per_second = 100);
    let world = World::start(|config| {
        crate::carrier::account(config, brand);
        config.telephony.numbers.clear();
        config.scripted.transcripts = vec!["what is new".to_owned()];
        let account = config.telephony.accounts.get_mut(brand.name()).unwrap();
        reachable(account, brand, &fake.base);
        config.telephony.external_url = Some(EXTERNAL.to_owned());
        config.dialling.require_consent = false;
        config.dialling.opens = "00:00".to_owned();
        config.dialling.closes = "24:00".to_owned();
        config.dialling.summary_pipeline = Some("none".to_owned());
    })
    .await;
    let ahead = chrono::TimeDelta::seconds(30);
    fake.with(|book| book.now = world.app().clock.utc() + ahead);
    (world, fake)
}

/// What calls are placed with, beside what is checked.
fn reachable(account: &mut CarrierAccount, brand: Brand, base: &str) {
    account.account_id = Some(ACCOUNT.to_owned());
    account.base_url = Some(base.to_owned());
    account.calls_per_second = 100;
    account.number = Some(FROM.to_owned());
    account.auth_token = Some(Secret::new(match brand {
        Brand::Vonage => private_key(),
        _ => SECRET.to_owned(),
    }));
    let flow = format!("http://my.exotel.com/{ACCOUNT}/exoml/start_voice/1");
    account.flow_url = (brand == Brand::Exotel).then_some(flow);
}

/// A call that we placed, on the carrier's side.
pub(super) struct Out<'a> {
    pub(super) call: Call<'a>,
    pub(super) placed: Placed,
}

/// What the carrier has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Ringing,
    Answered,
    Human,
    Machine,
    Busy,
    NoAnswer,
    Completed,
}

impl<'a> Out<'a> {
    pub(super) fn new(world: &'a World, brand: Brand, placed: Placed) -> Self {
        let mut call = Call::new(world, brand, 1);
        call.sid.clone_from(&placed.id);
        call.to = TO.to_owned();
        Self { call, placed }
    }

    /// What its requests are signed with.
    pub(super) const fn secret(&self) -> &'static str {
        match self.call.brand {
            Brand::Twilio | Brand::SignalWire | Brand::Plivo => SECRET,
            _ => TOKEN,
        }
    }

    /// A field of the request that placed the call, of which Vonage wants a list.
    pub(super) fn address(&self, name: &str) -> String {
        let text = self.placed.field(name);
        let list: Result<Vec<String>, _> = serde_json::from_str(text);
        list.map_or_else(|_| text.to_owned(), |mut list| list.remove(0))
    }

    /// Tells news where they were asked for; nothing where the carrier has no such news.
    pub(super) async fn tells(&self, news: News) {
        let response = match self.call.brand {
            Brand::Telnyx => {
                let (url, body) = (self.address("webhook_url"), self.telnyx(news));
                self.call.post_json(&url, body.to_string(), TOKEN).await
            }
            _ => match self.form(news) {
                Some((url, fields)) if self.call.brand == Brand::Exotel => {
                    // it proves nothing here: the address is the proof
                    let form = url::form_urlencoded::Serializer::new(String::new())
                        .extend_pairs(&fields)
                        .finish();
                    let kind = "application/x-www-form-urlencoded";
                    self.call.send(&url, (kind, form), Vec::new()).await
                }
                Some((url, fields)) => self.call.post_under(&url, &fields, self.secret()).await,
                None => return,
            },
        };
        let brand = self.call.brand;
        assert_eq!(response.status(), StatusCode::OK, "{brand:?} {news:?}");
        let taken: Value = response.json().await.unwrap();
        assert_eq!(taken, json!({ "success": true }));
    }

    pub(super) fn telnyx(&self, news: News) -> Value {
        let (event, more) = match news {
            News::Ringing => ("call.initiated", json!({ "state": "bridging" })),
            News::Answered => ("call.answered", json!({})),
            News::Human => ("call.machine.detection.ended", json!({ "result": "human" })),
            News::Machine => (
                "call.machine.detection.ended",
                json!({ "result": "machine" }),
            ),
            News::Busy => ("call.hangup", json!({ "hangup_cause": "user_busy" })),
            News::NoAnswer => ("call.hangup", json!({ "hangup_cause": "timeout" })),
            News::Completed => ("call.hangup", json!({ "hangup_cause": "normal_clearing" })),
        };
        let mut payload = json!({
            "call_control_id": self.placed.id, "call_leg_id": "leg", "call_session_id": "session",
            "connection_id": ACCOUNT, "client_state": self.placed.field("client_state"),
            "from": FROM, "to": TO,
        });
        for (name, value) in more.as_object().unwrap() {
            payload[name] = value.clone();
        }
        json!({ "data": { "event_type": event, "id": format!("{news:?}"), "record_type": "event",
            "occurred_at": "2026-01-02T03:04:05.000000Z", "payload": payload } })
    }

    pub(super) fn form(&self, news: News) -> Option<(String, Vec<(String, String)>)> {
        let (id, from, to) = (&self.placed.id, &self.placed.from, &self.placed.to);
        let (url, fields): (String, Vec<(&str, &str)>) = match self.call.brand {
            Brand::Plivo => {
                let (name, event, word) = match news {
                    News::Ringing => ("ring_url", "Ring", "ringing"),
                    News::Human | News::Machine => {
                        ("machine_detection_url", "MachineDetection", "in-progress")
                    }
                    News::Busy => ("hangup_url", "Hangup", "busy"),
                    News::NoAnswer => ("hangup_url", "Hangup", "no-answer"),
                    News::Completed => ("hangup_url", "Hangup", "completed"),
                    News::Answered => return None,
                };
                let machine = if news == News::Machine {
                    "true"
                } else {
                    "false"
                };
                let mut fields = vec![
                    ("RequestUUID", id.as_str()),
                    ("CallUUID", id),
                    ("ALegUUID", id),
                    ("Event", event),
                    ("CallStatus", word),
                    ("Direction", "outbound"),
                    ("From", from),
                    ("To", to),
                ];
                if event == "MachineDetection" {
                    fields.push(("Machine", machine));
                }
                (self.address(name), fields)
            }
            Brand::Vonage => {
                let word = match news {
                    News::Ringing => "ringing",
                    News::Answered => "answered",
                    News::Human => "human",
                    News::Machine => "machine",
                    News::Busy => "busy",
                    News::NoAnswer => "unanswered",
                    News::Completed => "completed",
                };
                let fields = vec![
                    ("uuid", id.as_str()),
                    ("conversation_uuid", "CON-1"),
                    ("status", word),
                    ("direction", "outbound"),
                    ("from", from),
                    ("to", to),
                    ("timestamp", "2026-01-02T03:04:05.000Z"),
                ];
                (self.address("event_url"), fields)
            }
            Brand::Exotel => {
                let (event, word) = match news {
                    News::Answered => ("answered", "in-progress"),
                    News::Busy => ("terminal", "busy"),
                    News::NoAnswer => ("terminal", "no-answer"),
                    News::Completed => ("terminal", "completed"),
                    News::Ringing | News::Human | News::Machine => return None,
                };
                let fields = vec![
                    ("CallSid", id.as_str()),
                    ("EventType", event),
                    ("Status", word),
                    ("Direction", "outbound-api"),
                    ("From", to),
                    ("To", from),
                    ("CustomField", self.placed.field("CustomField")),
                ];
                (self.address("StatusCallback"), fields)
            }
            _ => {
                let (name, word, sequence) = match news {
                    News::Ringing => ("CallStatus", "ringing", "1"),
                    News::Answered => ("CallStatus", "in-progress", "2"),
                    News::Busy => ("CallStatus", "busy", "3"),
                    News::NoAnswer => ("CallStatus", "no-answer", "3"),
                    News::Completed => ("CallStatus", "completed", "3"),
                    News::Human => ("AnsweredBy", "human", ""),
                    News::Machine => ("AnsweredBy", "machine_start", ""),
                };
                let verdict = name == "AnsweredBy";
                let mut fields = vec![("AccountSid", ACCOUNT), ("CallSid", id), (name, word)];
                if verdict {
                    fields.push(("MachineDetectionDuration", "2400"));
                    (self.address("AsyncAmdStatusCallback"), fields)
                } else {
                    fields.extend([
                        ("Direction", "outbound-api"),
                        ("From", from.as_str()),
                        ("To", to),
                        ("SequenceNumber", sequence),
                        ("CallbackSource", "call-progress-events"),
                    ]);
                    (self.address("StatusCallback"), fields)
                }
            }
        };
        let owned = fields.into_iter();
        let owned = owned.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some((url, owned.collect()))
    }

    /// Asks what to do with the call now that somebody answered.
    pub(super) async fn document(&self) -> Document {
        let brand = self.call.brand;
        let name = match brand {
            // it was given the stream with the call
            Brand::Telnyx => {
                let mut document = Document::fixed(self.address("stream_url"));
                document.client_state = Some(self.address("client_state"));
                return document;
            }
            Brand::Exotel => return self.flow().await,
            Brand::Plivo | Brand::Vonage => "answer_url",
            _ => "Url",
        };
        let fields = self.call.fields("in-progress");
        let url = self.address(name);
        let response = self.call.post_under(&url, &fields, self.secret()).await;
        assert_eq!(response.status(), StatusCode::OK, "{brand:?}");
        let text = response.text().await.unwrap();
        if brand == Brand::Vonage {
            Document::of_json(&text)
        } else {
            Document::parse(&text)
        }
    }

    /// Exotel's flow asks at the address that all of its calls share.
    async fn flow(&self) -> Document {
        let fields = [
            ("CallSid", self.placed.id.as_str()),
            ("CallFrom", &self.placed.to),
            ("CallTo", &self.placed.from),
            ("Direction", "outbound-dial"),
            ("CustomField", self.placed.field("CustomField")),
        ];
        let url = format!("{EXTERNAL}/telephony/exotel/answer");
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let kind = "application/x-www-form-urlencoded";
        let proof = sign::basic(EXOTEL_NAME, TOKEN);
        let response = self.call.send(&url, (kind, form), proof).await;
        assert_eq!(response.status(), StatusCode::OK);
        Document::of_json(&response.text().await.unwrap())
    }
}
