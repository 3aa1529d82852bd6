//! Sentinel and a cluster, of which only this suite has need; see `redis_servers`.

use crate::redis_servers::{DEADLINE, Server, Servers, address, ask, until};

impl Servers {
    /// A primary, its replica, and three sentinels that watch them.
    pub(crate) async fn sentinel() -> Self {
        let mut servers = Self::none();
        let (host, primary) = (address(), servers.add(&[]).await);
        let replica_of = format!("{host} {primary}");
        servers.add(&["--replicaof", &replica_of]).await;
        let settings = format!(
            "sentinel monitor mymaster {host} {primary} 2\n\
             sentinel down-after-milliseconds mymaster 500\n\
             sentinel failover-timeout mymaster 2000\n\
             sentinel announce-ip {host}\n"
        );
        for _ in 0..3 {
            let watcher = ["--sentinel", settings.as_str()];
            let sentinel = Server::start(servers.folder.path(), Self::port(), &watcher).await;
            servers.nodes.push(sentinel);
        }
        for sentinel in &servers.nodes[2..] {
            until("sentinels know each other and the replica", || async {
                let text: Option<String> = ask(sentinel.port, &["INFO", "sentinel"]).await;
                text.is_some_and(|text| text.contains("slaves=1,sentinels=3"))
            })
            .await;
        }
        until("the replica follows", || async {
            let text: Option<String> = ask(servers.nodes[1].port, &["INFO", "replication"]).await;
            text.is_some_and(|text| text.contains("master_link_status:up"))
        })
        .await;
        let hosts = servers.nodes[2..].iter();
        let hosts: Vec<_> = hosts.map(|s| format!("{host}:{}", s.port)).collect();
        servers.url = format!("redis+sentinel://{}/mymaster", hosts.join(","));
        servers
    }

    /// Three primaries with a replica each.
    pub(crate) async fn cluster() -> Self {
        let mut servers = Self::none();
        let mut hosts = Vec::new();
        for _ in 0..6 {
            let more = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
            let port = servers.add(&more).await;
            hosts.push(format!("{}:{port}", address()));
        }
        // nodes meet at their port and 10,000
        let mut create = std::process::Command::new("redis-cli");
        create.args(["--cluster", "create"]).args(&hosts);
        create.args(["--cluster-replicas", "1", "--cluster-yes"]);
        let created = tokio::task::spawn_blocking(move || create.output());
        let created = tokio::time::timeout(DEADLINE, created).await;
        let created = created.unwrap().unwrap().unwrap();
        let said = String::from_utf8_lossy(&created.stdout).into_owned();
        assert!(created.status.success(), "{said}");
        for node in &servers.nodes {
            until("the cluster is whole", || async {
                let text: Option<String> = ask(node.port, &["CLUSTER", "INFO"]).await;
                text.is_some_and(|text| text.contains("cluster_state:ok"))
            })
            .await;
            until("every replica follows", || async {
                let text: Option<String> = ask(node.port, &["INFO", "replication"]).await;
                text.is_some_and(|text| {
                    text.contains("connected_slaves:1") || text.contains("master_link_status:up")
                })
            })
            .await;
        }
        servers.url = format!("redis+cluster://{}", hosts.join(","));
        servers
    }

    /// Waits until the replica has everything that its primary has now: Redis copies after it has answered.
    pub(crate) async fn replica_has_all(&self) {
        let offset = async |node: usize, field: &str| -> Option<u64> {
            let text: String = ask(self.nodes[node].port, &["INFO", "replication"]).await?;
            let line = text.lines().find_map(|line| line.strip_prefix(field));
            line?.trim().parse().ok()
        };
        let written = offset(0, "master_repl_offset:").await.unwrap();
        until("the replica has it all", || async {
            offset(1, "slave_repl_offset:").await >= Some(written)
        })
        .await;
    }
}
