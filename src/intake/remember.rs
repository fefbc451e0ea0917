//! Rule memory between the store and the rules: read once when Ifso starts, kept in step with the
//! rules in force, and written with every batch that changes it.

use crate::intake::Command;
use crate::intake::hidden::Hidden;
use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::rule::Decision;
use crate::model::time::Time;
use crate::packs::catalog::Catalog;
use crate::rules::reload::{self, Change, Fate, Moment};
use crate::rules::{self, Facts, Memories, Set};
use crate::store::batch::Batch;
use crate::store::table::{self, Row, Rows};
use crate::store::tables::Remembered;
use crate::store::{self, Handle};

/// Memories read in one go.
const PAGE: usize = 4_096;

/// Everything that rules remember, as the store has it. Deadlines come with `adopt`.
///
/// # Errors
/// As `Store::scan`.
pub async fn read(store: &Handle) -> Result<Memories, store::Error> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let page = table::scan::<Remembered>(store, Rows::first(PAGE).after(after)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.row.key());
        rows.extend(page.into_iter().map(|held| (held.row.rule, held.row.key, held.row.memory)));
    }
    Ok(Memories::of(rows))
}

/// Brings memories in step with the rules in force, and says what became of them.
pub(crate) fn adopt(memories: &mut Memories, catalog: &Catalog, now: Time, moment: Moment) {
    for Change { rule, fate, keys, why } in reload::plan(&catalog.rules, memories, moment) {
        match fate {
            Fate::Kept => tracing::debug!(%rule, keys, "memory is kept: {why}"),
            Fate::Migrated => tracing::info!(%rule, keys, "memory is kept in part: {why}"),
            Fate::Dropped => tracing::info!(%rule, keys, "memory is dropped: {why}"),
            Fate::Asleep => tracing::info!(%rule, keys, "memory waits: {why}"),
        }
    }
    reload::adopt(&catalog.rules, memories, now, moment);
}

/// Does what a person wants done, or hears of an end. Gives the event that stands for it, with what was decided.
pub(crate) fn obey(
    set: &Set,
    memories: &mut Memories,
    command: &Command,
    facts: &Facts,
    id: EventId,
) -> Option<(Event, Vec<Decision>)> {
    match command {
        Command::Release { rule, discard } => {
            rules::release(set, memories, (rule, *discard), facts, id)
        }
        Command::Ended(ending) => rules::ended(set, memories, ending, facts, id),
        Command::Forget { rule, key } => {
            let keys: Vec<String> = match key {
                Some(key) => vec![key.clone()],
                None => memories.each(rule).map(|(key, _)| key.to_owned()).collect(),
            };
            for key in keys {
                memories.forget(rule, &key);
            }
            // What it expects from the beginning, it expects again: a dead-man's switch stays armed.
            reload::adopt(set, memories, facts.now, Moment::Reload);
            None
        }
    }
}

/// Adds what was changed to a batch.
pub(crate) fn write(
    memories: &Memories,
    (catalog, hidden): (&Catalog, &Hidden),
    batch: &mut Batch,
) {
    for (rule, key, memory) in memories.changes() {
        match memory {
            Some(memory) => {
                let memory = memory.clone();
                let secret = hidden.is_heard(catalog, rule);
                let (rule, key) = (rule.clone(), key.to_owned());
                table::put(batch, &Remembered { rule, key, memory, secret });
            }
            None => batch.remove(table::key::<Remembered>(Remembered::store_key(rule, key))),
        }
    }
}
