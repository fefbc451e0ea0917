//! A backup of the whole store while Ifso serves.

use std::path::PathBuf;

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use crate::api::call::Call;
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::auth::Right;
use crate::store;

pub(crate) const ROUTES: &[Route] = &[Route::post(
    "/api/v1/backup",
    Access::Needs(Right::Administer),
    |call| Box::pin(backup(call)),
    "Writes a backup to a file on the server's machine; the file must not exist yet.",
)
.takes(Shape::One("BackupDraft"))
.gives(201, Shape::One("Backup"))];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupDraft {
    file: PathBuf,
}

async fn backup(call: Call) -> Answer {
    let draft: BackupDraft = call.json()?;
    let shown = draft.file.display().to_string();
    if !draft.file.is_absolute() {
        return Err(Problem::bad("not_absolute", format!("`{shown}` is not an absolute path"))
            .help("name the whole path, on the server's machine"));
    }
    let there = tokio::fs::try_exists(&draft.file).await;
    if there.map_err(|error| Problem::bad("no_access", format!("`{shown}`: {error}")))? {
        return Err(Problem::conflict("file_exists", format!("`{shown}` exists already"))
            .help("a backup never writes over a file; choose another name"));
    }
    if let Some(folder) = draft.file.parent().filter(|folder| !folder.is_dir()) {
        let folder = folder.display();
        let what = format!("`{shown}` cannot be written: there is no folder `{folder}`");
        return Err(Problem::bad("no_folder", what).help("make the folder, or name another one"));
    }
    let written = (call.state.backup)(draft.file).await;
    let size_bytes = written.map_err(|error| refused(&shown, error))?;
    tracing::info!(file = shown, size_bytes, by = call.user(), "a backup was written");
    let body = json!({ "file": shown, "size_bytes": size_bytes });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// Why there is no backup: the caller named its file, so its path is no secret to them.
fn refused(file: &str, error: store::Error) -> Problem {
    match error {
        store::Error::Full { path } if path == file => Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "disk_full",
            format!("`{file}` cannot be written: its disk is full"),
        )
        .help("free some space there, or name a file on another disk"),
        store::Error::Io { path, what } if path == file => {
            Problem::bad("no_access", format!("`{file}` cannot be written: {what}"))
                .help("look at the folder's owner and rights: Ifso's own user writes the file")
        }
        other => other.into(),
    }
}
