//! The other half of the conversation: what the server says, and what the connection asks of it.
//! Driven by [`crate::duplex::live`].
//! Never takes a turn that was interrupted for the one that follows it.

use std::time::Duration;

use engine::ask::{DuplexCommand, Finish};

use super::{Activity, Call, Conversation, Late, Link, Progress, Void};
use crate::{
    Kind, ProviderError,
    duplex::{
        gemini::{
            answer::{Answer, Apart, Come},
            read::{self, Content, ToolCall},
        },
        live::{Out, Taken, Upstream, nonsense},
    },
    failure,
    ports::DuplexEvent,
    ws::Closing,
};

impl Conversation {
    fn content(&mut self, content: Content, out: &mut Out) -> Result<Taken, ProviderError> {
        if let Some(words) = content.input_transcription {
            self.words
                .push_str(words.text.as_deref().unwrap_or_default());
            if words.finished == Some(true) {
                self.settle(false, out);
            }
        }
        let interrupted = content.interrupted == Some(true);
        if interrupted {
            // what has not begun was not interrupted: it is the turn before that was
            let none = |answer: &Answer| answer.come == Come::Nothing;
            if self.void == Void::Running || self.answer.as_ref().is_some_and(none) {
                self.void = Void::Interrupted;
            }
        }
        let parts = content.model_turn.map_or_else(Vec::new, |turn| turn.parts);
        let speech: Vec<_> = parts
            .into_iter()
            .filter_map(|part| part.inline_data)
            .collect();
        let words = content.output_transcription.and_then(|words| words.text);
        let says = !speech.is_empty() || words.is_some();
        if says
            && self.counts()
            && let Some(answer) = &mut self.answer
        {
            for blob in &speech {
                let spoken = answer.speak(blob, out);
                spoken.ok_or_else(|| nonsense(&self.inner.name))?;
            }
            answer.say(words.unwrap_or_default(), out);
        }
        let generated = content.generation_complete == Some(true);
        if generated {
            if self.counts()
                && let Some(answer) = &mut self.answer
            {
                answer.come = Come::All;
            }
            self.settle(false, out);
        }
        let complete = content.turn_complete == Some(true);
        if complete {
            self.turn_complete(content.turn_complete_reason.as_deref(), out);
        }
        Ok(if says || interrupted || generated || complete {
            Taken::Progress
        } else {
            Taken::Aside
        })
    }

    fn turn_complete(&mut self, reason: Option<&str>, out: &mut Out) {
        if self.void != Void::None {
            self.void = Void::None;
            self.turn_is_open = self.answer.is_some();
            self.late = Late::Count;
            return self.end_cancelled(out);
        }
        self.turn_is_open = false;
        self.settle(false, out);
        // https://googleapis.github.io/python-genai/genai.html#genai.types.TurnCompleteReason
        match reason.unwrap_or_default() {
            "MALFORMED_FUNCTION_CALL" => self.fail_answer(out),
            reason if reason.contains("REJECTED") || reason.contains("PROHIBITED") => {
                self.end_answer(Finish::ContentFilter, out);
            }
            _ => self.end_answer(Finish::Stop, out),
        }
    }

    /// The model stumbled: what was asked has no answer.
    fn fail_answer(&mut self, out: &mut Out) {
        if let Some(answer) = self.answer.take() {
            let message = "the model made a call that is none";
            let name = self.inner.name.to_string();
            out.tell.push_back(DuplexEvent::Failed {
                reply: answer.reply,
                error: ProviderError::new(name, Kind::Unavailable, message),
                usage: self.take_usage(answer.come),
            });
        }
        self.catch_up(out);
    }

    /// An answer ends with its calls: the turn goes on when they have their output.
    fn call(&mut self, told: ToolCall, out: &mut Out) {
        if !self.counts() {
            return;
        }
        let Some(reply) = self.answer.as_ref().map(|answer| answer.reply) else {
            return;
        };
        for call in told.function_calls {
            let arguments = call.args.unwrap_or_else(|| serde_json::json!({}));
            let arguments = arguments.to_string();
            out.tell.push_back(DuplexEvent::ToolCall {
                reply,
                call_id: call.id.clone(),
                name: call.name.clone(),
            });
            out.tell.push_back(DuplexEvent::ToolArguments {
                reply,
                json: arguments.clone(),
            });
            self.calls.push(Call {
                id: call.id,
                name: call.name,
                arguments,
                output: None,
            });
        }
        self.settle(false, out);
        self.end_answer(Finish::Stop, out);
    }

    /// Whether nothing is under way that another connection would have to begin anew.
    fn is_quiet(&self) -> bool {
        self.answer.is_none()
            && self.activity == Activity::Closed
            && self.later.is_empty()
            && self.calls.is_empty()
            && self.apart.values().all(Apart::is_over)
    }
}

impl Upstream for Conversation {
    fn begin(&mut self) -> Vec<String> {
        self.link = Link::Opening;
        self.activity = Activity::Closed;
        vec![self.setup(&self.options).to_string()]
    }

    fn is_ready(&self) -> bool {
        self.link != Link::Opening
    }

    fn obey(&mut self, command: DuplexCommand, out: &mut Out) {
        let waits = matches!(
            command,
            DuplexCommand::Audio(_)
                | DuplexCommand::Commit(_)
                | DuplexCommand::Discard
                | DuplexCommand::Add(_)
        );
        if self.progress == Progress::Ready && !matches!(command, DuplexCommand::Configure(_)) {
            self.progress = Progress::Begun;
            self.history.clear();
        }
        if waits && self.answer.is_some() {
            return self.wait(command);
        }
        match command {
            DuplexCommand::Configure(options) => self.configure(*options),
            DuplexCommand::Audio(audio) => self.hear(&audio, out),
            DuplexCommand::Commit(utterance) => self.commit(utterance, out),
            DuplexCommand::Discard if self.activity == Activity::Open => {
                self.activity = Activity::Discarded;
            }
            DuplexCommand::Discard => {}
            DuplexCommand::Add(item) => self.add(&item),
            DuplexCommand::Reply(reply, wanted) => self.reply(reply, *wanted, out),
            DuplexCommand::Cancel(reply) => self.cancel(reply, out),
            DuplexCommand::Heard { text, .. } => self.pending.push(super::turns::heard(&text)),
        }
    }

    fn take(&mut self, text: &str, out: &mut Out) -> Result<Taken, ProviderError> {
        let message = read::message(text).ok_or_else(|| nonsense(&self.inner.name))?;
        if let Some(error) = message.error {
            return Err(failure::of_event(&self.inner.name, &error));
        }
        let mut taken = Taken::Aside;
        if message.setup_complete.is_some() && !self.is_ready() {
            self.made_ready(out);
        }
        if let Some(told) = &message.usage_metadata {
            let late = self.answer.is_none() || self.void != Void::None;
            if !late || self.late == Late::Count {
                read::add(&mut self.usage, read::usage(told));
            }
        }
        if message.go_away.is_some() {
            self.leaving = Some("the server is about to close the connection");
        }
        if let Some(cancelled) = message.tool_call_cancellation {
            let void = |call: &mut Call| cancelled.ids.contains(&call.id);
            let calls: Vec<Call> = self.calls.extract_if(.., void).collect();
            for call in calls {
                self.forget(call);
            }
            if self.void == Void::Running {
                self.void = Void::Interrupted;
            }
        }
        if let Some(content) = message.server_content {
            taken = self.content(content, out)?;
        }
        if let Some(told) = message.tool_call {
            taken = Taken::Progress;
            self.call(told, out);
        }
        Ok(taken)
    }

    /// Whoever has to leave does not begin anything new.
    fn waits(&self) -> bool {
        self.leaving.is_some() && self.is_quiet()
    }

    fn patience(&self) -> Option<Duration> {
        self.answer.as_ref().map(Answer::patience)
    }

    fn begins_again(&self) -> bool {
        self.link == Link::Outdated
    }

    fn leaves(&self, _age: Duration) -> Option<ProviderError> {
        let reason = self.leaving.filter(|_| self.is_quiet())?;
        let name = self.inner.name.to_string();
        Some(ProviderError::new(name, Kind::Unavailable, reason))
    }

    /// Refusals come as closings, and only their words tell what is refused: 1007 for a key or a field that is wrong,
    /// 1008 for a model that is not there, 1011 for a quota that is used up.
    fn closed(&self, closing: &Closing) -> Kind {
        let mentions = |words: [&str; 2]| words.iter().any(|words| closing.mentions(words));
        if mentions(["api key", "api_key"]) || mentions(["permission", "billing"]) {
            Kind::Unauthorized
        } else if mentions(["quota", "exhausted"]) {
            Kind::RateLimited
        } else if !self.is_ready() && matches!(closing.code, 1003 | 1007 | 1008) {
            Kind::Rejected
        } else {
            Kind::Unavailable
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
