//! Memory and processor time of the server, as the kernel counts them.
//! Modes take a reading before, during and after.
//! It never touches the process, except for the signal that `drain` asks for.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::report::Report;

/// Clock ticks per second in `/proc/PID/stat`; `USER_HZ`, 100 on every Linux architecture we run on (man 5 proc).
const TICKS_PER_S: f64 = 100.0;
/// Time between two looks at the memory.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A server process on this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(u32);

/// One look at a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Resident memory in kB.
    pub(crate) rss_kb: u64,
    /// Largest resident memory so far in kB.
    pub(crate) peak_kb: u64,
    /// Processor time in s, both in user space and in the kernel.
    pub(crate) cpu_s: f64,
    /// When.
    pub(crate) at: Instant,
}

impl Process {
    /// The process with this id.
    pub(crate) fn new(pid: u32) -> Self {
        Self(pid)
    }

    /// Reads its memory and processor time.
    ///
    /// Errors: there is no such process.
    pub(crate) fn read(self) -> anyhow::Result<Reading> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))
            .with_context(|| format!("no process {}", self.0))?;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))
            .with_context(|| format!("no process {}", self.0))?;
        Ok(Reading {
            rss_kb: kb(&status, "VmRSS:"),
            peak_kb: kb(&status, "VmHWM:"),
            cpu_s: ticks(&stat) as f64 / TICKS_PER_S,
            at: Instant::now(),
        })
    }

    /// Whether it still runs; a process that has ended but was not waited for does not.
    pub(crate) fn runs(self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    /// Asks it to end.
    ///
    /// Errors: there is no such process, or it is not ours.
    pub(crate) fn terminate(self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.0)
            .ok()
            .and_then(Pid::from_raw)
            .context("no process id")?;
        kill_process(pid, Signal::TERM).with_context(|| format!("send SIGTERM to {}", self.0))
    }

    /// Looks at the memory until dropped; returns never, `largest_kb` keeps what was seen.
    pub(crate) async fn watch(self, largest_kb: &mut u64) -> std::convert::Infallible {
        loop {
            if let Ok(reading) = self.read() {
                *largest_kb = reading.rss_kb.max(*largest_kb);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// What a server used during a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    process: Process,
    before: Reading,
    largest_kb: u64,
}

impl Usage {
    /// Runs `work` and watches the process meanwhile; without a process, only runs it.
    pub(crate) async fn during<T>(
        pid: Option<u32>,
        work: impl Future<Output = T>,
    ) -> anyhow::Result<(T, Option<Self>)> {
        let Some(process) = pid.map(Process::new) else {
            return Ok((work.await, None));
        };
        let before = process.read()?;
        let mut largest_kb = before.rss_kb;
        let done = tokio::select! {
            done = work => done,
            never = process.watch(&mut largest_kb) => match never {},
        };
        Ok((
            done,
            Some(Self {
                process,
                before,
                largest_kb,
            }),
        ))
    }

    /// Adds memory and processor time to the report, shared out over `calls`.
    pub(crate) fn tell(&self, calls: usize, report: &mut Report) -> anyhow::Result<()> {
        let after = self.process.read()?;
        let mb = |kb: u64| kb as f64 / 1024.0;
        let grown = self.largest_kb.saturating_sub(self.before.rss_kb);
        let seconds = (after.at - self.before.at).as_secs_f64();
        let cpu_percent = (after.cpu_s - self.before.cpu_s) / seconds.max(0.001) * 100.0;
        report.value("server_rss_before_mb", mb(self.before.rss_kb));
        report.value("server_rss_largest_mb", mb(self.largest_kb));
        report.value("server_rss_after_mb", mb(after.rss_kb));
        report.value("server_peak_since_start_mb", mb(after.peak_kb));
        report.value(
            "server_rss_growth_per_call_kb",
            grown as f64 / calls.max(1) as f64,
        );
        report.value("server_cpu_percent_of_a_core", cpu_percent);
        report.value(
            "server_cpu_percent_per_call",
            cpu_percent / calls.max(1) as f64,
        );
        Ok(())
    }
}

/// A field of `/proc/PID/status` in kB.
fn kb(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// `utime + stime`, fields 14 and 15 of `/proc/PID/stat`; the name in field 2 may hold spaces.
fn ticks(stat: &str) -> u64 {
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    // the first field after the name is number 3
    fields
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_spaces() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0";
        assert_eq!(ticks(stat), 42);
        let status = "Name:\ta\nVmHWM:\t   20 kB\nVmRSS:\t   10 kB\n";
        assert_eq!((kb(status, "VmRSS:"), kb(status, "VmHWM:")), (10, 20));
        assert_eq!(kb(status, "VmSwap:"), 0);
    }
}
