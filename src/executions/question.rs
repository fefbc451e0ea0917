//! A question as its execution keeps it, in `result`: StackStorm's fields, and ours beside them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::model::execution::Execution;
use crate::model::time::Time;
use crate::packs::schema;

/// The longest that anybody waits; more minutes than these are as good as no end.
const MINUTES_MOST: u32 = 100 * 365 * 24 * 60;

/// A question to people, and its answer once it is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// JSON Schema of the answer, in StackStorm's dialect.
    pub schema: Value,
    /// A word for the rules that tell people of it.
    pub route: String,
    /// Who may answer.
    pub users: Vec<String>,
    /// Whoever has one of these roles may answer too. Neither users nor roles: whoever may run actions.
    pub roles: Vec<String>,
    /// Minutes until it expires; 0: never.
    pub ttl: u64,
    /// The question, in words.
    #[serde(default)]
    pub message: String,
    /// When it was asked.
    pub asked: Time,
    /// When it expires.
    pub expires: Option<Time>,
    /// When and how it is asked louder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate: Option<Escalation>,
    /// When it was asked louder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated: Option<Time>,
    /// The answer. Secrets stand in clear here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Map<String, Value>>,
    /// Who answered: a user, or `link`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Time>,
}

/// What happens when nobody answers in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// When.
    pub at: Time,
    /// The route that it takes then.
    pub route: String,
}

/// What was given, as the runner describes it.
#[derive(Deserialize)]
struct Given {
    schema: Value,
    #[serde(default)]
    route: String,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    ttl: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    escalate: Option<GivenEscalation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenEscalation {
    after: f64,
    route: String,
}

impl Question {
    /// The question that an execution asks or asked; nothing where it is no question, or not asked yet.
    #[must_use]
    pub fn of(execution: &Execution) -> Option<Self> {
        if execution.action.runner != "inquiry" {
            return None;
        }
        serde_json::from_value(execution.result.clone()).ok()
    }

    /// The question that these parameters make, asked at `now`.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    pub(super) fn asked(parameters: Map<String, Value>, now: Time) -> Result<Self, String> {
        let given: Given =
            serde_json::from_value(Value::Object(parameters)).map_err(|error| error.to_string())?;
        schema::compile(&given.schema).map_err(|error| format!("`schema` is {error}"))?;
        let ttl = u64::try_from(given.ttl).unwrap_or(0);
        let after = |minutes: f64| now.plus(Duration::from_secs_f64(minutes * 60.0));
        let escalate = match given.escalate {
            None => None,
            Some(given) if (0.0..f64::from(MINUTES_MOST)).contains(&given.after) => {
                Some(Escalation { at: after(given.after), route: given.route })
            }
            Some(given) => {
                return Err(format!("`escalate.after` is {}, which is no span", given.after));
            }
        };
        Ok(Self {
            schema: given.schema,
            route: given.route,
            users: given.users,
            roles: given.roles,
            ttl,
            message: given.message,
            asked: now,
            expires: (1..u64::from(MINUTES_MOST))
                .contains(&ttl)
                .then(|| now.plus(Duration::from_secs(ttl * 60))),
            escalate,
            escalated: None,
            response: None,
            answered_by: None,
            answered_at: None,
        })
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Time) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether it is to be asked louder now.
    pub(super) fn louder(&self, now: Time) -> Option<&Escalation> {
        let waits = self.escalated.is_none();
        self.escalate.as_ref().filter(|escalate| waits && escalate.at <= now)
    }

    /// Whether this user may answer.
    #[must_use]
    pub fn is_for(&self, user: &str, roles: &[String]) -> bool {
        let anybody = self.users.is_empty() && self.roles.is_empty();
        anybody
            || self.users.iter().any(|one| one == user)
            || self.roles.iter().any(|one| roles.contains(one))
    }

    /// The times at which it is looked at again.
    pub(super) fn dues(&self) -> impl Iterator<Item = Time> {
        self.expires.into_iter().chain(self.escalate.as_ref().map(|escalate| escalate.at))
    }

    pub(super) fn into_result(self) -> Value {
        json!(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(parameters: Value) -> Result<Question, String> {
        let Value::Object(parameters) = parameters else { panic!("not an object") };
        Question::asked(parameters, Time::from_millis(0))
    }

    #[test]
    fn a_question_expires_after_its_minutes_and_one_of_none_never() {
        for (ttl, expires) in [(0, None), (-1, None), (1, Some(60_000)), (1440, Some(86_400_000))] {
            let question = asked(json!({ "schema": {}, "ttl": ttl })).unwrap();
            assert_eq!(question.expires.map(Time::millis), expires, "{ttl}");
        }
        let never = asked(json!({ "schema": {}, "ttl": i64::MAX })).unwrap();
        assert_eq!(never.expires, None);
    }

    #[test]
    fn what_cannot_be_asked_is_told() {
        for (parameters, said) in [
            (json!({ "schema": { "type": "nothing" } }), "`schema` is not a JSON Schema"),
            (json!({ "schema": {}, "escalate": { "after": 5 } }), "missing field `route`"),
            (
                json!({ "schema": {}, "escalate": { "after": -5, "route": "x" } }),
                "`escalate.after` is -5, which is no span",
            ),
        ] {
            let error = asked(parameters).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn whoever_is_named_or_has_a_role_that_is_may_answer() {
        let ask = |users: Value, roles: Value| {
            asked(json!({ "schema": {}, "users": users, "roles": roles })).unwrap()
        };
        let roles = ["operator".to_owned()];
        for (users, wanted, may) in [
            (json!([]), json!([]), true),
            (json!(["ann"]), json!([]), true),
            (json!(["bob"]), json!([]), false),
            (json!(["bob"]), json!(["operator"]), true),
            (json!([]), json!(["admin"]), false),
        ] {
            assert_eq!(
                ask(users.clone(), wanted.clone()).is_for("ann", &roles),
                may,
                "{users} {wanted}"
            );
        }
    }
}
