//! Checks of what speech on this machine needs: models, native libraries, processor.
//! `doctor` calls it when the local pipeline was compiled in.
//! It never downloads; it names the command that does.

use anyhow::Context as _;
use gateway::Config;
use local::{
    LocalError,
    models::{Depth, Manifest, Model, State, check},
};

use super::Finding;

/// The language model of the default set, which another server may stand in for.
const LANGUAGE_MODEL: &str = "smollm2-135m";

/// All findings about local speech; short when the configuration does not use it.
pub(super) async fn findings(config: &Config) -> anyhow::Result<Vec<Finding>> {
    if config.pipeline.name != "local" {
        let says = format!("pipeline {} needs none", config.pipeline.name);
        return Ok(vec![Finding::ok("models", says)]);
    }
    let config = config.clone();
    let looking = tokio::task::spawn_blocking(move || look(&config));
    Ok(looking.await.context("a check panicked")??)
}

fn look(config: &Config) -> Result<Vec<Finding>, LocalError> {
    let models_dir = config.models_dir();
    let mut findings = Vec::new();
    for model in Manifest::embedded()?.set("default") {
        if model.id == LANGUAGE_MODEL
            && let Some(finding) = other_language_model(config)
        {
            findings.push(finding);
            continue;
        }
        let state = check(&models_dir, model, Depth::Full);
        findings.push(model_finding(model, state));
    }
    findings.push(runtime(&models_dir));
    findings.push(phonemes());
    findings.push(processor());
    Ok(findings)
}

/// What answers instead of the model on this machine, if something does.
fn other_language_model(config: &Config) -> Option<Finding> {
    if let Some(base) = &config.llm.base_url {
        return Some(Finding::ok(
            "language model",
            format!("answers come from {base}"),
        ));
    }
    if cfg!(feature = "llama") {
        return None;
    }
    Some(Finding::warn(
        "language model",
        "this build has none and none is configured",
        "set ANTIPHON_LLM__BASE_URL to an OpenAI-compatible server, or build with `--features llama`",
    ))
}

fn model_finding(model: &Model, state: Result<State, LocalError>) -> Finding {
    let subject = subject(&model.id);
    let advice = format!("run `antiphon models pull {}`", model.id);
    match state {
        Ok(State::Ready) => Finding::ok(subject, model.purpose.clone()),
        Ok(State::Missing(path)) => {
            Finding::fail(subject, format!("{} is missing", path.display()), advice)
        }
        Ok(State::Damaged { path, reason }) => Finding::fail(
            subject,
            format!("{} is damaged: {reason}", path.display()),
            advice,
        ),
        Err(error @ LocalError::BadInput(_)) => Finding::fail(
            subject,
            error.to_string(),
            "use a machine of a platform that `antiphon models list` has, or ANTIPHON_PIPELINE=scripted",
        ),
        Err(error) => Finding::fail(subject, error.to_string(), "make the file readable"),
    }
}

/// The model's name as a subject, which lives as long as the program.
fn subject(id: &str) -> &'static str {
    let manifest = Manifest::embedded().ok();
    let model = manifest.and_then(|it| it.models.iter().find(|model| model.id == id));
    model.map_or("model", |model| model.id.as_str())
}

fn runtime(models_dir: &std::path::Path) -> Finding {
    match local::runtime::environment(models_dir) {
        Ok(_) => Finding::ok("onnx runtime", "loads"),
        // the model's own line says that it is not there
        Err(LocalError::Missing { .. }) => Finding::fail(
            "onnx runtime",
            "not installed",
            "run `antiphon models pull onnxruntime`",
        ),
        Err(error) => Finding::fail(
            "onnx runtime",
            error.to_string(),
            "the library needs glibc 2.28 or newer; see `antiphon models list` for the platforms",
        ),
    }
}

fn phonemes() -> Finding {
    match local::phonemes::version() {
        Ok(version) => Finding::ok("espeak-ng", format!("version {version}")),
        Err(error) => Finding::fail(
            "espeak-ng",
            error.to_string(),
            "install it: `apt-get install libespeak-ng1 espeak-ng-data`, `brew install espeak-ng`",
        ),
    }
}

#[cfg(target_arch = "x86_64")]
fn processor() -> Finding {
    let vnni = std::arch::is_x86_feature_detected!("avx512vnni")
        || std::arch::is_x86_feature_detected!("avxvnni");
    if !std::arch::is_x86_feature_detected!("avx2") {
        let advice = "use a processor made after 2015, or a virtual machine that passes AVX2 on";
        if cfg!(feature = "llama") {
            return Finding::fail("cpu", "no AVX2, which the language model needs", advice);
        }
        return Finding::warn(
            "cpu",
            "no AVX2: speech will be several times slower",
            advice,
        );
    }
    if !vnni {
        return Finding::warn(
            "cpu",
            "AVX2 but no VNNI: the 8-bit models run slower than docs/performance.md says",
            "plan with fewer calls per core; nothing else is to be done",
        );
    }
    Finding::ok("cpu", "AVX2 and VNNI")
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> Finding {
    let says = format!(
        "{}: not measured, see docs/performance.md",
        std::env::consts::ARCH
    );
    Finding::ok("cpu", says)
}
