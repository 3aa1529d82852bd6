//! The response ladder: what of a reply the client sees, in the order of spec/realtime §1.11.
//! Called whenever a reply made progress; derives the next events from the reply's state.
//! Never shows a held reply, and never shows anything twice.

use wire::realtime::item::{ContentPart, ItemBody, Role};
use wire::realtime::response::Part;
use wire::realtime::{AudioBytes, Item, ItemStatus, ServerEvent};

use super::Session;
use super::input::{LlmNews, ReplyId, TtsNews};
use super::items::Entry;
use super::output::{Mark, Output};
use super::reply::{Call, Calling, Message, Reply, SpeakWork};
use super::respond::End;
use super::tools::{Wanted, runs_tools};
use crate::ask::Finish;

/// Turns synthesis work into outputs.
pub(super) fn push_work(reply: &Reply, work: Vec<SpeakWork>, out: &mut Vec<Output>) {
    for step in work {
        out.push(match step {
            SpeakWork::Open => Output::OpenTts(reply.id, reply.speak.clone()),
            SpeakWork::Speak(index, text) => Output::Speak {
                reply: reply.id,
                index,
                text,
            },
            SpeakWork::End => Output::EndTts(reply.id),
        });
    }
}

impl Session {
    pub(super) fn on_llm(&mut self, id: ReplyId, news: LlmNews, out: &mut Vec<Output>) {
        let Some(at) = self.replies.iter().position(|reply| reply.id == id) else {
            return;
        };
        let mut work = Vec::new();
        match news {
            LlmNews::Failed(error) => return self.fail(id, *error, out),
            LlmNews::Refused(error) => return self.refuse(id, *error, out),
            LlmNews::Text(text) => {
                let text = self.new_words(id, text);
                self.replies[at].push_text(&text, &mut work);
            }
            LlmNews::ToolCall { call_id, name } => {
                let call_id = if call_id.is_empty() {
                    self.ids.next("call")
                } else {
                    call_id
                };
                let of_server = runs_tools(&self.replies[at]) && self.server_tool(&name).is_some();
                let max_rounds = self.policy.max_tool_rounds;
                let reply = &mut self.replies[at];
                reply.calling = if of_server {
                    Calling::Server
                } else {
                    Calling::Client
                };
                if of_server && reply.rounds.len() as u32 >= max_rounds {
                    // it was told to stop calling: what it calls all the same is not run
                    return;
                }
                if of_server {
                    reply.wanted.push(Wanted {
                        call_id,
                        name,
                        arguments: String::new(),
                    });
                    return;
                }
                reply.calls.push(Call {
                    id: call_id,
                    name,
                    arguments: String::new(),
                    sent: 0,
                    opened: None,
                });
                reply.end_text(&mut work);
            }
            LlmNews::ToolArguments(json) => {
                let reply = &mut self.replies[at];
                if reply.calling == Calling::Server {
                    if let Some(call) = reply.wanted.last_mut() {
                        call.arguments.push_str(&json);
                    }
                    return;
                }
                if let Some(call) = reply.calls.last_mut() {
                    call.arguments.push_str(&json);
                }
            }
            LlmNews::Done { finish, usage } => {
                self.regain(super::output::Part::Language, out);
                let reply = &mut self.replies[at];
                reply.add_usage(usage);
                if finish != Finish::Stop {
                    // cut off in the middle of it
                    reply.wanted.clear();
                }
                if !reply.wanted.is_empty() {
                    reply.calling = Calling::Complete;
                    if !reply.is_held() {
                        self.run_tools(id, out);
                    }
                    return;
                }
                reply.finish = Some(finish);
                reply.end_text(&mut work);
            }
        }
        push_work(&self.replies[at], work, out);
        self.advance(id, out);
    }

    pub(super) fn on_tts(&mut self, id: ReplyId, news: TtsNews, out: &mut Vec<Output>) {
        let Some(reply) = self.replies.iter_mut().find(|reply| reply.id == id) else {
            return;
        };
        match news {
            TtsNews::Audio {
                index,
                rate_hz,
                samples,
            } => {
                reply.push_audio(index, rate_hz, &samples);
                self.regain(super::output::Part::Voice, out);
            }
            TtsNews::PieceDone(index) => reply.piece_done(index),
            TtsNews::Another(voice) => reply.voice.change(voice),
            TtsNews::Failed(error) => {
                self.fall_silent(id, &error, out);
                return;
            }
        }
        self.advance(id, out);
    }

    /// Emits what became visible of a reply, and ends it when nothing more can come.
    pub(super) fn advance(&mut self, id: ReplyId, out: &mut Vec<Output>) {
        let Some(at) = self.replies.iter().position(|reply| reply.id == id) else {
            return;
        };
        if self.replies[at].is_held() {
            return;
        }
        let mut reply = self.replies.remove(at);
        reply.flush_speech();
        self.show_another_voice(&mut reply, out);
        self.show_message(&mut reply, out);
        self.show_piece(&mut reply, out);
        if reply.message_complete() {
            // a message before a call was finished, whatever became of the call
            let status = if reply.calls.is_empty() {
                reply.last_status()
            } else {
                ItemStatus::Completed
            };
            self.close_message(&mut reply, status, out);
            self.show_calls(&mut reply, out);
        }
        let done = reply.finish.filter(|_| {
            !matches!(reply.message, Message::Open(..))
                && reply.message_complete()
                && reply.calls_closed == reply.calls.len()
        });
        self.replies.push(reply);
        match done {
            Some(Finish::Stop) => {
                let excuse = self.excuse_of(id);
                self.finish(id, excuse.map_or(End::Completed, End::Failed), out);
            }
            Some(Finish::Length) => self.finish(id, End::Incomplete("max_output_tokens"), out),
            Some(Finish::ContentFilter) => self.finish(id, End::Incomplete("content_filter"), out),
            None => {}
        }
    }

    fn show_message(&mut self, reply: &mut Reply, out: &mut Vec<Output>) {
        if !reply.has_unsent() {
            return;
        }
        if reply.message == Message::Unopened {
            self.open_message(reply, out);
        }
        let Message::Open(item_id, output_index) = reply.message.clone() else {
            return;
        };
        let response_id = reply.response.id.clone();
        if let Some(delta) = reply.unsent_text() {
            out.push(Output::Send(if reply.speaks() {
                ServerEvent::OutputTranscriptDelta {
                    response_id: response_id.clone(),
                    item_id: item_id.clone(),
                    output_index,
                    content_index: 0,
                    delta,
                }
            } else {
                ServerEvent::OutputTextDelta {
                    response_id: response_id.clone(),
                    item_id: item_id.clone(),
                    output_index,
                    content_index: 0,
                    delta,
                }
            }));
        }
        let max_kept = self.policy.retained_audio_bytes;
        while let Some((slice, ms)) = reply.next_slice(max_kept) {
            if reply.audio_ms() == ms {
                out.push(Output::Mark(Mark::FirstAudio));
            }
            if reply.response.conversation_id.is_some() {
                self.play(&item_id, ms);
            }
            out.push(Output::Send(ServerEvent::OutputAudioDelta {
                response_id: response_id.clone(),
                item_id: item_id.clone(),
                output_index,
                content_index: 0,
                delta: AudioBytes(slice),
            }));
        }
    }

    fn open_message(&mut self, reply: &mut Reply, out: &mut Vec<Output>) {
        out.push(Output::Mark(Mark::FirstToken));
        let item_id = self.ids.next("item");
        let item = message_item(&item_id, ItemStatus::InProgress, Vec::new());
        let output_index = self.open_item(reply, item, out);
        let part = if reply.speaks() {
            Part::Audio {
                transcript: String::new(),
            }
        } else {
            Part::Text {
                text: String::new(),
            }
        };
        out.push(Output::Send(ServerEvent::ContentPartAdded {
            response_id: reply.response.id.clone(),
            item_id: item_id.clone(),
            output_index,
            content_index: 0,
            part,
        }));
        reply.message = Message::Open(item_id, output_index);
    }

    fn open_item(&mut self, reply: &mut Reply, item: Item, out: &mut Vec<Output>) -> u32 {
        let output_index = reply.next_output_index;
        reply.next_output_index += 1;
        out.push(Output::Send(ServerEvent::OutputItemAdded {
            response_id: reply.response.id.clone(),
            output_index,
            item: item.clone(),
        }));
        if reply.response.conversation_id.is_some() {
            let mut entry = Entry::new(item.clone());
            entry.reply = Some(reply.id);
            let previous_item_id = self.conversation.push(entry);
            out.push(Output::Send(ServerEvent::ItemAdded {
                item,
                previous_item_id,
            }));
        }
        output_index
    }

    fn close_item(
        &mut self,
        reply: &mut Reply,
        output_index: u32,
        item: Item,
        out: &mut Vec<Output>,
    ) {
        if let Some(entry) = self.conversation.get_mut(&item.id) {
            let truncated = entry.is_truncated().then(|| entry.item.clone());
            entry.item = truncated.unwrap_or_else(|| item.clone());
            entry.item.status = item.status;
            let previous_item_id = self.conversation.previous_of(&item.id);
            out.push(Output::Send(ServerEvent::ItemDone {
                item: item.clone(),
                previous_item_id,
            }));
        }
        out.push(Output::Send(ServerEvent::OutputItemDone {
            response_id: reply.response.id.clone(),
            output_index,
            item: item.clone(),
        }));
        reply.response.output.push(item);
    }

    fn close_message(&mut self, reply: &mut Reply, status: ItemStatus, out: &mut Vec<Output>) {
        let Message::Open(item_id, output_index) =
            std::mem::replace(&mut reply.message, Message::Closed)
        else {
            return;
        };
        let response_id = reply.response.id.clone();
        let text = reply.sent_text().to_owned();
        let (part, content) = if reply.speaks() {
            out.push(Output::Send(ServerEvent::OutputAudioDone {
                response_id: response_id.clone(),
                item_id: item_id.clone(),
                output_index,
                content_index: 0,
            }));
            out.push(Output::Send(ServerEvent::OutputTranscriptDone {
                response_id: response_id.clone(),
                item_id: item_id.clone(),
                output_index,
                content_index: 0,
                transcript: text.clone(),
            }));
            self.record_speech(reply, &item_id);
            (
                Part::Audio {
                    transcript: text.clone(),
                },
                ContentPart::OutputAudio {
                    audio: None,
                    transcript: Some(text),
                },
            )
        } else {
            out.push(Output::Send(ServerEvent::OutputTextDone {
                response_id: response_id.clone(),
                item_id: item_id.clone(),
                output_index,
                content_index: 0,
                text: text.clone(),
            }));
            (
                Part::Text { text: text.clone() },
                ContentPart::OutputText { text },
            )
        };
        out.push(Output::Send(ServerEvent::ContentPartDone {
            response_id,
            item_id: item_id.clone(),
            output_index,
            content_index: 0,
            part,
        }));
        let item = message_item(&item_id, status, vec![content]);
        self.close_item(reply, output_index, item, out);
    }

    /// Puts what was spoken so far on record: alignment, duration, audio.
    pub(super) fn record_speech(&mut self, reply: &Reply, item_id: &str) {
        let (audio, audio_ms) = (reply.kept_audio(), reply.audio_ms());
        if let Some(entry) = self.conversation.get_mut(item_id)
            && !entry.is_truncated()
        {
            entry.pieces = reply.alignment();
            entry.format = reply.format();
            self.conversation.set_audio(item_id, audio, audio_ms);
        }
    }

    fn show_calls(&mut self, reply: &mut Reply, out: &mut Vec<Output>) {
        while reply.calls_closed < reply.calls.len() {
            let at = reply.calls_closed;
            let last = at + 1 == reply.calls.len();
            self.show_call(reply, at, out);
            if last && reply.finish.is_none() {
                return;
            }
            let status = if last {
                reply.last_status()
            } else {
                ItemStatus::Completed
            };
            self.close_call(reply, at, status, out);
        }
    }

    fn show_call(&mut self, reply: &mut Reply, at: usize, out: &mut Vec<Output>) {
        if reply.calls[at].opened.is_none() {
            if at == 0 && reply.message == Message::Unopened {
                out.push(Output::Mark(Mark::FirstToken));
            }
            let item_id = self.ids.next("item");
            let item = call_item(&item_id, ItemStatus::InProgress, &reply.calls[at], "");
            let output_index = self.open_item(reply, item, out);
            reply.calls[at].opened = Some((item_id, output_index));
        }
        let response_id = reply.response.id.clone();
        let call = &mut reply.calls[at];
        let Some((item_id, output_index)) = call.opened.clone() else {
            return;
        };
        let Some(delta) = call
            .arguments
            .get(call.sent..)
            .filter(|rest| !rest.is_empty())
        else {
            return;
        };
        out.push(Output::Send(ServerEvent::FunctionArgumentsDelta {
            response_id,
            item_id,
            output_index,
            call_id: call.id.clone(),
            delta: delta.to_owned(),
        }));
        call.sent = call.arguments.len();
    }

    fn close_call(
        &mut self,
        reply: &mut Reply,
        at: usize,
        status: ItemStatus,
        out: &mut Vec<Output>,
    ) {
        reply.calls_closed = at + 1;
        let call = &reply.calls[at];
        let Some((item_id, output_index)) = call.opened.clone() else {
            return;
        };
        // a cut-off call must not be run: only a complete one says done
        if status == ItemStatus::Completed {
            out.push(Output::Send(ServerEvent::FunctionArgumentsDone {
                response_id: reply.response.id.clone(),
                item_id: item_id.clone(),
                output_index,
                call_id: call.id.clone(),
                name: call.name.clone(),
                arguments: call.arguments.clone(),
            }));
        }
        let item = call_item(&item_id, status, call, &call.arguments);
        self.close_item(reply, output_index, item, out);
    }

    /// Closes what is open, in ladder order.
    pub(super) fn close_open_items(
        &mut self,
        reply: &mut Reply,
        status: ItemStatus,
        out: &mut Vec<Output>,
    ) {
        self.close_message(reply, status, out);
        if reply
            .calls
            .get(reply.calls_closed)
            .is_some_and(|call| call.opened.is_some())
        {
            self.close_call(reply, reply.calls_closed, status, out);
        }
    }
}

fn message_item(id: &str, status: ItemStatus, content: Vec<ContentPart>) -> Item {
    Item::new(
        id,
        status,
        ItemBody::Message {
            role: Role::Assistant,
            content,
        },
    )
}

fn call_item(id: &str, status: ItemStatus, call: &Call, arguments: &str) -> Item {
    Item::new(
        id,
        status,
        ItemBody::FunctionCall {
            name: call.name.clone(),
            call_id: call.id.clone(),
            arguments: arguments.to_owned(),
        },
    )
}
