//! Which executions a list wants: StackStorm's filters, answered from the best index there is.

use std::time::Duration;

use crate::api::call::Call;
use crate::api::object;
use crate::api::paging::{Listing, Page};
use crate::api::problem::Problem;
use crate::auth::{Caller, Right};
use crate::model::cause::Cause;
use crate::model::execution::{Execution, Status};
use crate::model::id::{EventId, ExecutionId};
use crate::model::time::Time;
use crate::store::table::{self, Row, Rows};
use crate::store::{Error, Handle, Order};

/// Query parameters of the list, for the OpenAPI page.
pub(crate) const QUERY: &[(&str, &str)] = &[
    ("action", "Only executions of this action."),
    ("status", "Only those in this status; several parted by commas."),
    ("parent", "Only parts of this execution; `null`: only those that are no part."),
    ("rule", "Only those that this rule wanted."),
    ("runner", "Only those of actions of this runner."),
    ("trigger_instance", "Only those that this event led to."),
    ("user", "Only those of this user."),
    ("id", "Only these, parted by commas."),
    ("timestamp_gt", "Only those accepted at or after this time (RFC 3339)."),
    ("timestamp_lt", "Only those accepted at or before this time (RFC 3339)."),
    ("timestamp", "Only those accepted in `from..to`."),
    ("sort_asc", "`true`: oldest first."),
    ("sort_desc", "`true`: newest first, as unless given."),
    ("filter", "StackStorm's form: `rule.name:x`, `runner.name:x`, `context.user:x`, …"),
];

/// Rows that one list looks at: what is rarer is found with a narrower filter.
const LOOK_LIMIT: usize = 100_000;
/// Rows beyond the page that are counted for `X-Total-Count`.
const COUNT_LIMIT: usize = 1000;
/// Rows read at once.
const CHUNK: usize = 256;

/// What an execution must be to be listed.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    action: Option<String>,
    statuses: Vec<Status>,
    parent: Option<Parent>,
    rule: Option<String>,
    runner: Option<String>,
    event: Option<EventId>,
    user: Option<String>,
    ids: Option<Vec<ExecutionId>>,
    from: Option<Time>,
    to: Option<Time>,
    oldest_first: bool,
    /// Who looks, where that is somebody who may not see all.
    only: Option<Caller>,
    /// A filter names what cannot exist.
    nothing: bool,
}

/// Of what an execution is a part.
#[derive(Debug, Clone, Copy)]
enum Parent {
    Nobody,
    Of(ExecutionId),
}

impl Parent {
    fn fits(self, parent: Option<ExecutionId>) -> bool {
        match self {
            Self::Nobody => parent.is_none(),
            Self::Of(wanted) => parent == Some(wanted),
        }
    }
}

impl Filter {
    /// Only parts of `parent`, oldest first.
    pub(crate) fn under(parent: ExecutionId) -> Self {
        Self { parent: Some(Parent::Of(parent)), oldest_first: true, ..Self::default() }
    }

    /// Only questions that wait for an answer, oldest first.
    pub(crate) fn asked() -> Self {
        let (statuses, runner) = (vec![Status::Pending], Some("inquiry".to_owned()));
        Self { statuses, runner, oldest_first: true, ..Self::default() }
    }

    /// Reads the query.
    ///
    /// # Errors
    /// 400 where a parameter cannot be read.
    pub(crate) fn of(call: &Call) -> Result<Self, Problem> {
        let mut filter = Self::default();
        for (name, value) in call.query.iter().filter(|(_, value)| !value.is_empty()) {
            filter.take(name, value)?;
        }
        filter.from = call.time("timestamp_gt")?.or(filter.from);
        filter.to = call.time("timestamp_lt")?.or(filter.to);
        filter.only = call.caller.clone().filter(|caller| !caller.may(Right::View));
        Ok(filter)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        match name {
            "action" | "action.ref" => self.action = Some(value.to_owned()),
            "status" => {
                for word in value.split(',') {
                    let status = word.trim().parse();
                    self.statuses.push(status.map_err(|e| bad("status", &e))?);
                }
            }
            "parent" if value == "null" => self.parent = Some(Parent::Nobody),
            "parent" => self.parent = self.id(value).map(Parent::Of),
            "rule" | "rule.name" | "rule.ref" => self.rule = Some(value.to_owned()),
            "runner" | "runner.name" => self.runner = Some(value.to_owned()),
            "trigger_instance" | "trigger_instance.id" => self.event = self.id(value),
            "user" | "context.user" => self.user = Some(value.to_owned()),
            "id" => {
                let ids = value.split(',').map(|text| text.trim().parse());
                self.ids = Some(ids.collect::<Result<_, _>>().map_err(|e| bad("id", &e))?);
            }
            "timestamp" => self.between(value)?,
            "sort_asc" => self.oldest_first = value.eq_ignore_ascii_case("true"),
            "filter" => {
                for part in value.split(',') {
                    let Some((field, wanted)) = part.split_once(':') else {
                        let message = format!("invalid format for filter \"{part}\"");
                        return Err(Problem::bad("bad_query", message));
                    };
                    if !FIELDS.contains(&field) {
                        let message = format!("Cannot resolve field \"{field}\"");
                        return Err(Problem::bad("bad_query", message)
                            .help(format!("the fields are {}", FIELDS.join(", "))));
                    }
                    self.take(field, wanted)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// An id; what has not the form of one names nothing that exists.
    fn id<T: std::str::FromStr>(&mut self, text: &str) -> Option<T> {
        let read = text.parse().ok();
        self.nothing |= read.is_none();
        read
    }

    fn between(&mut self, value: &str) -> Result<(), Problem> {
        let Some((from, to)) = value.split_once("..") else {
            let message = format!("`timestamp`: `{value}` is not `from..to`");
            return Err(Problem::bad("bad_query", message));
        };
        let from: Time = from.parse().map_err(|e| bad("timestamp", &e))?;
        let to: Time = to.parse().map_err(|e| bad("timestamp", &e))?;
        // Written the other way round, it also says the order.
        self.oldest_first |= from <= to;
        (self.from, self.to) = (Some(from.min(to)), Some(from.max(to)));
        Ok(())
    }

    fn fits(&self, execution: &Execution) -> bool {
        let action = &execution.action;
        let by_rule = |wanted: &String| match &execution.cause {
            Cause::Rule { rule, .. } => rule.as_str() == wanted || rule.name() == wanted,
            _ => false,
        };
        let by_event = |wanted: EventId| match &execution.cause {
            Cause::Rule { event, .. } => *event == wanted,
            _ => false,
        };
        self.action.as_ref().is_none_or(|wanted| action.reference.as_str() == wanted)
            && (self.statuses.is_empty() || self.statuses.contains(&execution.status))
            && self.parent.is_none_or(|wanted| wanted.fits(execution.parent))
            && self.rule.as_ref().is_none_or(by_rule)
            && self.runner.as_ref().is_none_or(|w| *w == action.runner || *w == action.runner_type)
            && self.event.is_none_or(by_event)
            && self.user.as_ref().is_none_or(|wanted| *wanted == execution.user)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&execution.id))
            && self.from.is_none_or(|from| execution.created >= from)
            && self.to.is_none_or(|to| execution.created <= to)
            && self
                .only
                .as_ref()
                .is_none_or(|caller| caller.may_of(Right::View, &object::own(execution)))
    }

    /// The index that leaves the fewest rows to look at.
    fn index(&self) -> Option<(&'static str, Vec<u8>)> {
        if let Some(event) = self.event {
            return Some(("event", event.to_bytes().to_vec()));
        }
        if let Some(Parent::Of(parent)) = self.parent {
            return Some(("parent", parent.to_bytes().to_vec()));
        }
        let action = self.action.as_ref().map(|action| ("action", action.clone().into_bytes()));
        let rule = self.rule.as_ref().filter(|rule| rule.contains('.'));
        let rule = rule.map(|rule| ("rule", rule.clone().into_bytes()));
        let status = match self.statuses.as_slice() {
            [one] => Some(("status", one.word().as_bytes().to_vec())),
            _ => None,
        };
        // Few executions are under way at any time; many of one action or rule may have ended.
        let under_way = status.clone().filter(|_| !self.statuses[0].is_done());
        under_way.or(rule).or(action).or(status)
    }

    /// One page, in order.
    ///
    /// # Errors
    /// As `Store::scan`.
    pub(crate) async fn page(
        &self,
        store: &Handle,
        page: Page,
    ) -> Result<Listing<Execution>, Error> {
        let mut listing = Listing { rows: Vec::new(), total: 0, more: false, limit: page.limit };
        if self.nothing {
            return Ok(listing);
        }
        if let Some(ids) = &self.ids {
            return self.named(store, ids, page).await;
        }
        let order = if self.oldest_first { Order::Up } else { Order::Down };
        let mut after = self.start();
        let (mut looked, enough) = (0, page.offset + page.limit + COUNT_LIMIT);
        loop {
            let rows = Rows { order, ..Rows::first(CHUNK) }.after(after.take());
            let found = match self.index() {
                Some((field, value)) => {
                    table::find::<Execution>(store, field, &value, rows).await?
                }
                None => table::scan::<Execution>(store, rows).await?,
            };
            let whole = found.len() == CHUNK;
            looked += found.len();
            after = found.last().map(|held| held.row.key());
            let past = found.last().is_some_and(|held| self.is_past(&held.row));
            for held in found.into_iter().filter(|held| self.fits(&held.row)) {
                if listing.total >= page.offset && listing.rows.len() < page.limit {
                    listing.rows.push(held.row);
                }
                listing.total += 1;
            }
            if !whole || past {
                return Ok(listing);
            }
            if listing.total >= enough || looked >= LOOK_LIMIT {
                listing.more = true;
                return Ok(listing);
            }
        }
    }

    /// Ids begin with the time of their making: where times are asked for, the scan begins there.
    fn start(&self) -> Option<Vec<u8>> {
        let edge = if self.oldest_first {
            self.from.map(|from| from.minus(SLACK))
        } else {
            self.to.map(|to| to.plus(SLACK))
        };
        edge.map(|time| {
            let millis = u128::try_from(time.millis()).unwrap_or(0) & 0xffff_ffff_ffff;
            ExecutionId::from_bits(millis << 80).to_bytes().to_vec()
        })
    }

    /// Whether everything beyond `execution` lies outside the times that are asked for.
    fn is_past(&self, execution: &Execution) -> bool {
        if self.oldest_first {
            self.to.is_some_and(|to| execution.created > to.plus(SLACK))
        } else {
            self.from.is_some_and(|from| execution.created < from.minus(SLACK))
        }
    }

    async fn named(
        &self,
        store: &Handle,
        ids: &[ExecutionId],
        page: Page,
    ) -> Result<Listing<Execution>, Error> {
        let mut rows = Vec::new();
        for id in ids.iter().take(crate::api::paging::LIMIT_MOST) {
            let held = table::get::<Execution>(store, id.to_bytes().to_vec()).await?;
            rows.extend(held.map(|held| held.row).filter(|row| self.fits(row)));
        }
        Ok(page.cut(rows))
    }
}

/// By how much an id's time may differ from the time of acceptance: a clock that was set.
const SLACK: Duration = Duration::from_hours(1);

/// The fields of `?filter=`.
const FIELDS: &[&str] = &[
    "action.ref",
    "status",
    "parent",
    "rule.name",
    "rule.ref",
    "runner.name",
    "trigger_instance.id",
    "context.user",
    "id",
];

fn bad(name: &str, error: &dyn std::error::Error) -> Problem {
    Problem::bad("bad_query", format!("`{name}`: {error}"))
}
