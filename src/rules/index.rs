//! Finds the rules that an event may concern, without asking the others.
//!
//! A group holds the rules of one trigger or glob. Each clause of a rule's cover is filed under its
//! signature: which fields it wants equal to something, which words found, which kinds not. An event's
//! fields are read once; each signature then is one look into a hash table, and a bucket's intervals are
//! searched by halving. What comes out is a superset of the rules that match or fail; each is then asked.

use std::collections::{HashMap, HashSet};

use crate::model::event::Event;
use crate::rules::analyse::Analysis;
use crate::rules::cover::{Clause, Need, Word, hash_word};
use crate::rules::field::{Paths, Seen};
use crate::rules::hash::{Quick, Ready, hash, mix};
use crate::rules::intervals::{Interval, Intervals};
use crate::rules::words::Search;

/// Equalities that a signature has at most: more find hardly less, and make more signatures.
const EQUALS_LIMIT: usize = 3;
/// Buckets that one clause is filed under at most.
const BUCKETS_LIMIT: usize = 32;
/// Items of a list that are searched for words; a rule that reads a longer one is asked.
const ITEMS_LIMIT: usize = 1_000;

/// The rules of one trigger or glob.
#[derive(Default)]
pub(crate) struct Group {
    paths: Paths,
    members: Vec<Member>,
    /// The slots of all members' fields, one after the other.
    slots: Vec<u32>,
    tables: Vec<Table>,
    /// Members that are asked about every event.
    always: Vec<u32>,
    /// For each slot the members that read it: odd values may make them fail.
    readers: Vec<Vec<u32>>,
    /// Slots whose values are looked up by their hash.
    hashed: Vec<u32>,
    searches: Vec<Search>,
}

#[derive(Clone, Copy)]
struct Member {
    /// Its position in the set.
    rule: u32,
    /// Where its fields' slots begin.
    first: u32,
}

/// The buckets of one signature.
struct Table {
    signature: Signature,
    buckets: HashMap<u64, Bucket, Ready>,
}

/// What clauses are filed under, each list in the order of its slots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Signature {
    equals: Vec<u32>,
    nots: Vec<(u32, u8)>,
    /// A search, by its number.
    finds: Option<u32>,
}

/// What is filed under one key. Most buckets hold one member, and few memory is touched for it.
enum Bucket {
    One(u32),
    Many(Box<Many>),
}

struct Many {
    plain: Vec<u32>,
    /// By slot.
    between: Vec<(u32, Intervals)>,
}

/// One event as a group sees it.
pub(crate) struct Heard<'e> {
    pub(crate) row: Vec<Seen<'e>>,
    /// Hashes by slot, of those that are looked up.
    hashes: Vec<u64>,
    /// The words found: the number of the search, and the word's hash.
    words: Vec<(u32, u64)>,
}

impl Group {
    /// The group of these rules: their positions in the set, and what is known of them.
    pub(crate) fn new(rules: &[(u32, &Analysis)]) -> Self {
        let mut group = Self::default();
        for (rule, analysis) in rules {
            group.enlist(*rule, analysis);
        }
        Filing::new(&mut group, rules).run(rules);
        group
    }

    fn enlist(&mut self, rule: u32, analysis: &Analysis) {
        let member = number(self.members.len());
        self.members.push(Member { rule, first: number(self.slots.len()) });
        for field in &analysis.fields {
            let slot = self.paths.slot(field);
            self.slots.push(slot);
            self.readers.resize_with(self.paths.len(), Vec::new);
            self.readers[slot as usize].push(member);
        }
    }

    /// The positions of its rules, in their order.
    pub(crate) fn rules(&self) -> impl Iterator<Item = u32> {
        self.members.iter().map(|member| member.rule)
    }

    /// The position of a member's rule, and where its fields stand in a row.
    pub(crate) fn member(&self, member: u32) -> (u32, &[u32]) {
        let at = self.members[member as usize];
        (at.rule, &self.slots[at.first as usize..])
    }

    /// Reads what its rules name of an event.
    pub(crate) fn hear<'e>(&self, event: &'e Event) -> Heard<'e> {
        let row = self.paths.row(event);
        let mut hashes = vec![0; if self.hashed.is_empty() { 0 } else { row.len() }];
        for slot in &self.hashed {
            hashes[*slot as usize] = hash(row[*slot as usize]).unwrap_or(0);
        }
        let mut words = Vec::new();
        for (number, search) in (0..).zip(&self.searches) {
            search.find(row[search.slot as usize], |word| words.push((number, word)));
        }
        words.sort_unstable();
        words.dedup();
        Heard { row, hashes, words }
    }

    /// The members that have to be asked about an event, in their order.
    pub(crate) fn candidates(&self, heard: &Heard<'_>) -> Vec<u32> {
        let mut found = self.always.clone();
        for table in &self.tables {
            table.find(heard, &mut found);
        }
        for (seen, readers) in heard.row.iter().zip(&self.readers) {
            let long = matches!(seen, Seen::List(items) if items.len() > ITEMS_LIMIT);
            if long || seen.is_odd() {
                found.extend(readers);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Table {
    fn find(&self, heard: &Heard<'_>, found: &mut Vec<u32>) {
        let signature = &self.signature;
        let not = |(slot, kinds): &(u32, u8)| heard.row[*slot as usize].kind() & kinds == 0;
        if !signature.nots.iter().all(not) {
            return;
        }
        let key =
            signature.equals.iter().fold(0, |key, slot| mix(key, heard.hashes[*slot as usize]));
        match signature.finds {
            None => self.open(key, heard, found),
            Some(search) => {
                for (_, word) in heard.words.iter().filter(|(of, _)| *of == search) {
                    self.open(mix(key, *word), heard, found);
                }
            }
        }
    }

    fn open(&self, key: u64, heard: &Heard<'_>, found: &mut Vec<u32>) {
        let Some(bucket) = self.buckets.get(&key) else { return };
        let many = match bucket {
            Bucket::One(member) => return found.push(*member),
            Bucket::Many(many) => many,
        };
        found.extend(&many.plain);
        for (slot, intervals) in &many.between {
            if let Some(number) = heard.row[*slot as usize].number() {
                intervals.find(number, found);
            }
        }
    }
}

/// Puts clauses into tables.
struct Filing<'g> {
    group: &'g mut Group,
    /// For each slot how many values rules want it equal to: the more, the fewer rules remain.
    variety: HashMap<u32, usize, Quick>,
    /// How many clauses want a word found, by its slot and hash.
    wanted: HashMap<(u32, u64), usize, Quick>,
    searches: HashMap<u32, Vec<Word>>,
    tables: HashMap<Signature, HashMap<u64, Draft, Ready>, Quick>,
}

#[derive(Default)]
struct Draft {
    plain: Vec<u32>,
    between: Vec<(u32, Vec<Interval>)>,
}

/// A clause with slots in place of fields, reduced to what it is filed under.
#[derive(Default)]
struct Filed<'c> {
    equals: Vec<(u32, &'c [u64])>,
    nots: Vec<(u32, u8)>,
    between: Vec<(u32, f64, f64)>,
    finds: Option<(u32, &'c [Word])>,
}

impl<'g> Filing<'g> {
    fn new(group: &'g mut Group, rules: &[(u32, &Analysis)]) -> Self {
        let mut values: HashSet<(u32, u64), Quick> = HashSet::default();
        let (mut variety, mut wanted) = (HashMap::default(), HashMap::default());
        for (member, (_, analysis)) in (0..).zip(rules) {
            let (_, slots) = group.member(member);
            for need in analysis.cover.iter().flat_map(|clause| &clause.needs) {
                match need {
                    Need::Equal { field, hashes } => {
                        let slot = slots[usize::from(*field)];
                        let new = hashes.iter().filter(|hash| values.insert((slot, **hash)));
                        *variety.entry(slot).or_default() += new.count();
                    }
                    Need::Finds { field, words } => {
                        let slot = slots[usize::from(*field)];
                        for word in words {
                            *wanted.entry((slot, hash_word(word))).or_default() += 1;
                        }
                    }
                    _ => {}
                }
            }
        }
        Self { group, variety, wanted, searches: HashMap::new(), tables: HashMap::default() }
    }

    fn run(mut self, rules: &[(u32, &Analysis)]) {
        for (member, (_, analysis)) in (0..).zip(rules) {
            for clause in &analysis.cover {
                let filed = self.reduce(member, clause);
                self.file(member, &filed);
            }
        }
        self.finish();
    }

    /// The needs of a clause that single out most.
    fn reduce<'c>(&self, member: u32, clause: &'c Clause) -> Filed<'c> {
        let (_, slots) = self.group.member(member);
        let slot = |field: &u16| slots[usize::from(*field)];
        let mut filed = Filed::default();
        for need in &clause.needs {
            match need {
                Need::Equal { field, hashes } => filed.equals.push((slot(field), hashes)),
                Need::Not { field, kinds } => filed.nots.push((slot(field), *kinds)),
                Need::Between { field, low, high } => filed.narrow(slot(field), *low, *high),
                Need::Finds { field, words } => {
                    let commonness = |(slot, words): (u32, &[Word])| {
                        words
                            .iter()
                            .map(|word| self.wanted[&(slot, hash_word(word))])
                            .sum::<usize>()
                    };
                    let new = (slot(field), words.as_slice());
                    if filed.finds.is_none_or(|old| commonness(new) < commonness(old)) {
                        filed.finds = Some(new);
                    }
                }
            }
        }
        let variety = |slot: u32, values: usize| self.variety[&slot] * 100 / values.max(1);
        filed.equals.sort_by_key(|(slot, values)| std::cmp::Reverse(variety(*slot, values.len())));
        filed.limit();
        filed
    }

    fn file(&mut self, member: u32, filed: &Filed<'_>) {
        if filed.is_empty() {
            self.group.always.push(member);
            return;
        }
        let mut keys = vec![0];
        for (_, values) in &filed.equals {
            keys = pairs(&keys, values);
        }
        if let Some((slot, words)) = filed.finds {
            keys = pairs(&keys, &words.iter().map(hash_word).collect::<Vec<_>>());
            self.searches.entry(slot).or_default().extend(words.iter().cloned());
        }
        let signature = filed.signature();
        let table = self.tables.entry(signature).or_default();
        for key in keys {
            let draft = table.entry(key).or_default();
            let Some((slot, low, high)) = filed.best() else {
                draft.plain.push(member);
                continue;
            };
            let interval = Interval { low, high, owner: member };
            match draft.between.iter_mut().find(|(other, _)| *other == slot) {
                Some((_, intervals)) => intervals.push(interval),
                None => draft.between.push((slot, vec![interval])),
            }
        }
    }

    /// Makes the group's tables of the drafts.
    fn finish(self) {
        let group = self.group;
        let mut searches: Vec<_> = self.searches.into_iter().collect();
        searches.sort_by_key(|(slot, _)| *slot);
        let numbers: HashMap<u32, u32> =
            searches.iter().zip(0..).map(|((slot, _), number)| (*slot, number)).collect();
        group.searches =
            searches.into_iter().map(|(slot, words)| Search::new(slot, words)).collect();
        for (mut signature, drafts) in self.tables {
            group.hashed.extend(&signature.equals);
            signature.finds = signature.finds.map(|slot| numbers[&slot]);
            let buckets = drafts.into_iter().map(|(key, draft)| (key, draft.into())).collect();
            group.tables.push(Table { signature, buckets });
        }
        group.hashed.sort_unstable();
        group.hashed.dedup();
        group.always.dedup();
        group.always.shrink_to_fit();
        group.slots.shrink_to_fit();
        group.readers.iter_mut().for_each(Vec::shrink_to_fit);
    }
}

impl Filed<'_> {
    fn narrow(&mut self, slot: u32, low: f64, high: f64) {
        match self.between.iter_mut().find(|(other, ..)| *other == slot) {
            Some(between) => {
                between.1 = between.1.max(low);
                between.2 = between.2.min(high);
            }
            None => self.between.push((slot, low, high)),
        }
    }

    /// Keeps what makes few enough buckets, one equality for a slot, in the order of slots.
    fn limit(&mut self) {
        let mut buckets = self.finds.map_or(1, |(_, words)| words.len());
        let mut kept: Vec<(u32, &[u64])> = Vec::new();
        for (slot, values) in std::mem::take(&mut self.equals) {
            let known = kept.iter().any(|(other, _)| *other == slot);
            if kept.len() < EQUALS_LIMIT && !known && buckets * values.len() <= BUCKETS_LIMIT {
                buckets *= values.len();
                kept.push((slot, values));
            }
        }
        kept.sort_by_key(|(slot, _)| *slot);
        self.equals = kept;
        self.nots.sort_unstable();
        self.nots.dedup();
    }

    /// The narrowest of its intervals, as far as one can tell: one with two ends.
    fn best(&self) -> Option<(u32, f64, f64)> {
        let closed = self.between.iter().find(|(_, low, high)| low.is_finite() && high.is_finite());
        closed.or(self.between.first()).copied()
    }

    /// The slot of the search stands for its number until all are known.
    fn signature(&self) -> Signature {
        Signature {
            equals: self.equals.iter().map(|(slot, _)| *slot).collect(),
            nots: self.nots.clone(),
            finds: self.finds.map(|(slot, _)| slot),
        }
    }

    fn is_empty(&self) -> bool {
        self.equals.is_empty()
            && self.nots.is_empty()
            && self.between.is_empty()
            && self.finds.is_none()
    }
}

impl From<Draft> for Bucket {
    fn from(mut draft: Draft) -> Self {
        if let ([member], []) = (&*draft.plain, &*draft.between) {
            return Self::One(*member);
        }
        draft.plain.shrink_to_fit();
        let between = draft.between.into_iter();
        let between = between.map(|(slot, items)| (slot, Intervals::new(items))).collect();
        Self::Many(Box::new(Many { plain: draft.plain, between }))
    }
}

/// Every key with every value.
fn pairs(keys: &[u64], values: &[u64]) -> Vec<u64> {
    keys.iter().flat_map(|key| values.iter().map(|value| mix(*key, *value))).collect()
}

/// Positions of rules, members and slots as the index keeps them.
pub(crate) fn number(count: usize) -> u32 {
    u32::try_from(count).expect("rules are fewer")
}
