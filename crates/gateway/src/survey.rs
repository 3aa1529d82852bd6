//! The survey by text: whose questions are asked in which words, who gets a code, and where answers go.
//! Asked by `edge::survey` for what a dialogue cannot know by itself, and by the REST routes of `/v1/surveys`.
//! Never lets an address be mailed to without a limit, and never calls an answer stored before it is.

mod codes;
mod file;
pub(crate) mod mind;
mod places;
mod results;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use engine::survey::{
    Address, Ask, Dialect, Given, Input, Locale, Manner, PlusTags, Questions, Response,
    SurveyFound, Verdict, answers,
};
use store::live::surveys::{Checked, Sent};
use store::live::{Limiter, Surveys};
use store::{Added, Counted, NewResponse, QuestionSet, Sql, StoreError};
use wire::rest::surveys::{Answer, Question};

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::mail::Mailer;
use crate::observe::Metrics;

pub use self::codes::Requested;
pub use self::file::SurveyFileError;
use self::places::Places;
pub(crate) use self::places::{Full, Place};
pub(crate) use self::results::{cell, csv_line, is_id, results};

/// Question sets of a tenant, at most.
pub(crate) const SETS: u32 = 1000;

/// Who is spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    /// In which dialect.
    pub(crate) dialect: Dialect,
    /// Its answers are stored under this, once.
    pub(crate) response: String,
    /// From where.
    pub(crate) ip: Option<IpAddr>,
}

/// What the survey's door asks.
#[derive(Debug)]
pub struct Desk {
    config: config::Survey,
    print_codes: bool,
    sql: Sql,
    live: Surveys,
    limiter: Limiter,
    clock: Clock,
    mailer: Mailer,
    metrics: Metrics,
    manners: [Arc<Manner>; 2],
    /// The set that was asked last: dialogues share it.
    last: Mutex<Option<(DateTime<Utc>, Arc<Questions>)>>,
    places: Places,
}

/// What a desk works with.
pub(crate) struct Around {
    pub(crate) clock: Clock,
    pub(crate) mailer: Mailer,
    pub(crate) metrics: Metrics,
}

/// What keeps a survey from being asked.
#[derive(Debug, thiserror::Error)]
pub enum SurveySettings {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] SurveyFileError),
    /// The questions of the file cannot be stored.
    #[error("cannot store the questions of survey.questions_file")]
    Store(#[from] StoreError),
}

impl Desk {
    /// As configured; stores the questions of a file and has them asked.
    ///
    /// # Errors
    /// [`SurveySettings`].
    pub(crate) async fn open(
        config: &Config,
        store: &store::Store,
        around: Around,
    ) -> Result<Self, SurveySettings> {
        let survey = config.survey.clone();
        let texts = file::texts(survey.locale_file.as_deref())?;
        let mut manners = Vec::new();
        for dialect in Dialect::ALL {
            let mut locale = match survey.words.as_str() {
                "plain" => Locale::plain_words(dialect),
                _ => Locale::compat(dialect),
            };
            file::replace(&mut locale, &texts, survey.locale_file.as_deref())?;
            manners.push(Arc::new(Manner {
                dialect,
                locale,
                close_after_ms: survey.close_after_s * 1000,
            }));
        }
        let manners = [Arc::clone(&manners[0]), Arc::clone(&manners[1])];
        if let Some(path) = &survey.questions_file {
            let now = around.clock.utc();
            file::store(path, (&store.sql, &survey.tenant), now).await?;
        }
        Ok(Self {
            print_codes: config.mail.print_codes,
            sql: store.sql.clone(),
            live: Surveys::new(store.sql.clone(), &store.live),
            limiter: store.live.limiter.clone(),
            clock: around.clock,
            mailer: around.mailer,
            metrics: around.metrics,
            manners,
            last: Mutex::default(),
            places: Places::new(survey.max_dialogues, survey.dialogues_per_ip),
            config: survey,
        })
    }

    /// How a dialect is led.
    pub(crate) fn manner(&self, dialect: Dialect) -> Arc<Manner> {
        let [current, first] = &self.manners;
        Arc::clone(match dialect {
            Dialect::V3c => current,
            Dialect::V1 => first,
        })
    }

    /// The dialect of the door.
    pub(crate) fn dialect(&self) -> Dialect {
        Dialect::parse(&self.config.dialect).unwrap_or_default()
    }

    /// Codes and dialogues.
    pub(crate) fn live(&self) -> &Surveys {
        &self.live
    }

    /// Whose questions are asked.
    pub(crate) fn tenant(&self) -> &str {
        &self.config.tenant
    }

    /// A place for one more dialogue, held until it is dropped.
    pub(crate) fn place(&self, ip: Option<IpAddr>) -> Result<Place, Full> {
        self.places.take(ip)
    }

    /// Finds out or does what a dialogue asks for.
    pub(crate) async fn answer(&self, of: &Conversation, ask: Ask) -> Input<'static> {
        let answered = match ask {
            Ask::FindCode(address) => self.find_code(&address).await.map(Input::Code),
            Ask::SendCode(address) => self.send_code(of, &address).await.map(Input::Code),
            Ask::CheckCode(address, code) => {
                let verdict = self.check_code(&address, &code).await;
                verdict.map(Input::Verdict)
            }
            Ask::FindSurvey(address) => {
                let found = self.find_survey(address.as_ref()).await;
                found.map(Input::Survey)
            }
            Ask::Save(response) => match self.save(of, &response).await {
                Ok(Added::NoSet) => Ok(Input::Failed),
                Ok(added) => Ok(Input::Saved(added == Added::Stored)),
                Err(error) => Err(error),
            },
        };
        answered.unwrap_or_else(|error| {
            tracing::error!(
                error = %crate::auth::chain(&error),
                response = of.response,
                "a survey's dialogue could not go on; its client is asked to try again"
            );
            Input::Failed
        })
    }

    async fn find_code(&self, address: &Address) -> Result<Given, StoreError> {
        let now = self.clock.utc();
        let mailbox = address.mailbox();
        let found = self.live.find_code(self.tenant(), &mailbox, now).await?;
        Ok(found.map_or(Given::None, |mailed| until(mailed.expires_at)))
    }

    async fn send_code(&self, of: &Conversation, address: &Address) -> Result<Given, StoreError> {
        let requested = self.request_code(address, of.ip, of.dialect, "").await?;
        Ok(match requested {
            Requested::Mailed(expires_at) => until(expires_at),
            Requested::TooMany(_) => Given::TooMany,
            Requested::NotMailed | Requested::NoMail => Given::NotSent,
        })
    }

    async fn check_code(&self, address: &Address, code: &str) -> Result<Verdict, StoreError> {
        let mailbox = address.mailbox();
        let sent = Sent {
            mailbox: &mailbox,
            code,
        };
        let now = self.clock.utc();
        let attempts = self.config.code_attempts;
        let checked = self.live.check_code(self.tenant(), sent, attempts, now);
        let (verdict, outcome) = match checked.await? {
            Checked::Right => (Verdict::Right, "right"),
            Checked::Wrong { left } => (Verdict::Wrong { left }, "wrong"),
            Checked::Burned => (Verdict::Burned, "burned"),
            Checked::None => (Verdict::Gone, "gone"),
        };
        self.metrics.code(outcome);
        Ok(verdict)
    }

    async fn find_survey(&self, address: Option<&Address>) -> Result<SurveyFound, StoreError> {
        let Some(set) = self.sql.find_question_set(self.tenant(), None).await? else {
            return Ok(SurveyFound::None);
        };
        if let Some(address) = address {
            let person = self.person(address).await?;
            let answered = self.sql.has_answered(self.tenant(), &set.id, &person);
            if answered.await? {
                return Ok(SurveyFound::Answered);
            }
        }
        Ok(self
            .shared(set)
            .map_or(SurveyFound::None, SurveyFound::Open))
    }

    /// The questions of a set as all its dialogues share them.
    fn shared(&self, set: QuestionSet) -> Option<Arc<Questions>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, known)) = &*last
            && (*made, &known.id) == (set.created_at, &set.id)
        {
            return Some(Arc::clone(known));
        }
        let made = set.created_at;
        let questions = Arc::new(questions(set)?);
        *last = Some((made, Arc::clone(&questions)));
        Some(questions)
    }

    /// Who has this address, as the tables have it.
    async fn person(&self, address: &Address) -> Result<String, StoreError> {
        let tags = if self.config.plus_tags_are_one_person {
            PlusTags::SamePerson
        } else {
            PlusTags::OtherPerson
        };
        self.sql.person(&address.person(tags)).await
    }

    async fn save(&self, of: &Conversation, response: &Response) -> Result<Added, StoreError> {
        let person = self.person(&response.address).await?;
        let kept = Kept {
            who: response.address.as_typed(),
            person: &person,
            id: &of.response,
        };
        self.store(
            self.tenant(),
            &kept,
            (&response.questions.id, &response.answers),
        )
        .await
    }

    /// Stores somebody's answers to a set of `tenant`, once.
    pub(crate) async fn store(
        &self,
        tenant: &str,
        kept: &Kept<'_>,
        (set, answers): (&str, &[Answer]),
    ) -> Result<Added, StoreError> {
        let content = serde_json::json!({ "email": kept.who, "answers": answers }).to_string();
        let counted: Vec<Counted> = answers.iter().map(counted).collect();
        let new = NewResponse {
            id: kept.id,
            question_set: set,
            person: kept.person,
            content: &content,
            answers: &counted,
            completed_at: self.clock.utc(),
        };
        let added = self.sql.add_response(tenant, &new).await;
        self.metrics.responded(match &added {
            Ok(Added::Stored) => "stored",
            Ok(Added::AnsweredBefore) => "answered_before",
            Ok(Added::NoSet) => "no_set",
            Err(_) => "failed",
        });
        added
    }
}

/// Whose answers are stored, and under which name.
pub(crate) struct Kept<'a> {
    /// The address, or whatever else tells who it was; personal.
    pub(crate) who: &'a str,
    /// What stands for it in the tables.
    pub(crate) person: &'a str,
    /// Names the answers: the same again changes nothing.
    pub(crate) id: &'a str,
}

/// The questions of a stored set; `None` for one that cannot be asked.
pub(crate) fn questions(set: QuestionSet) -> Option<Questions> {
    let read: Result<Vec<Question>, _> = serde_json::from_value(set.questions);
    let questions = read.ok().filter(|it| answers::check(&set.name, it).is_ok());
    if questions.is_none() {
        tracing::error!(set = set.id, "a stored question set cannot be asked");
    }
    Some(Questions {
        id: set.id,
        name: set.name,
        questions: questions?,
    })
}

fn counted(answer: &Answer) -> Counted {
    match answer {
        Answer::YesNo(yes) => Counted::Choice(if *yes { "yes" } else { "no" }.to_owned()),
        Answer::Choice(option) => Counted::Choice(option.clone()),
        Answer::Number(number) => Counted::Number(*number),
        Answer::Text(_) => Counted::Words,
    }
}

fn until(expires_at: DateTime<Utc>) -> Given {
    Given::Until(expires_at.timestamp_millis().unsigned_abs())
}
