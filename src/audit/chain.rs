//! The chain: lines are added at its end, in one commit with the word of where it ends, and looked at
//! from the first one that is kept.

use aws_lc_rs::digest;
use serde::Serialize;

use crate::audit::line::{Entry, Line};
use crate::model::time::Time;
use crate::store::batch::{Batch, Expectation};
use crate::store::table::{self, Held, Rows, hex};
use crate::store::tables::{AuditEnd, AuditLine};
use crate::store::{self, Handle};

/// What stands in the place of a hash before the first line.
pub const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Lines read in one go.
const PAGE: usize = 1024;

/// SHA-256, in hexadecimal.
fn hash(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

async fn end(store: &Handle, which: &str) -> Result<Option<Held<AuditEnd>>, store::Error> {
    table::get::<AuditEnd>(store, which.as_bytes().to_vec()).await
}

/// Adds lines in one commit. Gives the number of the first of them.
///
/// Not cancel-safe: lines whose writer is gone may be written all the same.
///
/// # Errors
/// As `Store::commit`; `Conflict` where somebody else adds lines, too.
pub async fn append(store: &Handle, entries: &[Entry], now: Time) -> Result<u64, store::Error> {
    let last = end(store, AuditEnd::LAST).await?;
    let (mut number, mut previous) =
        last.as_ref().map_or((0, ZERO.to_owned()), |held| (held.row.number, held.row.hash.clone()));
    let (first, mut batch) = (number + 1, Batch::new());
    for entry in entries {
        number += 1;
        let entry = entry.clone().cut();
        let text = Line { number, at: now, previous, entry }.canonical();
        previous = hash(&text);
        let row = AuditLine { number, at: now, text, hash: previous.clone() };
        table::create(&mut batch, &row);
    }
    let which = AuditEnd::LAST.to_owned();
    let row = AuditEnd { which, number, hash: previous };
    let expected = match &last {
        Some(held) => Expectation::At(held.revision),
        None => Expectation::Absent,
    };
    batch.expect(table::key::<AuditEnd>(table::Row::key(&row)), expected);
    table::put(&mut batch, &row);
    if last.is_none() {
        let which = AuditEnd::FIRST.to_owned();
        table::put(&mut batch, &AuditEnd { which, number: 1, hash: ZERO.to_owned() });
    }
    store.commit(batch).await?;
    Ok(first)
}

/// What a look at the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether every line is what was written, and none is missing.
    pub sound: bool,
    /// The number of the first line that is kept; what is older was forgotten after its time.
    pub first: u64,
    /// The number of the last line.
    pub last: u64,
    /// Lines that were looked at, up to the first wrong one.
    pub lines: u64,
    /// The hash of the last line: kept elsewhere, it shows later that nothing before it was changed.
    pub hash: String,
    /// The number of the first line that is wrong.
    pub wrong: Option<u64>,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// Looks at every line that is kept, as far as the chain goes now.
///
/// # Errors
/// As `Store::scan`.
pub async fn verify(store: &Handle) -> Result<Verdict, store::Error> {
    loop {
        let last = end(store, AuditEnd::LAST).await?.map(|held| held.row);
        let first = end(store, AuditEnd::FIRST).await?.map(|held| held.row);
        let verdict = walk(store, first.as_ref(), last.as_ref()).await?;
        // Where lines were forgotten meanwhile, the look began at one that is gone.
        let again = end(store, AuditEnd::FIRST).await?.map(|held| held.row);
        if verdict.sound || again == first {
            return Ok(verdict);
        }
    }
}

async fn walk(
    store: &Handle,
    first: Option<&AuditEnd>,
    last: Option<&AuditEnd>,
) -> Result<Verdict, store::Error> {
    let begins = first.map_or((1, ZERO.to_owned()), |end| (end.number, end.hash.clone()));
    let ends = last.map_or((0, ZERO.to_owned()), |end| (end.number, end.hash.clone()));
    let mut verdict = Verdict {
        sound: true,
        first: begins.0,
        last: ends.0,
        lines: 0,
        hash: begins.1,
        wrong: None,
        problem: None,
    };
    let (mut number, mut after) = (begins.0, None);
    loop {
        let page = table::scan::<AuditLine>(store, Rows::first(PAGE).after(after.take())).await?;
        let whole = page.len() < PAGE;
        after = page.last().map(|held| table::Row::key(&held.row));
        for held in page {
            if held.row.number > ends.0 && number > ends.0 {
                // Written since, or by somebody who did not move the end.
                let now = end(store, AuditEnd::LAST).await?.map_or(0, |held| held.row.number);
                let problem = format!("line {} was added behind the end of the chain", ends.0 + 1);
                let (wrong, problem) = (Some(ends.0 + 1), Some(problem));
                if now > ends.0 {
                    return Ok(closed(verdict, number, &ends));
                }
                return Ok(Verdict { sound: false, wrong, problem, ..verdict });
            }
            if let Some(problem) = wrong(&held.row, number, &verdict.hash) {
                let wrong = held.row.number.min(number);
                let problem = Some(problem);
                return Ok(Verdict { sound: false, wrong: Some(wrong), problem, ..verdict });
            }
            verdict.hash.clone_from(&held.row.hash);
            verdict.lines += 1;
            number += 1;
        }
        if whole {
            return Ok(closed(verdict, number, &ends));
        }
    }
}

/// What is wrong with a line that should be `number` and follow `previous`.
fn wrong(row: &AuditLine, number: u64, previous: &str) -> Option<String> {
    if row.number > number {
        return Some(format!("line {number} is missing; line {} follows", row.number));
    }
    if row.number < number {
        return Some(format!("line {} stands before the first one, {number}", row.number));
    }
    if hash(&row.text) != row.hash {
        return Some(format!("line {number} was changed: its hash does not fit its text"));
    }
    let Ok(line) = serde_json::from_str::<Line>(&row.text) else {
        return Some(format!("line {number} cannot be read"));
    };
    if line.number != number || line.at != row.at {
        return Some(format!("line {number} is that of another place or time"));
    }
    if line.previous != previous {
        let before = number.saturating_sub(1);
        return Some(format!(
            "line {number} does not follow line {before}: one of them was replaced"
        ));
    }
    None
}

/// The verdict where all lines were right: the chain has to end where it says.
fn closed(verdict: Verdict, number: u64, (last, hash): &(u64, String)) -> Verdict {
    let problem = if number <= *last {
        format!("line {number} is missing: the last one should be {last}")
    } else if verdict.hash != *hash {
        format!("line {last} was replaced: the end of the chain has another hash")
    } else {
        return verdict;
    };
    let wrong = Some(number.min(*last).max(1));
    Verdict { sound: false, wrong, problem: Some(problem), ..verdict }
}
