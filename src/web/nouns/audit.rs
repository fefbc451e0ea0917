//! The audit log: who changed what, and who was not let in.

use crate::api::inside::Refused;
use crate::auth::Right;
use crate::web::form::Form;
use crate::web::nouns::later;
use crate::web::page::{Ask, Deed, Done, Page, Visit};

pub(crate) const PAGES: &[Page] =
    &[Page::new("/audit", "Audit", "audit.html").needs(Right::Administer).asks(&[Ask::List(
        "lines",
        "/api/v1/audit",
        &["user", "object", "outcome", "since", "until"],
    )])];

pub(crate) const DEEDS: &[Deed] = &[Deed::own("/audit/verify", later!(verify))];

/// Looks at every line, which takes its time: only when asked.
async fn verify(visit: &Visit, _: &Form) -> Result<Done, Refused> {
    let verdict = visit.get("/api/v1/audit/verify").await?;
    if verdict["sound"] == true {
        let words = format!("All {} lines are as they were written.", verdict["lines"]);
        return Ok(Done { words, ..Done::default() });
    }
    Err(Refused {
        status: 409,
        code: "audit_wrong".to_owned(),
        message: format!(
            "the audit log is not as it was written, from line {} on: {}",
            verdict["wrong"],
            verdict["problem"].as_str().unwrap_or("its chain is broken")
        ),
        help: Some(
            "compare it with a backup or an export; `ifso audit verify` says more".to_owned(),
        ),
        details: serde_json::Value::Null,
    })
}
