//! The rules of all packs against the actions and triggers of all packs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::action::Action;
use crate::model::parameter::Parameters;
use crate::model::problem::Problem;
use crate::model::reference::Reference;
use crate::packs::catalog::{Catalog, RuleFile};
use crate::packs::disk::{self, File};
use crate::packs::draft::{Draft, has_error};
use crate::packs::load::Runners;
use crate::packs::manifest::SITE;
use crate::packs::parameters;
use crate::rules;

/// Compiles the rules of every pack against the actions and triggers of all. A pack that fails takes
/// its actions away, so the others are compiled again, until nothing more fails.
pub(crate) fn compile(drafts: &mut [Draft], runners: &Runners, previous: &Catalog) {
    loop {
        let known = known(drafts, runners, previous);
        let basis = disk::hash([format!("{:?}", (&known.actions, &known.triggers)).as_bytes()]);
        let mut fewer = false;
        for draft in drafts.iter_mut().filter(|draft| !draft.failed) {
            draft.compile(&known, &basis, previous);
            draft.failed = draft.name != SITE && has_error(&draft.rule_problems);
            fewer |= draft.failed;
        }
        if !fewer {
            break;
        }
    }
    for draft in drafts {
        draft.problems.append(&mut draft.rule_problems);
    }
}

impl Draft {
    /// Compiles its rules; those of which nothing has changed are taken from `previous`.
    fn compile(&mut self, known: &rules::Known, basis: &Arc<str>, previous: &Catalog) {
        self.rules.clear();
        self.rule_problems.clear();
        let library = self.library.values().map(|source| source.text.as_bytes());
        let basis = disk::hash(library.chain([basis.as_bytes()]));
        let mut seen = BTreeMap::new();
        for file in &self.sources {
            let path = file.place.file.as_ref();
            let version = disk::hash([file.text.as_bytes(), basis.as_bytes()]);
            let before = previous.rule_files.get(path).filter(|held| held.pack == self.name);
            let held = match before.filter(|held| held.version == version) {
                Some(held) => Ok(held.clone()),
                None => self.compile_file(file, version, known),
            };
            match held.and_then(|held| distinct(held, file, &mut seen)) {
                Ok(held) => {
                    self.rule_problems.extend(held.doubts.iter().cloned());
                    self.rules.push((path.clone(), held));
                }
                Err(found) => {
                    self.rule_problems.extend(found);
                    // Of the home's own rules each file stands for itself; a pack fails whole.
                    self.rules.extend(before.map(|held| (path.clone(), held.clone())));
                }
            }
        }
    }

    fn compile_file(
        &self,
        file: &File,
        version: Arc<str>,
        known: &rules::Known,
    ) -> Result<RuleFile, Vec<Problem>> {
        let (compiled, doubts) = rules::compile(&self.source(file), &self.library, known)?;
        let rules = compiled.into_iter().map(Arc::new).collect();
        Ok(RuleFile { pack: self.name.clone(), version, rules, doubts })
    }
}

/// The file's rules, where no file before has a rule of the same name.
fn distinct(
    held: RuleFile,
    file: &File,
    seen: &mut BTreeMap<Reference, PathBuf>,
) -> Result<RuleFile, Vec<Problem>> {
    let twice = |rule: &Arc<rules::Rule>| {
        let other = seen.get(rule.reference())?;
        let message =
            format!("rule `{}` stands in `{}` already", rule.reference(), other.display());
        let problem = Problem::error("rule_twice", rule.place().clone(), message);
        Some(problem.help("give one of the two another name"))
    };
    let problems: Vec<_> = held.rules.iter().filter_map(twice).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let path = file.place.file.as_ref();
    seen.extend(held.rules.iter().map(|rule| (rule.reference().clone(), path.clone())));
    Ok(held)
}

/// What callers of `action` may give.
pub(crate) fn accepted(action: &Action, runners: &Runners) -> Parameters {
    match runners.get(&action.runner_type) {
        Some(runner) => parameters::merge(&runner.parameters, &action.parameters),
        None => action.parameters.clone(),
    }
}

/// What rules may name: of each pack what it will have in the catalog.
fn known(drafts: &[Draft], runners: &Runners, previous: &Catalog) -> rules::Known {
    let mut known = rules::Known::default();
    let mut action = |action: &Action| {
        known.actions.insert(action.reference.clone(), accepted(action, runners));
    };
    let failed: BTreeSet<_> =
        drafts.iter().filter(|draft| draft.failed).map(|draft| draft.name.as_str()).collect();
    let kept = |reference: &Reference| failed.contains(reference.pack());
    for draft in drafts.iter().filter(|draft| !draft.failed) {
        draft.actions.iter().for_each(&mut action);
    }
    for (_, held) in previous.actions.iter().filter(|(reference, _)| kept(reference)) {
        action(held);
    }
    let fresh = drafts.iter().filter(|draft| !draft.failed).flat_map(|draft| &draft.triggers);
    known.triggers.extend(fresh.map(|trigger| trigger.reference.clone()));
    known.triggers.extend(previous.triggers.keys().filter(|held| kept(held)).cloned());
    known.triggers.sort();
    known.triggers.dedup();
    known
}
