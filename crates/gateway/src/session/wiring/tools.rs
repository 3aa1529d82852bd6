//! Functions of the server in their tasks, and the questions to MCP servers what they have.
//! Part of the session's wiring.
//! Never lets a server that was left say anything more.

use std::sync::Arc;

use engine::ask::{ToolCall, ToolOutcome};
use engine::session::{Input, RunId};
use providers::tools::{McpServer, Runnable};
use tokio::sync::mpsc;
use wire::realtime::session::Tool;

use super::{Task, Wiring};
use crate::observe::Event;
use crate::session::toolbox::Listing;

impl Wiring {
    /// Asks MCP servers what they have, as far as they have not told and are not being asked.
    pub(in crate::session) fn start_tools(&mut self) {
        for (label, server) in self.toolbox.unlisted() {
            if !self.listing.contains_key(&label) {
                self.list(label, server);
            }
        }
    }

    /// The client's MCP servers are these.
    pub(in crate::session) fn list_tools(&mut self, wanted: Vec<Tool>) {
        let (left, problems) = self.toolbox.name_servers(wanted);
        for label in left {
            // dropping the task ends it
            self.listing.remove(&label);
        }
        let problems = problems.into_iter().map(Box::new).map(Input::Problem);
        self.failures.extend(problems);
        self.start_tools();
    }

    fn list(&mut self, label: String, server: Arc<McpServer>) {
        let (news, listed) = (self.sender(), self.listed.sender());
        let listing_of = label.clone();
        let task = self.lifecycle.spawn(async move {
            let found = server.tools().await;
            let listing = Listing {
                label: listing_of,
                server,
                listed: found,
            };
            // the session may have gone away meanwhile
            if listed.send(listing).await.is_ok() {
                // it looks after every input whether something was listed
                let _ = news.send(Input::Tick).await;
            }
        });
        self.listing.insert(label, Task(task.abort_handle()));
    }

    /// What the engine must be told of a server that has answered.
    pub(super) fn next_listing(&mut self) -> Option<Input> {
        while let Some(Ok(listing)) = self.listed.receiver().map(mpsc::Receiver::try_recv) {
            let cause = listing.listed.as_ref().err().map(ToString::to_string);
            let label = listing.label.clone();
            if !self.toolbox.is_current(&listing) {
                continue;
            }
            self.listing.remove(&label);
            self.metrics.emit(&Event::ToolsListed {
                session: &self.session,
                server: &label,
                cause: cause.as_deref(),
            });
            if let Some(input) = self.toolbox.learn(listing) {
                return Some(input);
            }
        }
        None
    }

    pub(in crate::session) fn run_tool(&mut self, run: RunId, call: ToolCall) {
        let Some(runnable) = self.toolbox.find(&call.name) else {
            let outcome = ToolOutcome::Failed("there is no such tool".to_owned());
            self.failures.push(Input::Tool(run, outcome));
            return;
        };
        let attended = matches!(runnable, Runnable::Reason(_));
        let (news, running) = (self.sender(), self.running.clone());
        let session = Arc::clone(&self.session);
        let task = self.lifecycle.spawn(async move {
            let call_id = format!("{session}-{run}");
            let outcome = running.run(&runnable, &call, &session, call_id).await;
            // the session may have gone away meanwhile
            let _ = news.send(Input::Tool(run, outcome)).await;
        });
        // what changes the world is not stopped half-way because a caller has hung up; its own limit ends it
        if attended {
            self.tools.insert(run, Task(task.abort_handle()));
        }
    }

    pub(in crate::session) fn drop_tool(&mut self, run: RunId) {
        self.tools.remove(&run);
    }
}
