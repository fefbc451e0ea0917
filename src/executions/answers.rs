//! A person answers a question. Of two answers the first that is on disk counts.

use aws_lc_rs::constant_time;
use serde_json::{Map, Value, json};

use crate::executions::question::Question;
use crate::executions::{Executions, control, inquiries, notices, settle};
use crate::model::execution::{End, Execution, Status, Step};
use crate::model::id::ExecutionId;
use crate::packs::{answer, secrets};
use crate::store::batch::Batch;
use crate::store::table::{self, Held};
use crate::store::{self};

/// Who an answer came from, where it came by a link.
const BY_LINK: &str = "link";

/// Why an answer was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unanswered {
    /// There is no such execution.
    #[error("there is no inquiry `{0}`")]
    NotFound(ExecutionId),
    /// It asks nobody.
    #[error("execution `{0}` is no inquiry")]
    NoInquiry(ExecutionId),
    /// The question is for others.
    #[error("inquiry `{inquiry}` is not for user `{user}`")]
    NotYours {
        /// The question.
        inquiry: ExecutionId,
        /// Who wanted to answer.
        user: String,
    },
    /// Somebody was faster.
    #[error("inquiry `{0}` has been answered already")]
    Already(ExecutionId),
    /// Its time is over.
    #[error("inquiry `{0}` has expired")]
    Expired(ExecutionId),
    /// It is not asked yet, or not any more.
    #[error("inquiry `{inquiry}` is `{status}` and waits for no answer")]
    NotAsked {
        /// The question.
        inquiry: ExecutionId,
        /// Where it stands.
        status: Status,
    },
    /// The answer does not fit.
    #[error("{}", problems.join("; "))]
    Unfit {
        /// The question.
        inquiry: ExecutionId,
        /// One line per finding.
        problems: Vec<String>,
    },
    /// The store did not take it.
    #[error("the answer could not be stored")]
    Store(#[from] store::Error),
}

impl Unanswered {
    /// The next step for whoever answered.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::NotFound(_) | Self::NoInquiry(_) => {
                "`ifso inquiry list` shows the questions that wait for an answer".to_owned()
            }
            Self::NotYours { inquiry, .. } => {
                format!("`ifso inquiry show {inquiry}` tells whom it asks")
            }
            Self::Already(inquiry) | Self::Expired(inquiry) => {
                format!("`ifso execution show {inquiry}` tells how it ended")
            }
            Self::NotAsked { inquiry, .. } => format!("`ifso execution show {inquiry}` tells why"),
            Self::Unfit { inquiry, .. } => {
                format!("`ifso inquiry show {inquiry}` tells what the answer must have")
            }
            Self::Store(error) => error.help()?.to_owned(),
        })
    }
}

impl Executions {
    /// Answers a question as `user`, who has `roles`; it is on disk when this returns.
    ///
    /// # Errors
    /// `Unanswered`, all of it.
    pub async fn answer(
        &self,
        id: ExecutionId,
        (user, roles): (&str, &[String]),
        response: &Map<String, Value>,
    ) -> Result<Execution, Unanswered> {
        loop {
            let (held, question) = self.asked(id).await?;
            if !question.is_for(user, roles) {
                return Err(Unanswered::NotYours { inquiry: id, user: user.to_owned() });
            }
            if let Some(answered) = self.take(held, question, user, response).await? {
                return Ok(answered);
            }
        }
    }

    /// Answers a question by its link: whoever has its secret may.
    ///
    /// # Errors
    /// `NotFound` where there is no such link; else as `answer`.
    pub async fn answer_by_link(
        &self,
        id: ExecutionId,
        secret: &str,
        response: &Map<String, Value>,
    ) -> Result<Execution, Unanswered> {
        loop {
            let (held, question) = self.asked(id).await?;
            if !opens(&held.row, secret) {
                return Err(Unanswered::NotFound(id));
            }
            if let Some(answered) = self.take(held, question, BY_LINK, response).await? {
                return Ok(answered);
            }
        }
    }

    /// The question behind a link, answered or not; nothing where the link is none of its.
    ///
    /// # Errors
    /// As `Store::get`.
    pub async fn behind_link(
        &self,
        id: ExecutionId,
        secret: &str,
    ) -> Result<Option<(Execution, Question)>, store::Error> {
        let found = self.get(id).await?.filter(|execution| opens(execution, secret));
        Ok(found.and_then(|execution| {
            let question = Question::of(&execution)?;
            Some((execution, question))
        }))
    }

    async fn asked(&self, id: ExecutionId) -> Result<(Held<Execution>, Question), Unanswered> {
        let key = id.to_bytes().to_vec();
        let held = table::get::<Execution>(&self.room.parts.store, key).await?;
        let held = held.ok_or(Unanswered::NotFound(id))?;
        if held.row.action.runner != "inquiry" {
            return Err(Unanswered::NoInquiry(id));
        }
        let status = held.row.status;
        let question =
            Question::of(&held.row).ok_or(Unanswered::NotAsked { inquiry: id, status })?;
        Ok((held, question))
    }

    /// Writes the answer; nothing where somebody wrote meanwhile, so that it is looked at anew.
    async fn take(
        &self,
        held: Held<Execution>,
        mut question: Question,
        by: &str,
        response: &Map<String, Value>,
    ) -> Result<Option<Execution>, Unanswered> {
        let room = &self.room;
        let (inquiry, now) = (held.row.id, room.parts.clock.now());
        match held.row.status {
            // The clock decides, not who looks at it first.
            Status::Pending if question.is_over(now) => return Err(Unanswered::Expired(inquiry)),
            Status::Pending => {}
            Status::Succeeded => return Err(Unanswered::Already(inquiry)),
            Status::Timeout => return Err(Unanswered::Expired(inquiry)),
            status => return Err(Unanswered::NotAsked { inquiry, status }),
        }
        let response = answer::check(&question.schema, response)
            .map_err(|problems| Unanswered::Unfit { inquiry, problems })?;
        question.response = Some(response);
        question.answered_by = Some(by.to_owned());
        question.answered_at = Some(now);
        let mut execution = held.row.clone();
        execution.reason = Some(match by {
            BY_LINK => "answered by link".to_owned(),
            user => format!("answered by `{user}`"),
        });
        execution.step(Step::End(End::Succeeded), now).expect("what is pending can end");
        let mut batch = Batch::new();
        inquiries::forget(&mut batch, inquiry, &question);
        notices::answered(room, (&execution, &question), now, &mut batch).await?;
        execution.secret |= secrets::find(&question.schema) != json!({});
        execution.result = question.into_result();
        control::told(room, &mut batch, &execution, now);
        settle::report(room, &execution, &mut batch, now);
        table::replace(&mut batch, &held, &execution);
        match room.parts.store.commit(batch).await {
            Ok(_) => {
                control::after(room, &execution);
                Ok(Some(execution))
            }
            Err(store::Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether this is the secret of one of the execution's links, in a time that tells nothing.
fn opens(execution: &Execution, secret: &str) -> bool {
    let hash = inquiries::hash(secret);
    execution.links.iter().any(|known| {
        constant_time::verify_slices_are_equal(known.as_bytes(), hash.as_bytes()).is_ok()
    })
}
