//! Codes: how often one is mailed, to whom, and what it says.
//! Called by the route `/request-code` and by dialogues of the first dialect.
//! Never mails a second code to an address whose last one counts and was mailed a moment ago, and never logs one.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::rand;
use chrono::{DateTime, TimeDelta, Utc};
use engine::guard::Rate;
use engine::survey::{Address, Dialect, Phrase, PlusTags};
use store::StoreError;
use store::live::limiter::{Decider, Demand, Level, LevelKind};
use store::live::surveys::Sent;

use super::Desk;
use crate::auth::lockout::network;
use crate::mail::{Mail, Posted};

/// How long whoever asks for a code waits to hear whether it could be mailed; it is tried on after that.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time that limits of codes are for, in ms.
const HOUR_MS: u64 = 3_600_000;

/// What came of a request for a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requested {
    /// One was mailed, now or a moment ago, and counts until then.
    Mailed(DateTime<Utc>),
    /// Too many were asked for; some may be had after so many s.
    TooMany(u64),
    /// The mail server will not take it.
    NotMailed,
    /// No mail can be sent at all at present.
    NoMail,
}

impl Desk {
    /// How long a code counts in a dialect.
    pub(crate) fn code_ttl(&self, dialect: Dialect) -> TimeDelta {
        let seconds = match dialect {
            Dialect::V3c => self.config.code_ttl_s,
            Dialect::V1 => self.config.dialogue_code_ttl_s,
        };
        TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 1_000_000))
    }

    /// The same in whole minutes, as people are told.
    pub(crate) fn code_minutes(&self, dialect: Dialect) -> i64 {
        self.code_ttl(dialect).num_minutes().max(1)
    }

    /// Mails a code to `address`, because somebody at `ip` asks; `url` is where it is to be typed.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was mailed then.
    pub(crate) async fn request_code(
        &self,
        address: &Address,
        ip: Option<IpAddr>,
        dialect: Dialect,
        url: &str,
    ) -> Result<Requested, StoreError> {
        let now = self.clock.utc();
        let mailbox = address.mailbox();
        let cooldown = TimeDelta::seconds(self.config.code_cooldown_s as i64);
        let last = self.live.find_code(self.tenant(), &mailbox, now).await?;
        if let Some(last) = last.filter(|last| now - last.created_at < cooldown) {
            self.metrics.code("mailed_already");
            return Ok(Requested::Mailed(last.expires_at));
        }
        if !(self.mailer.has_server() || self.print_codes) {
            self.metrics.code("no_mail");
            return Ok(Requested::NoMail);
        }
        if let Some(wait_s) = self.refused(address, ip, now).await? {
            self.metrics.code("too_many");
            return Ok(Requested::TooMany(wait_s));
        }
        let Some(code) = digits(self.config.code_digits) else {
            tracing::error!("the system gives no random numbers: no code can be made");
            return Ok(Requested::NoMail);
        };
        let expires_at = now + self.code_ttl(dialect);
        let sent = Sent {
            mailbox: &mailbox,
            code: &code,
        };
        self.live
            .put_code(self.tenant(), sent, (now, expires_at))
            .await?;
        let posted = self.mail(address, (dialect, url), &code).await;
        let requested = match posted {
            Posted::Sent | Posted::Delayed => Requested::Mailed(expires_at),
            Posted::Refused => Requested::NotMailed,
            Posted::Full | Posted::NoServer => Requested::NoMail,
        };
        self.metrics.code(match requested {
            Requested::Mailed(_) => "mailed",
            _ => "not_mailed",
        });
        if !matches!(requested, Requested::Mailed(_)) {
            // so that the next request need not wait for one that nobody has
            self.live.withdraw_code(self.tenant(), sent).await?;
        }
        Ok(requested)
    }

    /// For how long no code may be asked for, in s, if that is so; counts the request if not.
    async fn refused(
        &self,
        address: &Address,
        ip: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<Option<u64>, StoreError> {
        let level = |kind, id: String, limit| Level {
            kind,
            id: format!("survey:{id}"),
            requests: Some(Rate::new(limit, HOUR_MS)),
            tokens: None,
            audio_s: None,
        };
        // a tag is no way round the limit, whoever it is taken for; and whoever reads Redis sees a print
        let person = address.person(PlusTags::SamePerson);
        let person = self.sql.person(&person).await?;
        let mut levels = vec![level(
            LevelKind::Mailbox,
            format!("{}:{person}", self.tenant()),
            self.config.codes_per_mailbox_per_hour,
        )];
        if let Some(ip) = ip {
            let limit = self.config.codes_per_ip_per_hour;
            levels.push(level(LevelKind::Ip, network(ip).to_string(), limit));
        }
        let now_ms = now.timestamp_millis().unsigned_abs();
        let decision = self.limiter.take(&levels, Demand::REQUEST, now_ms).await;
        if decision.decider == Decider::Degraded {
            self.metrics.decided_locally();
        }
        Ok(decision.outcome.err().map(|refused| {
            let wait_ms = refused.retry_after_ms.unwrap_or(HOUR_MS);
            wait_ms.div_ceil(1000).max(1)
        }))
    }

    async fn mail(&self, address: &Address, (dialect, url): (Dialect, &str), code: &str) -> Posted {
        if self.print_codes {
            // what may not be logged is written past the log, for the developer at this terminal
            use std::io::Write as _;
            let line = format!("\n  Code for {}: {code}\n", address.as_typed());
            let _ = writeln!(std::io::stderr(), "{line}");
            return Posted::Sent;
        }
        let manner = self.manner(dialect);
        let minutes = self.code_minutes(dialect).to_string();
        let values = [("code", code), ("minutes", &minutes), ("url", url)];
        let mail = Mail {
            to: address.as_typed().to_owned(),
            subject: manner.locale.fill(Phrase::MailSubject, &values),
            body: manner.locale.fill(Phrase::MailBody, &values),
        };
        self.mailer.post(mail, PATIENCE).await
    }
}

/// So many random digits, each as likely as the others.
fn digits(count: u32) -> Option<String> {
    let mut text = String::new();
    let mut bytes = [0; 32];
    while text.len() < count as usize {
        rand::fill(&mut bytes).ok()?;
        // 250 is the largest multiple of ten that a byte holds: what lies above would favour some digits
        let fair = bytes.iter().filter(|byte| **byte < 250);
        let digits = fair.map(|byte| char::from(b'0' + byte % 10));
        text.extend(digits.take(count as usize - text.len()));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_length_and_all_digits() {
        let mut seen = [0_u32; 10];
        for count in 4..=10 {
            for _ in 0..300 {
                let code = digits(count).unwrap();
                assert_eq!(code.len(), count as usize);
                for digit in code.bytes() {
                    seen[usize::from(digit - b'0')] += 1;
                }
            }
        }
        // 14,700 digits; far from even would be a fault
        assert!(
            seen.iter().all(|count| (1200..1750).contains(count)),
            "{seen:?}"
        );
    }
}
