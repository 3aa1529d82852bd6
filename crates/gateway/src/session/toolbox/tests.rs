use engine::ask::ToolRunner;
use serde_json::json;

use super::*;

fn toolbox(agents: &[&str]) -> Toolbox {
    let outbound = Outbound::new(&[]).unwrap();
    let server = |label: &&str| {
        let config = McpConfig {
            label: (*label).to_owned(),
            url: "https://example.org/agent".to_owned(),
            headers: Vec::new(),
            allowed: None,
            limit: CALL_LIMIT,
            filler: None,
            filler_after_ms: 0,
        };
        Arc::new(McpServer::new(config, outbound.clone()).unwrap())
    };
    let servers = agents.iter().map(server).collect();
    Toolbox::new(outbound.clone(), HashMap::new(), servers)
}

fn named(label: &str, token: &str) -> Tool {
    serde_json::from_value(json!({ "type": "mcp", "server_label": label,
        "server_url": "https://example.org/mcp", "authorization": token, "require_approval": "never" }))
    .unwrap()
}

/// What a server answers that has functions of these names.
fn has((label, server): &(String, Arc<McpServer>), names: &[&str]) -> Listing {
    let tool = |name: &&str| ServerTool {
        name: (*name).to_owned(),
        description: None,
        parameters: None,
        runner: ToolRunner::Detached,
        filler: None,
        filler_after_ms: 0,
    };
    Listing {
        label: label.clone(),
        server: Arc::clone(server),
        listed: Ok(names.iter().map(tool).collect()),
    }
}

fn runs_on(toolbox: &Toolbox, name: &str) -> Option<Arc<McpServer>> {
    match toolbox.find(name)? {
        Runnable::Mcp(server) => Some(server),
        Runnable::Http(_) | Runnable::Reason(_) => panic!("no server"),
    }
}

#[test]
fn a_server_with_a_fresh_token_is_another_server() {
    let mut toolbox = toolbox(&[]);
    assert!(
        toolbox
            .name_servers(vec![named("docs", "old")])
            .0
            .is_empty()
    );
    let old = toolbox.unlisted().remove(0);
    assert!(toolbox.learn(has(&old, &["look"])).is_some());
    assert!(Arc::ptr_eq(&runs_on(&toolbox, "look").unwrap(), &old.1));
    // the same again changes nothing
    assert!(
        toolbox
            .name_servers(vec![named("docs", "old")])
            .0
            .is_empty()
    );
    assert!(toolbox.unlisted().is_empty());

    let (left, _) = toolbox.name_servers(vec![named("docs", "new")]);
    assert_eq!(left, ["docs"]);
    assert!(toolbox.find("look").is_none());
    let new = toolbox.unlisted().remove(0);
    // what the old one says late is nobody's business any more
    assert!(toolbox.learn(has(&old, &["look"])).is_none());
    assert!(toolbox.find("look").is_none());
    assert!(toolbox.learn(has(&new, &["look"])).is_some());
    assert!(Arc::ptr_eq(&runs_on(&toolbox, "look").unwrap(), &new.1));

    assert_eq!(toolbox.name_servers(Vec::new()).0, ["docs"]);
    assert!(toolbox.find("look").is_none());
    assert!(toolbox.learn(has(&new, &["look"])).is_none());
}

#[test]
fn an_agents_servers_have_labels_of_their_own_and_stay() {
    let mut toolbox = toolbox(&["docs"]);
    toolbox.name_servers(vec![named("docs", "token")]);
    let unlisted = toolbox.unlisted();
    let labels: Vec<&str> = unlisted.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, ["agent/docs", "docs"]);
    for server in &unlisted {
        let Some(Input::Tools(source)) = toolbox.learn(has(server, &["look"])) else {
            panic!("no tools");
        };
        assert_eq!(source.label, server.0);
    }
    // the first that told has it, as in the engine
    assert!(Arc::ptr_eq(
        &runs_on(&toolbox, "look").unwrap(),
        &unlisted[0].1
    ));
    assert_eq!(toolbox.name_servers(Vec::new()).0, ["docs"]);
    assert!(toolbox.find("look").is_some());
}

#[test]
fn a_silent_server_is_asked_again_and_complained_of_once() {
    let mut toolbox = toolbox(&["docs"]);
    let (label, server) = toolbox.unlisted().remove(0);
    let silent = || Listing {
        label: label.clone(),
        server: Arc::clone(&server),
        listed: Err(McpError::Server {
            label: "docs".to_owned(),
            problem: "does not answer".to_owned(),
        }),
    };
    assert!(matches!(toolbox.learn(silent()), Some(Input::Problem(_))));
    assert_eq!(toolbox.unlisted().len(), 1);
    assert!(toolbox.learn(silent()).is_none());
    let back = (label.clone(), Arc::clone(&server));
    assert!(toolbox.learn(has(&back, &["look"])).is_some());
    assert!(toolbox.unlisted().is_empty() && toolbox.find("look").is_some());
}
