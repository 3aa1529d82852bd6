//! Pulling from a registry on this machine that misbehaves on demand.

mod registry;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use backon::ExponentialBuilder;
use local::{
    LocalError,
    models::{Depth, Manifest, State, check},
};
use url::Url;

use self::registry::{Answer, HUB, NPM, Registry, WHEEL};
use super::{
    fetch::Fetcher,
    index::Registries,
    progress::Progress,
    pull::{Finish, Pull},
};

/// What the toy model's file holds: long enough to be cut in the middle.
pub(super) fn content() -> Vec<u8> {
    (0..40_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

struct World {
    dir: tempfile::TempDir,
    registry: Registry,
    manifest: Manifest,
    said: Said,
}

/// What was shown to the person at the terminal.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn make(dir: &Path) -> Result<(), LocalError> {
    let path = dir.join("made.bin");
    fs::write(&path, b"made").map_err(|source| LocalError::Io {
        tried: "write",
        path,
        source,
    })
}

fn is_current(dir: &Path) -> bool {
    dir.join("made.bin").is_file()
}

impl World {
    /// A registry with the toy model in a wheel, in an npm package and on a hub.
    async fn new() -> Self {
        let registry = Registry::start(&content()).await;
        let manifest = Manifest::parse(&registry.manifest()).unwrap();
        Self {
            dir: tempfile::tempdir().unwrap(),
            registry,
            manifest,
            said: Said::default(),
        }
    }

    async fn pull(&self, id: &str) -> anyhow::Result<usize> {
        let base = self.registry.base();
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(1))
            .with_max_delay(Duration::from_millis(1))
            .with_max_times(3);
        let pull = Pull {
            manifest: &self.manifest,
            models_dir: self.dir.path(),
            registries: Registries {
                pypi: base.join("simple").unwrap(),
                npm: base.join("npm/").unwrap(),
                hub: base.join("hub").unwrap(),
            },
            fetcher: Fetcher::new(backoff).unwrap(),
            finish: Finish { is_current, make },
        };
        let model = self.manifest.model(id).unwrap();
        pull.run(&[model], &mut Progress::plain(self.said.clone()))
            .await
    }

    fn state(&self, id: &str) -> State {
        check(
            self.dir.path(),
            self.manifest.model(id).unwrap(),
            Depth::Full,
        )
        .unwrap()
    }

    fn file(&self, id: &str) -> PathBuf {
        self.dir.path().join(id).join("model.bin")
    }

    fn said(&self) -> String {
        String::from_utf8(self.said.0.lock().unwrap().clone()).unwrap()
    }

    /// Ranges asked of `path`, in order; `None` is a request for the whole.
    fn asked(&self, path: &str) -> Vec<Option<String>> {
        self.registry.asked(path)
    }
}

#[tokio::test]
async fn a_model_is_fetched_once() {
    let world = World::new().await;
    assert_eq!(world.pull("toy").await.unwrap(), 1);
    assert_eq!(world.state("toy"), State::Ready);
    assert_eq!(fs::read(world.file("toy")).unwrap(), content());
    let requests = world.registry.requests();
    assert_eq!(world.pull("toy").await.unwrap(), 0);
    assert_eq!(
        world.registry.requests(),
        requests,
        "a whole model needs no network"
    );
    let leftovers = fs::read_dir(world.dir.path().join(".downloads"))
        .unwrap()
        .count();
    assert_eq!(leftovers, 0);
    let said = world.said();
    assert!(said.contains("fetching toy 1.0 ("), "{said}");
    assert!(said.contains("preparing toy for this machine"), "{said}");
}

#[tokio::test]
async fn an_index_may_speak_json() {
    let world = World::new().await;
    world.registry.speak_json();
    world.pull("toy").await.unwrap();
    assert_eq!(world.state("toy"), State::Ready);
}

#[tokio::test]
async fn an_npm_package_is_a_source_too() {
    let world = World::new().await;
    world.pull("toy-npm").await.unwrap();
    assert_eq!(world.state("toy-npm"), State::Ready);
    assert_eq!(world.asked(NPM), [None]);
}

#[tokio::test]
async fn a_cut_transfer_is_resumed_where_it_stopped() {
    let world = World::new().await;
    world.registry.next(
        WHEEL,
        [Answer::CutAfter(1000), Answer::CutAfter(500), Answer::Good],
    );
    world.pull("toy").await.unwrap();
    assert_eq!(world.state("toy"), State::Ready);
    let resumed = [
        None,
        Some("bytes=1000-".to_owned()),
        Some("bytes=1500-".to_owned()),
    ];
    assert_eq!(world.asked(WHEEL), resumed);
    assert!(world.said().contains("trying again"), "{}", world.said());
}

#[tokio::test]
async fn another_run_resumes_too() {
    let world = World::new().await;
    world.registry.next(WHEEL, [Answer::CutAfter(1000)]);
    world.registry.next(WHEEL, [Answer::Status(503); 3]);
    world.registry.next(HUB, [Answer::Status(404)]);
    let error = world.pull("toy").await.unwrap_err();
    assert!(format!("{error:#}").contains("503"), "{error:#}");
    assert!(matches!(world.state("toy"), State::Missing(_)));
    world.pull("toy").await.unwrap();
    assert_eq!(
        world.asked(WHEEL).last(),
        Some(&Some("bytes=1000-".to_owned()))
    );
    assert_eq!(world.state("toy"), State::Ready);
}

#[tokio::test]
async fn a_server_that_cannot_resume_sends_the_whole() {
    for answer in [Answer::IgnoreRange, Answer::WrongRange, Answer::Status(416)] {
        let world = World::new().await;
        world.registry.next(WHEEL, [Answer::CutAfter(1000), answer]);
        world.pull("toy").await.unwrap();
        assert_eq!(world.state("toy"), State::Ready, "{answer:?}");
    }
}

#[tokio::test]
async fn a_stumbling_server_is_asked_again() {
    let world = World::new().await;
    world.registry.next("/simple/toy/", [Answer::Status(502)]);
    world
        .registry
        .next(WHEEL, [Answer::Status(500), Answer::Status(429)]);
    world.pull("toy").await.unwrap();
    assert_eq!(world.state("toy"), State::Ready);
    assert_eq!(world.asked(WHEEL).len(), 3);
}

#[tokio::test]
async fn a_file_that_is_gone_comes_from_the_hub() {
    let world = World::new().await;
    world.registry.next(WHEEL, [Answer::Status(404)]);
    world.pull("toy").await.unwrap();
    assert_eq!(world.state("toy"), State::Ready);
    assert_eq!(world.asked(WHEEL).len(), 1, "a plain no is not asked twice");
    assert_eq!(world.asked(HUB), [None]);
    assert!(
        world
            .said()
            .contains("404 Not Found; trying the publisher's hub"),
        "{}",
        world.said()
    );
}

#[tokio::test]
async fn both_sources_are_named_when_both_fail() {
    let world = World::new().await;
    world.registry.next(WHEEL, [Answer::Status(404)]);
    world.registry.next(HUB, [Answer::Status(403)]);
    let error = format!("{:#}", world.pull("toy").await.unwrap_err());
    assert!(error.contains("model toy could not be fetched"), "{error}");
    assert!(error.contains(WHEEL) && error.contains("404"), "{error}");
    assert!(error.contains(HUB) && error.contains("403"), "{error}");
}

#[tokio::test]
async fn a_package_the_index_does_not_list_is_named() {
    let world = World::new().await;
    let error = format!("{:#}", world.pull("unlisted").await.unwrap_err());
    assert!(
        error.contains("/simple/toy/ does not list absent-1.0-py3-none-any.whl"),
        "{error}"
    );
}

#[tokio::test]
async fn wrong_bytes_are_refused_after_one_more_try() {
    let world = World::new().await;
    world.registry.next(WHEEL, [Answer::WrongBytes; 2]);
    world.registry.next(HUB, [Answer::WrongBytes; 2]);
    let error = format!("{:#}", world.pull("toy").await.unwrap_err());
    assert!(
        error.contains("other bytes than the manifest says"),
        "{error}"
    );
    assert_eq!((world.asked(WHEEL).len(), world.asked(HUB).len()), (2, 2));
    assert!(matches!(world.state("toy"), State::Missing(_)));
    let leftovers = fs::read_dir(world.dir.path().join(".downloads"))
        .unwrap()
        .count();
    assert_eq!(leftovers, 0, "nothing wrong is kept");

    world.registry.next(WHEEL, [Answer::WrongBytes]);
    world.pull("toy").await.unwrap();
    assert_eq!(
        world.state("toy"),
        State::Ready,
        "a flipped bit is not the end"
    );
}

#[tokio::test]
async fn a_longer_file_is_refused() {
    let world = World::new().await;
    world.registry.next(WHEEL, [Answer::TooLong]);
    world.registry.next(HUB, [Answer::Status(404)]);
    let error = format!("{:#}", world.pull("toy").await.unwrap_err());
    assert!(error.contains("longer than"), "{error}");
}

#[tokio::test]
async fn an_index_with_another_hash_is_not_followed() {
    let world = World::new().await;
    world.registry.next("/simple/toy/", [Answer::WrongHash]);
    world.registry.next(HUB, [Answer::Status(404)]);
    let error = format!("{:#}", world.pull("toy").await.unwrap_err());
    assert!(error.contains("the index states sha256 0000"), "{error}");
    assert_eq!(world.asked(WHEEL).len(), 0);
}

#[tokio::test]
async fn a_part_from_elsewhere_is_thrown_away() {
    let world = World::new().await;
    let part = world
        .dir
        .path()
        .join(".downloads/toy-1.0-py3-none-any.whl.part");
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, vec![7; 2000]).unwrap();
    world.pull("toy").await.unwrap();
    assert_eq!(world.state("toy"), State::Ready);
    assert_eq!(world.asked(WHEEL), [Some("bytes=2000-".to_owned()), None]);
}

#[tokio::test]
async fn damage_is_repaired() {
    let world = World::new().await;
    world.pull("toy").await.unwrap();
    let made = world.dir.path().join("toy/made.bin");
    for file in [world.file("toy"), made] {
        let mut bytes = fs::read(&file).unwrap();
        bytes[0] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert!(matches!(world.state("toy"), State::Damaged { .. }));
        assert_eq!(world.pull("toy").await.unwrap(), 1);
        assert_eq!(world.state("toy"), State::Ready);
    }
    assert_eq!(
        world.asked(WHEEL).len(),
        2,
        "what is made here needs no network"
    );
}

#[tokio::test]
async fn two_at_once_fetch_once() {
    let world = World::new().await;
    let (one, two) = tokio::join!(world.pull("toy"), world.pull("toy"));
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(world.asked(WHEEL).len(), 1);
    assert!(world.said().contains("waiting for it"), "{}", world.said());
}

#[tokio::test]
async fn a_full_disk_is_said_before_anything_is_fetched() {
    let world = World::new().await;
    let error = format!("{:#}", world.pull("huge").await.unwrap_err());
    assert!(
        error.contains("make room or set ANTIPHON_MODELS_DIR"),
        "{error}"
    );
    assert_eq!(world.registry.requests(), 0);
}

#[test]
fn an_address_is_shown_without_its_secrets() {
    let url = Url::parse("https://user:secret@host/simple/?token=secret#secret").unwrap();
    assert_eq!(super::fetch::shown(&url), "https://host/simple/");
}
