//! A whole server in the test's own process: scripted pipeline, empty database, free port.
//! Every story starts one; it is shut down when the story drops it.

use std::time::Duration;

use gateway::config::Secret;
use gateway::{App, Config, Server};
use reqwest::{Client, Method, RequestBuilder};
use tempfile::TempDir;

/// The key that every world accepts.
pub(crate) const KEY: &str = "a-key-for-stories-only";

/// How long anything in a story may take before it counts as broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a server may take to load its models: voice and ears from a cold disk, in a test build, beside other tests.
const LOADING: Duration = Duration::from_secs(150);

/// A running server.
pub(crate) struct World {
    server: Option<Server>,
    client: Client,
    /// Data folder.
    pub folder: TempDir,
}

/// A configuration for stories: port 0, data in `folder`, no models.
pub(crate) fn config(folder: &TempDir) -> Config {
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".to_owned();
    config.server.data_dir = Some(folder.path().display().to_string());
    config.pipeline.name = "scripted".to_owned();
    config.auth.bootstrap_api_key = Some(Secret::new(KEY));
    config
}

impl World {
    /// Starts a server with what `change` makes of the configuration, and waits for its pipeline.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        change(&mut config);
        let server = Box::pin(Server::start(config)).await.unwrap();
        server.app.catalog.wait(LOADING).await.unwrap();
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        Self {
            server: Some(server),
            client,
            folder,
        }
    }

    /// Makes a tenant unless it is there; answers what making it was answered.
    pub(crate) async fn tenant(&self, id: &str) -> serde_json::Value {
        let body = serde_json::json!({ "id": id, "name": id, "plan": "pro" });
        let made = self.post("/v1/admin/tenants", &body).send().await.unwrap();
        made.json().await.unwrap()
    }

    /// The server itself.
    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Its parts.
    pub(crate) fn app(&self) -> &App {
        &self.server().app
    }

    /// `http://127.0.0.1:PORT` and `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server().address)
    }

    /// A request without a key.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A request with the key.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(KEY)
    }

    /// `GET` with the key.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// `POST` of a JSON body with the key.
    pub(crate) fn post(&self, path: &str, body: &serde_json::Value) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }

    /// Takes the server out, for stories about its end.
    pub(crate) fn into_server(mut self) -> (Server, TempDir) {
        let server = self.server.take().unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (server, folder)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.app.lifecycle.soft().cancel();
            server.app.lifecycle.hard().cancel();
        }
    }
}
