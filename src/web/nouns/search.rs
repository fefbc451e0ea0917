//! One field for everything: an id opens what it names, words find rules, actions and executions.

use serde_json::{Map, Value, json};

use crate::api::inside::Refused;
use crate::web::nouns::later;
use crate::web::page::{Page, Visit, encoded};

/// Names of one kind that are shown at most.
const SHOWN: usize = 25;

pub(crate) const PAGES: &[Page] =
    &[Page::new("/search", "Search", "search.html").more(later!(search))];

/// Where an id leads.
pub(crate) fn there(words: &str) -> Option<String> {
    let words = words.trim();
    let (kind, _) = words.split_once('_')?;
    let folder = match kind {
        "exe" => "executions",
        "evt" => "events",
        "inc" => "incidents",
        _ => return None,
    };
    let plain = words.len() == 30 && words.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    plain.then(|| format!("/{folder}/{}", encoded(words)))
}

async fn search(visit: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    let words = visit.query("q").unwrap_or_default().to_lowercase();
    for (name, path) in [
        ("rules", "/api/v1/rules?limit=1000&include_attributes=ref,description"),
        ("actions", "/api/v1/actions?limit=1000&include_attributes=ref,description"),
        ("sensors", "/api/v1/sensors?limit=1000&include_attributes=ref,description"),
    ] {
        let all = if words.is_empty() { Value::Null } else { visit.get(path).await? };
        let fits = |row: &&Value| {
            ["ref", "description"].iter().any(|name| {
                row[*name].as_str().is_some_and(|text| text.to_lowercase().contains(&words))
            })
        };
        let rows: Vec<&Value> = all.as_array().into_iter().flatten().filter(fits).collect();
        found.insert(format!("{name}_all"), json!(rows.len()));
        found.insert(name.to_owned(), json!(rows.into_iter().take(SHOWN).collect::<Vec<_>>()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_id_leads_somewhere() {
        let id = "exe_01m80kd5v1f4atwryvp5pq815a";
        assert_eq!(there(&format!(" {id} ")), Some(format!("/executions/{id}")));
        assert_eq!(there("exe_../../login"), None);
        assert_eq!(there("pool_capacity"), None);
    }
}
