//! What lies in a home and is not read, although somebody probably meant it to be.

use std::path::Path;

use crate::model::problem::{Place, Problem, nearest};
use crate::packs::disk::{BUILT_IN, Disk};
use crate::packs::draft::Draft;
use crate::packs::fields::meant;

impl Disk<'_> {
    /// Files of `folder` that nearly end in one of `endings`, and folders with such files in it.
    pub(crate) fn strays(&self, folder: &Path, endings: &[&str]) -> Vec<Problem> {
        if folder.starts_with(BUILT_IN) {
            return Vec::new();
        }
        // What cannot be listed is told by whoever reads it.
        let mut problems = Vec::new();
        for path in self.entries(folder, &mut Vec::new()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if name.starts_with(['.', '#', '_']) || endings.contains(&ending) {
                continue;
            }
            let place = Place::file(path.strip_prefix(self.home).unwrap_or(&path));
            if path.is_dir() {
                problems.extend(self.nested(&path, endings, place));
            } else if let Some(meant) = close(ending, endings) {
                problems.push(misnamed(place, &path.with_extension(meant)));
            }
        }
        problems
    }

    fn nested(&self, folder: &Path, endings: &[&str], place: Place) -> Option<Problem> {
        let entries = self.entries(folder, &mut Vec::new());
        let mut found = entries.iter().filter_map(|path| path.extension()?.to_str());
        found.find(|ending| endings.contains(ending))?;
        let above = folder.parent().and_then(Path::file_name).unwrap_or_default();
        let above = above.to_string_lossy();
        let message = format!("folders in `{above}` are not read");
        let help = format!("move its files into `{above}` itself");
        Some(Problem::warning("stray_folder", place, message).help(help))
    }
}

/// The ending that was meant. Other words behind it (`rhai-off`) are meant as they are.
fn close<'a>(ending: &str, endings: &[&'a str]) -> Option<&'a str> {
    let lower = ending.to_lowercase();
    let longer = |known: &&str| lower != **known && lower.starts_with(*known);
    if ending.is_empty() || ending.ends_with('~') || endings.iter().any(longer) {
        return None;
    }
    nearest(&lower, endings.iter().copied()).and(endings.first().copied())
}

/// A file whose name is nearly one that is read.
pub(crate) fn misnamed(place: Place, meant: &Path) -> Problem {
    let meant = meant.file_name().unwrap_or_default().to_string_lossy();
    let message = format!("the file is not read: expected `{meant}`");
    Problem::warning("stray_file", place, message).help(format!("rename it to `{meant}`"))
}

/// Configurations of packs that are not there.
pub(crate) fn configs(disk: &Disk<'_>, drafts: &[Draft]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let folders = || drafts.iter().filter_map(|draft| draft.folder.file_name()?.to_str());
    let names = || drafts.iter().map(|draft| draft.name.as_str());
    for path in disk.entries(&disk.home.join("configs"), &mut problems) {
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let ending = path.extension().and_then(|ending| ending.to_str());
        let read = matches!(ending, Some("yaml" | "yml")) && !stem.starts_with(['.', '#']);
        if !read || names().chain(folders()).any(|name| name == stem) {
            continue;
        }
        let place = Place::file(path.strip_prefix(disk.home).unwrap_or(&path));
        let problem = Problem::warning("no_pack", place, format!("there is no pack `{stem}`"));
        let help = meant(stem, names());
        let help = help.unwrap_or_else(|| "add the pack, or remove the file".to_owned());
        problems.push(problem.help(help));
    }
    problems
}

/// What is said of a folder that looks like no home.
pub(crate) fn home(home: &Path) -> Option<Problem> {
    let parts = ["packs", "rules", "sensors"];
    if parts.iter().any(|part| home.join(part).is_dir()) {
        return None;
    }
    let message =
        format!("`{}` has no `packs/`, `rules/` or `sensors/`: is it a home?", home.display());
    let help = "name the folder that has them with `--home`, or make them";
    Some(Problem::warning("no_home", Place::file("."), message).help(help))
}
