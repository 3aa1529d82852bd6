//! `antiphon doctor`: looks at this machine as the server will, and says what to do about what it finds.
//! People call it through `main` when something does not work; scripts read its exit code.
//! It never repairs anything, and it opens connections to nobody but the vendors that the configuration names.

mod machine;
#[cfg(feature = "local")]
mod speech;
mod vendors;

use std::io::Write;

use gateway::Config;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    /// The server works, but worse than it could.
    Warn,
    /// The server will not work.
    Fail,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    level: Level,
    subject: &'static str,
    says: String,
    /// What to do about it; empty when nothing is to be done.
    advice: String,
}

impl Finding {
    fn ok(subject: &'static str, says: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            subject,
            says: says.into(),
            advice: String::new(),
        }
    }

    fn warn(subject: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            subject,
            says: says.into(),
            advice: advice.into(),
        }
    }

    fn fail(subject: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            level: Level::Fail,
            subject,
            says: says.into(),
            advice: advice.into(),
        }
    }
}

/// Checks everything and writes one line per finding; false when the server would not work.
pub(crate) async fn run(config: &Config, out: &mut impl Write) -> anyhow::Result<bool> {
    let mut findings = vec![
        machine::address(&config.server.listen).await,
        machine::disk(&config.data_dir()),
        machine::database(&config.database()).await,
        machine::clock(gateway::clock::Clock::default().utc()),
        machine::cores(),
        machine::open_files(),
    ];
    #[cfg(feature = "local")]
    findings.extend(speech::findings(config).await?);
    findings.extend(vendors::findings(config).await);
    let healthy = print(&findings, out)?;
    Ok(healthy)
}

fn print(findings: &[Finding], out: &mut impl Write) -> anyhow::Result<bool> {
    for finding in findings {
        let level = match finding.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        writeln!(out, "{level}  {:<16} {}", finding.subject, finding.says)?;
        if !finding.advice.is_empty() {
            writeln!(out, "      {:<16} -> {}", "", finding.advice)?;
        }
    }
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    let (failed, warned) = (count(Level::Fail), count(Level::Warn));
    match (failed, warned) {
        (0, 0) => writeln!(out, "\neverything is in order")?,
        (0, _) => writeln!(
            out,
            "\nthe server will run; {warned} of its conditions could be better"
        )?,
        _ => writeln!(
            out,
            "\nthe server will not work as configured: {failed} to repair"
        )?,
    }
    Ok(failed == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(findings: &[Finding]) -> (bool, String) {
        let mut out = Vec::new();
        let healthy = print(findings, &mut out).unwrap();
        (healthy, String::from_utf8(out).unwrap())
    }

    #[test]
    fn only_failures_fail() {
        let fine = Finding::ok("disk", "20 GB free");
        let slow = Finding::warn("cpu", "no VNNI", "expect slower speech");
        let dead = Finding::fail("address", "in use", "choose another");
        assert!(
            printed(std::slice::from_ref(&fine))
                .1
                .contains("everything is in order")
        );
        let (healthy, text) = printed(&[fine.clone(), slow.clone()]);
        assert!(
            healthy && text.contains("warn  cpu") && text.contains("-> expect slower"),
            "{text}"
        );
        let (healthy, text) = printed(&[fine, slow, dead]);
        assert!(
            !healthy && text.contains("FAIL  address") && text.contains("1 to repair"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_machine_without_models_is_told_the_command() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.server.listen = "127.0.0.1:0".to_owned();
        config.server.data_dir = Some(dir.path().display().to_string());
        let mut out = Vec::new();
        let healthy = run(&config, &mut out).await.unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("ok    database"), "{text}");
        #[cfg(feature = "local")]
        {
            assert!(!healthy, "{text}");
            assert!(text.contains("FAIL  whisper-tiny-en"), "{text}");
            assert!(
                text.contains("run `antiphon models pull whisper-tiny-en`"),
                "{text}"
            );

            config.pipeline.name = "scripted".to_owned();
            let mut out = Vec::new();
            run(&config, &mut out).await.unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(
                !text.contains("FAIL  whisper-tiny-en"),
                "scripted needs no models: {text}"
            );
        }
        #[cfg(not(feature = "local"))]
        assert!(healthy, "{text}");
    }
}
