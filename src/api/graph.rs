//! Graphs of workflows, as pictures and as text; of an execution with where its tasks stand.

use axum::response::IntoResponse;

use crate::api::call::Call;
use crate::api::executions::find;
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::auth::{Kind, Right};
use crate::executions;
use crate::model::reference::Reference;
use crate::workflows::drawing::{Picture, svg, text};

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/executions/{id}/graph.svg",
        Access::Needs(Right::View),
        |call| Box::pin(async move { svg_of(of_execution(&call).await?).await }),
        "Draws the graph of a workflow with where its tasks stand, as SVG.",
    )
    .of(Of::Execution)
    .gives(200, Shape::Text),
    Route::get(
        "/api/v1/executions/{id}/graph.txt",
        Access::Needs(Right::View),
        |call| Box::pin(async move { Ok(text_of(&of_execution(&call).await?)) }),
        "Draws the same as text.",
    )
    .of(Of::Execution)
    .gives(200, Shape::Text),
    Route::get(
        "/api/v1/workflows/{ref}/graph.svg",
        Access::Needs(Right::View),
        |call| Box::pin(async move { svg_of(of_action(&call)?).await }),
        "Draws the graph of a workflow, as SVG.",
    )
    .of(Of::Path(Kind::Action, "ref"))
    .gives(200, Shape::Text),
    Route::get(
        "/api/v1/workflows/{ref}/graph.txt",
        Access::Needs(Right::View),
        |call| Box::pin(async move { Ok(text_of(&of_action(&call)?)) }),
        "Draws the same as text.",
    )
    .of(Of::Path(Kind::Action, "ref"))
    .gives(200, Shape::Text),
];

/// Tasks that a picture shows at most: more take long to lay out, and nobody finds anything in it.
const TASKS_LIMIT: usize = 300;

async fn of_execution(call: &Call) -> Result<Picture, Problem> {
    let execution = find(call).await?;
    let executions = &call.state.executions;
    let definition = executions.definition(&execution).await?;
    let outline = executions.outline(execution.id).await?.unwrap_or_default();
    let title = format!("{} {} {}", execution.action.reference, execution.id, execution.status);
    Ok(Picture::of(&title, &definition, Some(&outline)))
}

fn of_action(call: &Call) -> Result<Picture, Problem> {
    let catalog = call.state.catalog.load_full();
    let flows = catalog.actions.values().filter(|action| action.workflow.is_some());
    let names = || flows.clone().map(|action| action.reference.as_str());
    let name: Reference = call.reference("workflow", names())?;
    let action = catalog.actions.get(&name);
    let unknown = || Problem::unknown_among("workflow", name.as_str(), names());
    let pinned = action.and_then(|action| action.workflow.as_ref()).ok_or_else(unknown)?;
    let definition = executions::definition(pinned)
        .map_err(|why| Problem::bad("bad_workflow", format!("workflow `{name}`: {why}")))?;
    Ok(Picture::of(name.as_str(), &definition, None))
}

async fn svg_of(picture: Picture) -> Answer {
    let tasks = picture.nodes.len();
    if tasks > TASKS_LIMIT {
        let message = format!("{tasks} tasks are more than the {TASKS_LIMIT} of a picture");
        return Err(Problem::bad("too_large", message).help("ask for `graph.txt`"));
    }
    let drawn = tokio::task::spawn_blocking(move || svg::draw(&picture));
    let drawn = drawn.await.expect("drawing does not panic");
    let headers = [
        ("content-type", "image/svg+xml; charset=utf-8"),
        // Whatever stands in it, it is a picture and does nothing.
        ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
        ("x-content-type-options", "nosniff"),
    ];
    Ok((headers, drawn).into_response())
}

fn text_of(picture: &Picture) -> axum::response::Response {
    ([("content-type", "text/plain; charset=utf-8")], text::draw(picture)).into_response()
}
