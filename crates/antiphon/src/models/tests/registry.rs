//! A package registry on this machine: index, packages and hub, each answer of which can be spoiled.
//! It speaks raw HTTP/1.1 so that a transfer can end at an exact byte.

use std::{
    collections::{HashMap, VecDeque},
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use local::models::sha256_of_file;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use url::Url;

pub(super) const WHEEL: &str = "/files/toy-1.0-py3-none-any.whl";
pub(super) const NPM: &str = "/files/toy-1.0.tgz";
pub(super) const HUB: &str = "/hub/toy/model.bin";

/// How one request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Good,
    /// The connection ends after so many bytes of the body.
    CutAfter(usize),
    Status(u16),
    /// The whole file although a part was asked for.
    IgnoreRange,
    /// A part, but from its second byte on.
    WrongRange,
    /// Right length, one bit flipped.
    WrongBytes,
    TooLong,
    /// An index page that states another hash.
    WrongHash,
}

struct Inner {
    base: Url,
    bodies: HashMap<&'static str, Vec<u8>>,
    pins: HashMap<&'static str, (usize, String)>,
    scripts: Mutex<HashMap<String, VecDeque<Answer>>>,
    log: Mutex<Vec<(String, Option<String>)>>,
    json: AtomicBool,
    connections: AtomicUsize,
}

#[derive(Clone)]
pub(super) struct Registry(Arc<Inner>);

impl Registry {
    /// Starts a registry whose packages hold `content` as `model.bin`.
    pub(super) async fn start(content: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let bodies = HashMap::from([
            (WHEEL, wheel(content)),
            (NPM, tgz(content)),
            (HUB, content.to_vec()),
        ]);
        let scratch = tempfile::tempdir().unwrap();
        let pin = |(path, body): (&&'static str, &Vec<u8>)| {
            let file = scratch.path().join("body");
            fs::write(&file, body).unwrap();
            (*path, (body.len(), sha256_of_file(&file).unwrap()))
        };
        let pins = bodies.iter().map(pin).collect();
        let registry = Self(Arc::new(Inner {
            base: base.parse().unwrap(),
            bodies,
            pins,
            scripts: Mutex::default(),
            log: Mutex::default(),
            json: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        }));
        let serving = registry.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        registry
    }

    pub(super) fn base(&self) -> &Url {
        &self.0.base
    }

    /// The next answers for `path`; later ones are good.
    pub(super) fn next(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        self.0
            .scripts
            .lock()
            .unwrap()
            .entry(path.into())
            .or_default()
            .extend(answers);
    }

    pub(super) fn speak_json(&self) {
        self.0.json.store(true, Ordering::Relaxed);
    }

    pub(super) fn requests(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }

    pub(super) fn asked(&self, path: &str) -> Vec<Option<String>> {
        let log = self.0.log.lock().unwrap();
        log.iter()
            .filter(|(asked, _)| asked == path)
            .map(|(_, range)| range.clone())
            .collect()
    }

    /// A manifest whose models this registry has, and some that it cannot serve.
    pub(super) fn manifest(&self) -> String {
        let pin = |path| &self.0.pins[path];
        let mut text = String::new();
        for (name, kind, path, file) in [
            ("toy", "pypi", WHEEL, "toy-1.0-py3-none-any.whl"),
            ("toy-npm", "npm", NPM, "toy-1.0.tgz"),
            ("unlisted", "pypi", WHEEL, "absent-1.0-py3-none-any.whl"),
        ] {
            let (size, sha256) = pin(path);
            let package = "package = \"toy\"\nversion = \"1.0\"";
            writeln!(
                text,
                "[downloads.{name}]\nkind = \"{kind}\"\n{package}\nfile = \"{file}\"\n\
                 size = {size}\nsha256 = \"{sha256}\""
            )
            .unwrap();
        }
        let (size, sha256) = pin(HUB);
        let hub = "hub = \"https://huggingface.co/toy/model.bin\"";
        for (id, size, extra) in [
            ("toy", *size as u64, hub),
            ("toy-npm", *size as u64, ""),
            ("unlisted", *size as u64, ""),
            ("huge", 1 << 60, ""),
        ] {
            let source = match id {
                "toy-npm" => "toy-npm!package/model.bin",
                "unlisted" => "unlisted!toy/model.bin",
                _ => "toy!toy/model.bin",
            };
            let made = if id == "toy" {
                "made = [\"made.bin\"]"
            } else {
                ""
            };
            writeln!(
                text,
                "[[models]]\nid = \"{id}\"\npurpose = \"\"\nlicence = \"\"\nnote = \"\"\n\
                 origin = \"\"\nsets = []\n{made}\n[[models.files]]\npath = \"model.bin\"\n\
                 size = {size}\nsha256 = \"{sha256}\"\nregistry = [\"{source}\"]\n{extra}"
            )
            .unwrap();
        }
        text
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else {
                return;
            };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let range = head
            .lines()
            .find_map(|line| line.strip_prefix("range: "))
            .map(str::to_owned);
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        self.0
            .log
            .lock()
            .unwrap()
            .push((path.clone(), range.clone()));
        let next = self
            .0
            .scripts
            .lock()
            .unwrap()
            .get_mut(&path)
            .and_then(VecDeque::pop_front);
        let answer = next.unwrap_or(Answer::Good);
        let bytes = self.answer(&path, range.as_deref(), answer);
        // the client may have hung up, which is its right
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
    }

    fn answer(&self, path: &str, range: Option<&str>, answer: Answer) -> Vec<u8> {
        if let Answer::Status(status) = answer {
            return http(status, "", b"");
        }
        let Some(body) = self.0.bodies.get(path) else {
            return self.page(path, answer);
        };
        let mut body = body.clone();
        let start = range.and_then(|it| it.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        match (answer, start) {
            (Answer::WrongBytes, _) => {
                body[100] ^= 1;
                http(200, "", &body)
            }
            (Answer::TooLong, _) => {
                body.push(0);
                http(200, "", &body)
            }
            (Answer::CutAfter(limit), start) => {
                let whole = Self::part(&body, start);
                let head = whole.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
                whole[..head + limit].to_vec()
            }
            (Answer::WrongRange, Some(start)) => Self::part(&body, Some(start + 1)),
            (Answer::IgnoreRange, _) => Self::part(&body, None),
            (_, start) => Self::part(&body, start),
        }
    }

    fn part(body: &[u8], start: Option<usize>) -> Vec<u8> {
        let Some(start) = start else {
            return http(200, "", body);
        };
        if start >= body.len() {
            return http(
                416,
                &format!("content-range: bytes */{}\r\n", body.len()),
                b"",
            );
        }
        let range = format!(
            "content-range: bytes {start}-{}/{}\r\n",
            body.len() - 1,
            body.len()
        );
        http(206, &range, &body[start..])
    }

    fn page(&self, path: &str, answer: Answer) -> Vec<u8> {
        let stated = match answer {
            Answer::WrongHash => "0".repeat(64),
            _ => self.0.pins[WHEEL].1.clone(),
        };
        let file = WHEEL.rsplit('/').next().unwrap();
        match path {
            "/simple/toy/" if self.0.json.load(Ordering::Relaxed) => {
                let kind = "content-type: application/vnd.pypi.simple.v1+json\r\n";
                let body = serde_json::json!({"files": [
                    {"filename": "toy-0.9.tar.gz", "url": "../../files/toy-0.9.tar.gz", "hashes": {}},
                    {"filename": file, "url": format!("../..{WHEEL}"), "hashes": {"sha256": stated}},
                ]});
                http(200, kind, body.to_string().as_bytes())
            }
            "/simple/toy/" => {
                let body = format!(
                    "<!DOCTYPE html><html><body><a href=\"../../files/toy-0.9.tar.gz\">old</a>\n\
                     <a data-requires-python=\"&gt;=3.9\" href=\"../..{WHEEL}#sha256={stated}\">\
                     {file}</a><br/></body></html>"
                );
                http(200, "content-type: text/html\r\n", body.as_bytes())
            }
            "/npm/toy/1.0" => {
                let tarball = self.0.base.join(NPM).unwrap();
                let body = serde_json::json!({"name": "toy", "dist": {"tarball": tarball}});
                http(
                    200,
                    "content-type: application/json\r\n",
                    body.to_string().as_bytes(),
                )
            }
            _ => http(404, "", b""),
        }
    }
}

fn http(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn wheel(content: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.whl");
    let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
    zip.start_file("toy/model.bin", zip::write::SimpleFileOptions::default())
        .unwrap();
    zip.write_all(content).unwrap();
    zip.finish().unwrap();
    fs::read(path).unwrap()
}

fn tgz(content: &[u8]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "package/model.bin", content)
        .unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}
