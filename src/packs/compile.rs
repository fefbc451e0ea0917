//! The rules of all packs against the actions and triggers of all packs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::action::Action;
use crate::model::parameter::Parameters;
use crate::model::problem::{Place, Problem, Severity};
use crate::model::reference::Reference;
use crate::packs::catalog::{Catalog, RuleFile};
use crate::packs::disk::{self, File};
use crate::packs::draft::Draft;
use crate::packs::load::Runners;
use crate::packs::manifest::SITE;
use crate::packs::yaml::Node;
use crate::packs::{notices, parameters, rule};
use crate::rules;

/// Compiles the rules of every pack against the actions and triggers of all. A pack that stays as it
/// was takes its new actions away, so the others are compiled again, until nothing more fails.
pub(crate) fn compile(drafts: &mut [Draft], runners: &Runners, previous: &Catalog) {
    loop {
        let known = known(drafts, runners, previous);
        let library = library(drafts, &known.failed, previous);
        // Whoever imports from a pack is compiled again when that pack's libraries change.
        let texts = library.iter().flat_map(|source| {
            [source.file.as_os_str().as_encoded_bytes(), source.text.as_bytes()]
        });
        let facts = format!("{known:?}");
        let basis = disk::hash(texts.chain([facts.as_bytes()]));
        let around = Around { known, library, basis };
        let mut fewer = false;
        for draft in drafts.iter_mut().filter(|draft| !draft.failed) {
            draft.compile(&around, previous);
            draft.weigh(previous);
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

/// What rules are compiled against.
struct Around {
    known: rules::Known,
    library: rules::Library,
    /// A hash of all this.
    basis: Arc<str>,
}

/// The libraries of all packs: of each what it will have in the catalog.
fn library(
    drafts: &[Draft],
    failed: &BTreeMap<String, rules::Absent>,
    previous: &Catalog,
) -> rules::Library {
    let mut library = rules::Library::new();
    for (pack, absent) in failed {
        library.fail(pack.clone(), absent.place.clone());
    }
    for draft in drafts {
        // A second folder of the name takes nothing from the first.
        if !draft.failed {
            for (name, source) in &draft.library {
                library.insert(name.clone(), source.clone());
            }
        } else if !drafts.iter().any(|other| !other.failed && other.name == draft.name) {
            library.adopt(&previous.library, &draft.name);
        }
    }
    library
}

impl Draft {
    /// Compiles its rules; those of which nothing has changed are taken from `previous`.
    fn compile(&mut self, around: &Around, previous: &Catalog) {
        self.rules.clear();
        self.rule_problems.clear();
        self.rules_out.clear();
        for file in &self.sources {
            let path = file.place.file.as_ref();
            let version = disk::hash([file.text.as_bytes(), around.basis.as_bytes()]);
            let before = previous.rule_files.get(path).filter(|held| held.pack == self.name);
            let fresh = match before.filter(|held| held.version == version) {
                Some(held) => Ok(held.clone()),
                None => self.compile_file(file, version, around),
            };
            // Of the home's own rules each file stands for itself; a pack is weighed as a whole.
            let own = before.filter(|_| self.name == SITE);
            let shown = path.display();
            match fresh {
                Ok(fresh) => {
                    self.rule_problems.extend(fresh.problems.iter().cloned());
                    let out = fresh.left_out.iter().map(|rule| format!("{shown}: {rule}"));
                    self.rules_out.extend(out);
                    let own = own.filter(|held| !fresh.left_out.is_subset(&held.left_out));
                    self.rules.push((path.clone(), own.cloned().unwrap_or(fresh)));
                }
                Err(found) => {
                    self.rule_problems.extend(found);
                    self.rules_out.insert(shown.to_string());
                    self.rules.extend(own.map(|held| (path.clone(), held.clone())));
                }
            }
        }
    }

    fn compile_file(
        &self,
        file: &File,
        version: Arc<str>,
        around: &Around,
    ) -> Result<RuleFile, Vec<Problem>> {
        let source = self.source(file);
        let rules::Sifted { rules, left_out, problems } = if rule::is_yaml(file) {
            rule::sift(file, &source, &self.folder, &around.known)?
        } else {
            rules::sift(&source, &around.library, &around.known)?
        };
        let rules = rules.into_iter().map(Arc::new).collect();
        Ok(RuleFile { pack: self.name.clone(), version, rules, left_out, problems })
    }
}

/// The rules of all files in the order of file and line, each name once.
pub(crate) fn distinct(catalog: &mut Catalog) -> Vec<Arc<rules::Rule>> {
    let mut first: BTreeMap<&Reference, &Place> = BTreeMap::new();
    let mut distinct = Vec::new();
    for rule in catalog.rule_files.values().flat_map(|file| &file.rules) {
        if let Some(other) = first.get(rule.reference()) {
            let message = format!("rule `{}` stands at `{other}` already", rule.reference());
            let problem = Problem::error("rule_twice", rule.place().clone(), message);
            catalog.problems.push(problem.help("give one of the two another name"));
        } else {
            first.insert(rule.reference(), rule.place());
            distinct.push(Arc::clone(rule));
        }
    }
    distinct
}

/// What callers of `action` may give.
pub(crate) fn accepted(action: &Action, runners: &Runners) -> Parameters {
    match runners.get(&action.runner_type) {
        Some(runner) => parameters::merge(&runner.parameters, &action.parameters),
        None => action.parameters.clone(),
    }
}

/// The channels that `configs/notify.yaml` names.
fn channels(drafts: &[Draft]) -> BTreeSet<String> {
    let plan = drafts.iter().find(|draft| draft.name == notices::PACK && !draft.failed);
    let file = plan.and_then(|draft| draft.configured.as_ref());
    let named = file.and_then(|(node, _)| node.get("channels"));
    named.map_or(&[][..], Node::entries).iter().map(|(key, _)| key.name.clone()).collect()
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
    for draft in drafts {
        known.absent.extend(draft.absent.clone());
        let problems = draft.problems.iter().chain(&draft.rule_problems);
        let wrong = problems.into_iter().find(|one| one.severity == Severity::Error);
        // A second folder of the name takes nothing from the first.
        let nothing = draft.failed && !drafts.iter().any(|o| !o.failed && o.name == draft.name);
        if let Some(wrong) = wrong.filter(|_| nothing) {
            let why = format!("pack `{}` has errors", draft.name);
            let absent = rules::Absent { why, place: wrong.place.clone() };
            known.failed.insert(draft.name.clone(), absent);
        }
    }
    let calendars = drafts.iter().filter(|draft| !draft.failed).flat_map(|draft| &draft.calendars);
    let calendar = |(name, calendar): &(Reference, _)| (name.clone(), Arc::clone(calendar));
    known.calendars.extend(calendars.map(calendar));
    let held = previous.calendars.iter().filter(|(reference, _)| kept(reference));
    known.calendars.extend(held.map(|(name, held)| (name.clone(), Arc::clone(held))));
    let fresh = drafts.iter().filter(|draft| !draft.failed).flat_map(|draft| &draft.triggers);
    let held = previous.triggers.values().filter(|held| kept(&held.reference));
    for trigger in fresh.chain(held.map(Arc::as_ref)) {
        known.triggers.push(trigger.reference.clone());
        known.schemas.insert(trigger.reference.clone(), Arc::clone(&trigger.payload_schema));
    }
    known.channels = channels(drafts);
    known.triggers.sort();
    known.triggers.dedup();
    known
}
