//! What is wrong with a workflow that nobody has put into a pack yet.

use axum::Json;
use axum::response::IntoResponse;

use crate::api::call::Call;
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::auth::Right;
use crate::packs::workflow;

pub(crate) const ROUTES: &[Route] = &[Route::post(
    "/api/v1/workflows/inspect",
    Access::Needs(Right::View),
    |call| Box::pin(async move { inspect(&call) }),
    "Looks a workflow over without running it: the body is its definition, as YAML or JSON; the answer \
     names every fault, in StackStorm's form.",
)
.quiet()
.takes(Shape::Text)
.gives(200, Shape::Many("WorkflowFault"))];

fn inspect(call: &Call) -> Answer {
    let text = std::str::from_utf8(&call.body).map_err(|_| {
        Problem::bad("not_utf8", "the body is not text in UTF-8").help("send the YAML as UTF-8")
    })?;
    let catalog = call.state.catalog.load_full();
    let list = workflow::list(text, &catalog).map_err(|problem| {
        let place = problem.place.to_string();
        let at = place.strip_prefix("workflow:").map(|at| format!("{at}: ")).unwrap_or_default();
        let answer = Problem::bad("bad_workflow", format!("{at}{}", problem.message));
        match problem.help {
            Some(help) => answer.help(help),
            None => answer,
        }
    })?;
    Ok(Json(list).into_response())
}
