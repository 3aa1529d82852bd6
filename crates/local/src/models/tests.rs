//! The manifest that ships, and installing from small archives made here.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use super::{
    Depth, Manifest, Model, ModelFile, PackageKind, Piece, Staging, State, Wanted, check, extract,
    record, require, sha256_of_file,
};
use crate::LocalError;

/// SHA-256 of `abc`, from FIPS 180-4's own example.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn model() -> Model {
    Model {
        id: "toy".into(),
        purpose: "testing".into(),
        licence: "none".into(),
        note: String::new(),
        origin: "https://example.org".into(),
        sets: vec!["default".into()],
        made: vec!["made.bin".into()],
        files: vec![ModelFile {
            path: "deep/abc.bin".into(),
            platform: None,
            size: 3,
            sha256: ABC.into(),
            registry: vec![Piece {
                download: "toy".into(),
                entry: "toy/abc.bin".into(),
            }],
            hub: None,
        }],
    }
}

fn zip_with(path: &Path, entries: &[(&str, &[u8])]) {
    let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

fn tgz_with(path: &Path, entries: &[(&str, &[u8])]) {
    let gzip =
        flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::default());
    let mut tar = tar::Builder::new(gzip);
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}

fn wanted(entry: &str, to: &Path) -> Wanted {
    Wanted {
        entry: entry.into(),
        to: to.into(),
        limit_bytes: 3,
    }
}

#[test]
fn the_manifest_that_ships_is_whole() {
    let manifest = Manifest::embedded().unwrap();
    let ids = |set| {
        manifest
            .set(set)
            .iter()
            .map(|it| it.id.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids("default"),
        [
            "onnxruntime",
            "whisper-tiny-en",
            "smart-turn",
            "piper-en-us-joe",
            "smollm2-135m"
        ]
    );
    assert_eq!(ids("all").len(), 6);
    let kokoro = manifest.model("kokoro").unwrap();
    assert_eq!(kokoro.files.len(), 30);
    let voices = kokoro
        .files
        .iter()
        .filter(|it| it.path.starts_with("voices/"));
    assert_eq!(voices.filter(|it| it.size == 510 * 256 * 4).count(), 28);
    for platform in ["linux-x86_64", "linux-aarch64", "macos-aarch64"] {
        for model in &manifest.models {
            let paths: Vec<_> = model
                .files_for(platform)
                .unwrap()
                .iter()
                .map(|it| &it.path)
                .collect();
            let mut unique = paths.clone();
            unique.sort();
            unique.dedup();
            assert_eq!(paths.len(), unique.len(), "{} on {platform}", model.id);
        }
    }
    let used = |name: &String| {
        let mut pieces = manifest
            .models
            .iter()
            .flat_map(|it| &it.files)
            .flat_map(|it| &it.registry);
        pieces.any(|piece| &piece.download == name)
    };
    assert_eq!(manifest.downloads.keys().find(|name| !used(name)), None);
}

#[test]
fn a_platform_without_files_is_told_so() {
    let manifest = Manifest::embedded().unwrap();
    let error = manifest
        .model("onnxruntime")
        .unwrap()
        .files_for("plan9-mips")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad input: model onnxruntime has no files for plan9-mips"
    );
    let error = manifest.model("gpt").unwrap_err().to_string();
    assert!(
        error.contains("no model gpt; there are onnxruntime, whisper-tiny-en"),
        "{error}"
    );
}

#[test]
fn a_manifest_with_a_flaw_is_refused() {
    let good = format!(
        "[downloads.a]\nkind='pypi'\npackage='a'\nversion='1'\nfile='a.whl'\nsize=1\nsha256='{ABC}'\n\
         [[models]]\nid='m'\npurpose=''\nlicence=''\nnote=''\norigin=''\nsets=[]\n\
         [[models.files]]\npath='f'\nsize=1\nsha256='{ABC}'\nregistry=['a!x']\n"
    );
    Manifest::parse(&good).unwrap();
    for (from, to, complaint) in [
        ("path='f'", "path='../f'", "leaves its directory"),
        ("path='f'", "path='/f'", "leaves its directory"),
        ("file='a.whl'", "file=''", "leaves its directory"),
        ("'a!x'", "'b!x'", "no download called b"),
        ("'a!x'", "'ax'", "not `download!entry`"),
        ("size=1\nsha256", "size=0\nsha256", "needs a size"),
        ("ba7816bf", "BA7816BF", "64 lower-case hex"),
        ("kind='pypi'", "kind='conda'", "unknown variant"),
        ("id='m'", "id='m'\nlicense=''", "unknown field"),
    ] {
        let error = Manifest::parse(&good.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(complaint), "{to}: {error}");
    }
}

#[test]
fn a_model_goes_from_missing_over_ready_to_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, model) = (dir.path(), model());
    let abc = dir.join("toy/deep/abc.bin");
    let made = dir.join("toy/made.bin");
    assert_eq!(
        check(dir, &model, Depth::Full).unwrap(),
        State::Missing(abc.clone())
    );

    let archive = dir.join("toy.whl");
    zip_with(
        &archive,
        &[("toy/other", b"123456"), ("toy/abc.bin", b"abc")],
    );
    let staging = Staging::open(dir, &model).unwrap();
    let piece = staging.path("0");
    extract(
        "toy",
        &archive,
        PackageKind::Pypi,
        &[wanted("toy/abc.bin", &piece)],
    )
    .unwrap();
    staging.install(&model.files[0], &[piece]).unwrap();
    drop(staging);
    assert_eq!(fs::read_dir(dir.join(".staging")).unwrap().count(), 0);
    assert_eq!(
        check(dir, &model, Depth::Full).unwrap(),
        State::Missing(made.clone())
    );

    assert!(matches!(
        record(dir, &model),
        Err(LocalError::Missing { .. })
    ));
    fs::write(&made, b"made here").unwrap();
    record(dir, &model).unwrap();
    assert_eq!(check(dir, &model, Depth::Full).unwrap(), State::Ready);

    // same length, other bytes: only the full look sees it
    fs::write(&abc, b"abd").unwrap();
    assert_eq!(check(dir, &model, Depth::Quick).unwrap(), State::Ready);
    let state = check(dir, &model, Depth::Full).unwrap();
    assert!(
        matches!(&state, State::Damaged { path, .. } if *path == abc),
        "{state:?}"
    );
    fs::write(&abc, b"ab").unwrap();
    let state = check(dir, &model, Depth::Quick).unwrap();
    let error = state.into_result("toy").unwrap_err().to_string();
    assert!(error.contains("2 bytes instead of 3"), "{error}");
    assert!(error.contains("run `antiphon models pull"), "{error}");

    fs::write(&abc, b"abc").unwrap();
    fs::write(&made, b"made thee").unwrap();
    let state = check(dir, &model, Depth::Full).unwrap();
    assert!(
        matches!(&state, State::Damaged { path, .. } if *path == made),
        "{state:?}"
    );
}

#[test]
fn pieces_are_joined_in_order_and_wrong_bytes_never_get_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, model) = (dir.path(), model());
    let archive = dir.join("toy.tgz");
    tgz_with(&archive, &[("package/2", b"c"), ("package/1", b"ab")]);
    let staging = Staging::open(dir, &model).unwrap();
    let (one, two) = (staging.path("1"), staging.path("2"));
    let both = [wanted("package/1", &one), wanted("package/2", &two)];
    extract("toy", &archive, PackageKind::Npm, &both).unwrap();

    let error = staging
        .install(&model.files[0], &[two.clone(), one.clone()])
        .unwrap_err();
    assert!(matches!(&error, LocalError::Damaged { .. }), "{error}");
    assert!(!dir.join("toy").exists());

    staging.install(&model.files[0], &[one, two]).unwrap();
    assert_eq!(sha256_of_file(&dir.join("toy/deep/abc.bin")).unwrap(), ABC);
}

#[test]
fn an_archive_that_lies_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (whl, tgz) = (dir.join("a.whl"), dir.join("a.tgz"));
    zip_with(&whl, &[("long", b"abcd")]);
    tgz_with(&tgz, &[("long", b"abcd")]);
    for (archive, kind) in [(&whl, PackageKind::Pypi), (&tgz, PackageKind::Npm)] {
        let take = |entry| {
            let wanted = [wanted(entry, &dir.join("out"))];
            extract("toy", archive, kind, &wanted)
                .unwrap_err()
                .to_string()
        };
        assert!(
            take("long").contains("long: longer than 3 bytes"),
            "{}",
            take("long")
        );
        assert!(take("absent").contains("absent: "), "{}", take("absent"));
        fs::write(archive, b"no archive at all").unwrap();
        assert!(take("long").contains("is damaged"), "{}", take("long"));
    }
}

#[test]
fn requiring_a_model_names_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let error = require(dir.path(), "smart-turn").unwrap_err().to_string();
    assert!(
        error.contains("smart-turn.onnx is missing; run `antiphon models pull"),
        "{error}"
    );
}
