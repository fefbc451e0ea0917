//! All words that rules look for in one field, found in one pass over its text.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;

use crate::rules::cover::{At, Word, hash_word};
use crate::rules::field::Seen;

/// The words that rules look for in one field.
pub(crate) struct Search {
    pub(crate) slot: u32,
    automaton: AhoCorasick,
    /// For each text of the automaton where it must stand, and the word's hash.
    words: Vec<Vec<(At, u64)>>,
}

impl Search {
    pub(crate) fn new(slot: u32, words: Vec<Word>) -> Self {
        let mut texts: HashMap<Box<str>, Vec<(At, u64)>> = HashMap::new();
        for word in words {
            let entry = (word.at, hash_word(&word));
            let known = texts.entry(word.text).or_default();
            if !known.contains(&entry) {
                known.push(entry);
            }
        }
        let (texts, words): (Vec<Box<str>>, Vec<_>) = texts.into_iter().unzip();
        let automaton = AhoCorasick::new(texts.iter().map(|text| text.as_bytes()));
        // Texts come from files of a megabyte at most, far below what an automaton takes.
        Self { slot, automaton: automaton.expect("words of rules fit an automaton"), words }
    }

    /// Tells the hashes of the words that stand in a text, in one of a list, or in a key of a map; one
    /// may come twice.
    pub(crate) fn find(&self, seen: Seen<'_>, mut tell: impl FnMut(u64)) {
        match seen {
            Seen::Text(text) => self.look(text, &mut tell),
            Seen::List(items) => {
                for text in items.iter().filter_map(|item| item.as_str()) {
                    self.look(text, &mut tell);
                }
            }
            Seen::Map(entries) => entries.keys().for_each(|key| self.look(key, &mut tell)),
            _ => {}
        }
    }

    fn look(&self, text: &str, tell: &mut impl FnMut(u64)) {
        for at in self.automaton.find_overlapping_iter(text) {
            for (place, hash) in &self.words[at.pattern().as_usize()] {
                let fits = match place {
                    At::Start => at.start() == 0,
                    At::End => at.end() == text.len(),
                    At::Anywhere => true,
                };
                if fits {
                    tell(*hash);
                }
            }
        }
    }
}
