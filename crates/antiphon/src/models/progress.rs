//! Tells the person at the terminal how far a download is: one moving line, or plain lines when
//! nobody watches (a log file, CI). `fetch` and `pull` report to it.
//! It never writes to standard output, which belongs to a command's result.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use tokio::time::Instant;

use crate::space::megabytes;

/// Shortest time between two redraws of the moving line.
const REDRAW: Duration = Duration::from_millis(100);
/// Width of the bar in characters.
const BAR: usize = 24;

/// Where progress goes, and how.
pub(crate) struct Progress {
    out: Box<dyn Write + Send>,
    style: Style,
    current: Option<Transfer>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Moving,
    Plain,
}

struct Transfer {
    label: String,
    total: u64,
    done: u64,
    /// Bytes that were on the disk before this run, so that the speed counts only the network's.
    resumed: u64,
    since: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    /// Progress on standard error, as a moving line if that is a terminal.
    pub(crate) fn stderr() -> Self {
        let err = io::stderr();
        let style = if err.is_terminal() {
            Style::Moving
        } else {
            Style::Plain
        };
        Self {
            out: Box::new(err),
            style,
            current: None,
        }
    }

    /// Plain lines to `out`.
    #[cfg(test)]
    pub(crate) fn plain(out: impl Write + Send + 'static) -> Self {
        Self {
            out: Box::new(out),
            style: Style::Plain,
            current: None,
        }
    }

    /// One line of its own.
    pub(crate) fn note(&mut self, line: &str) {
        let clear = if self.style == Style::Moving {
            "\r\x1b[K"
        } else {
            ""
        };
        // a closed terminal is no reason to stop a download
        let _ = writeln!(self.out, "{clear}{line}");
    }

    /// A transfer of `total` bytes begins, `done` of which are already here.
    pub(crate) fn begin(&mut self, label: &str, total: u64, done: u64) {
        let label = label.to_owned();
        if self.style == Style::Plain {
            let from = if done > 0 {
                format!(", {} of it here", megabytes(done))
            } else {
                String::new()
            };
            self.note(&format!("fetching {label} ({}{from})", megabytes(total)));
        }
        let since = Instant::now();
        self.current = Some(Transfer {
            label,
            total,
            done,
            resumed: done,
            since,
            drawn: None,
        });
    }

    /// The transfer stands at `done` bytes.
    pub(crate) fn at(&mut self, done: u64) {
        let Some(transfer) = &mut self.current else {
            return;
        };
        transfer.done = done;
        transfer.resumed = transfer.resumed.min(done);
        let due = transfer.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        if self.style == Style::Moving && due {
            transfer.drawn = Some(Instant::now());
            let line = transfer.line();
            let _ = write!(self.out, "\r\x1b[K{line}");
            let _ = self.out.flush();
        }
    }

    /// The transfer is over; `outcome` is one word or a short sentence.
    pub(crate) fn end(&mut self, outcome: &str) {
        if let Some(transfer) = self.current.take() {
            let seconds = transfer.since.elapsed().as_secs_f64();
            self.note(&format!(
                "{} {outcome} after {seconds:.1} s",
                transfer.label
            ));
        }
    }
}

impl Transfer {
    fn line(&self) -> String {
        let share = self.done as f64 / self.total.max(1) as f64;
        let filled = ((share * BAR as f64) as usize).min(BAR);
        let bar = format!("{}{}", "=".repeat(filled), " ".repeat(BAR - filled));
        let seconds = self.since.elapsed().as_secs_f64();
        let speed = (self.done - self.resumed) as f64 / seconds.max(0.001);
        let left = (self.total.saturating_sub(self.done)) as f64 / speed.max(1.0);
        let left = if left < 3600.0 {
            format!("{left:.0} s left")
        } else {
            "…".to_owned()
        };
        format!(
            "{:<34} [{bar}] {:>3.0} % of {}, {}/s, {left}",
            self.label,
            share * 100.0,
            megabytes(self.total),
            megabytes(speed as u64),
        )
    }
}
