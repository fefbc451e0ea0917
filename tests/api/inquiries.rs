//! Questions over HTTP: StackStorm's shapes, and the page behind a link.

use ifso::model::execution::Status;
use ifso::model::trigger::Trigger;
use serde_json::{Value, json};

use crate::api::{House, is_problem};
use crate::executions::inquiries::{event, heard, pending};
use crate::executions::workflows::{ask, workflow};
use crate::world::{action, catalog};

const FLOW: &str = "
version: 1.0
tasks:
  approve:
    action: core.ask
    input:
      message: <% ctx().message %>
      schema:
        type: object
        properties:
          approve: {type: boolean, description: Whether to grow it, required: true, position: 0}
          size_gib: {type: integer, minimum: 1, default: 10, position: 1}
          pool: {type: string, enum: [fast, slow]}
          pin: {type: string, secret: true}
input: [message]
";

pub async fn house() -> House {
    let mut all = heard(catalog([workflow("demo.grow", FLOW), action("demo.act"), ask()]));
    let file = include_str!("../../packs/core/triggers/inquiry_asked.yaml");
    let file: Value = serde_saphyr::from_str(file).unwrap();
    let asked = Trigger {
        reference: "core.inquiry_asked".parse().unwrap(),
        description: String::new(),
        payload_schema: file["payload_schema"].clone().into(),
        parameters_schema: Value::Null.into(),
        tags: Vec::new(),
    };
    all.triggers.insert(asked.reference.clone(), asked.into());
    House::new(all).await
}

/// Starts the workflow; gives the question's path.
pub async fn asks(house: &House, message: &str) -> String {
    let run = json!({ "action": "demo.grow", "parameters": { "message": message } });
    let (status, made) = house.ask("POST", "/v1/executions", Some(run)).await;
    assert_eq!(status, 201, "{made}");
    format!("/v1/inquiries/{}", pending(&house.world).await.id)
}

/// Path of the page behind the newest question's link.
async fn link(house: &House) -> String {
    let told = event(&house.world, "core.inquiry_asked", 1).await;
    let link = told.event.data["link"].as_str().unwrap().to_owned();
    link.strip_prefix("https://ifso.example").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_listed_shown_and_answered_as_in_stackstorm() {
    let house = house().await;
    let path = asks(&house, "Grow it?").await;
    let id = path.rsplit('/').next().unwrap();
    let (_, list) = house.ask("GET", "/v1/inquiries/?limit=50", None).await;
    let row = &list[0];
    for name in ["id", "route", "ttl", "users", "roles", "schema"] {
        assert!(row.get(name).is_some(), "{name}: {row}");
    }
    assert_eq!((&row["ttl"], &row["task"]), (&json!(1440), &json!("approve")));
    let (_, few) = house.ask("GET", "/v1/inquiries?include_attributes=ttl", None).await;
    assert_eq!(few, json!([{ "id": id, "ttl": 1440 }]));
    let (_, without) = house.ask("GET", "/v1/inquiries?exclude_attributes=ttl", None).await;
    assert!(without[0].get("ttl").is_none());
    let both = "/v1/inquiries?include_attributes=id&exclude_attributes=id";
    let (status, refused) = house.ask("GET", both, None).await;
    let said = "exclude_attributes and include_attributes arguments are mutually exclusive. You need to \
                provide either one or another, but not both.";
    assert_eq!((status, &refused["faultstring"]), (400, &json!(said)));
    let (status, one) = house.ask("GET", &path, None).await;
    assert_eq!((status, &one["message"]), (200, &json!("Grow it?")));
    let wrong = json!({ "id": id, "response": { "approve": 123 } });
    let (status, refused) = house.ask("PUT", &path, Some(wrong)).await;
    let said = format!(
        "Response for inquiry \"{id}\" did not pass schema validation. \
         `approve`: 123 is not of type \"boolean\""
    );
    assert_eq!((status, refused["faultstring"].as_str()), (400, Some(said.as_str())));
    let right = json!({ "id": id, "response": { "approve": true, "pin": "1234" } });
    let (status, taken) = house.ask("PUT", &path, Some(right.clone())).await;
    let shown = json!({ "approve": true, "pin": "********", "size_gib": 10 });
    assert_eq!((status, taken), (200, json!({ "id": id, "response": shown })));
    let (status, refused) = house.ask("PUT", &path, Some(right)).await;
    let said = format!("Inquiry \"{id}\" has already been responded to.");
    assert_eq!((status, refused["faultstring"].as_str()), (400, Some(said.as_str())));
    assert_eq!(house.ask("GET", "/v1/inquiries", None).await.1, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_answer_never_leaves() {
    let house = house().await;
    let path = asks(&house, "Grow it?").await;
    let answer = json!({ "response": { "approve": true, "pin": "SUPER_SECRET" } });
    house.ask("PUT", &path, Some(answer)).await;
    let flow = house.ask("GET", &path, None).await.1["parent"].as_str().unwrap().to_owned();
    house.world.reaches(flow.parse().unwrap(), Status::Succeeded).await;
    event(&house.world, "core.inquiry_answered", 1).await;
    let id = path.rsplit('/').next().unwrap();
    for path in [
        path.clone(),
        "/v1/executions".to_owned(),
        format!("/v1/executions/{id}"),
        format!("/v1/executions/{id}/result"),
        format!("/v1/executions/{id}/attribute/result"),
        format!("/v1/executions/{flow}/tasks"),
        "/v1/events".to_owned(),
    ] {
        let text = house.call("GET", &path).send().await.unwrap().text().await.unwrap();
        assert!(text.contains("approve"), "{path}: {text}");
        assert!(!text.contains("SUPER_SECRET"), "{path}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_are_refused_as_stackstorm_refuses_them() {
    let house = house().await;
    let (_, run) = house.ask("POST", "/v1/executions", Some(json!({ "action": "demo.act" }))).await;
    let other = run["id"].as_str().unwrap();
    let body = json!({ "response": { "continue": true } });
    let restricted = json!({ "action": "core.ask", "parameters": { "users": ["bob"], "ttl": 1 } });
    house.ask("POST", "/v1/executions", Some(restricted)).await;
    let asked = pending(&house.world).await.id;
    let not = format!("Action execution \"{other}\" is not an inquiry.");
    let user =
        format!("User \"admin\" does not have permission to respond to inquiry \"{asked}\".");
    for (method, path, status, said) in [
        ("GET", format!("/v1/inquiries/{other}"), 400, Some(&not)),
        ("PUT", format!("/v1/inquiries/{other}"), 400, Some(&not)),
        ("GET", "/v1/inquiries/asdfeoijasdf".to_owned(), 404, None),
        ("PUT", format!("/v1/inquiries/{asked}"), 403, Some(&user)),
    ] {
        let sent = (method == "PUT").then(|| body.clone());
        let (got, refused) = house.ask(method, &path, sent).await;
        assert_eq!((got, is_problem(got, &refused)), (status, true), "{path}: {refused}");
        if let Some(said) = said {
            assert_eq!(refused["faultstring"].as_str(), Some(said.as_str()));
        }
    }
    house.world.manual.advance(std::time::Duration::from_mins(1));
    house.world.reaches(asked, Status::Timeout).await;
    let mine = json!({ "action": "core.ask", "parameters": { "ttl": 1 } });
    house.ask("POST", "/v1/executions", Some(mine)).await;
    let asked = pending(&house.world).await.id;
    house.world.manual.advance(std::time::Duration::from_mins(1));
    let path = format!("/v1/inquiries/{asked}");
    let (status, refused) = house.ask("PUT", &path, Some(body)).await;
    let said = format!("Inquiry \"{asked}\" timed out and cannot be responded to.");
    assert_eq!((status, refused["faultstring"].as_str()), (400, Some(said.as_str())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_a_form_and_takes_one_answer() {
    let house = house().await;
    let path = asks(&house, "Grow <b>p1</b>?\nIt is full & slow.").await;
    let link = link(&house).await;
    for _ in 0..2 {
        let page = house.bare("GET", &link).send().await.unwrap();
        assert_eq!(page.status(), 200);
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert_eq!(page.headers()["referrer-policy"], "no-referrer");
        assert_eq!(page.headers()["cache-control"], "no-store");
        let html = page.text().await.unwrap();
        assert!(html.contains("<h1>Grow &lt;b&gt;p1&lt;/b&gt;?</h1>"), "{html}");
        assert!(html.contains("demo.grow") && html.contains("It is full &amp; slow."), "{html}");
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
    }
    let (_, waits) = house.ask("GET", &path, None).await;
    assert_eq!(waits["status"], "pending", "looking answers nothing");
    let form = [("p.approve", "true"), ("p.size_gib", "0"), ("p.pin", "9\"<x>"), ("p.pool", "")];
    let refused = house.bare("POST", &link).form(&form).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    let html = refused.text().await.unwrap();
    assert!(html.contains("size_gib: 0 is less than the minimum of 1"), "{html}");
    assert!(html.contains("value=\"true\" required checked"), "what was typed stays: {html}");
    assert!(!html.contains("&lt;x&gt;"), "a secret is typed again: {html}");
    let form = [("p.approve", "true"), ("p.size_gib", "5"), ("p.pin", "9"), ("p.pool", "fast")];
    let taken = house.bare("POST", &link).form(&form).send().await.unwrap();
    assert_eq!(taken.status(), 200);
    assert!(taken.text().await.unwrap().contains("Thank you"));
    let (_, row) = house.ask("GET", &path, None).await;
    let shown = json!({ "approve": true, "size_gib": 5, "pin": "********", "pool": "fast" });
    assert_eq!((&row["response"], &row["answered_by"]), (&shown, &json!("link")));
    let again = house.bare("POST", &link).form(&form).send().await.unwrap();
    assert_eq!(again.status(), 409);
    assert_eq!(house.bare("GET", &link).send().await.unwrap().status(), 410);
    let wrong = house.bare("GET", &format!("{link}x")).send().await.unwrap();
    assert_eq!(wrong.status(), 404);
    let unknown = house.bare("GET", "/inquiries/none/none").send().await.unwrap();
    assert_eq!(unknown.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_a_kept_event_is_struck_out() {
    let house = house().await;
    asks(&house, "Grow it?").await;
    let link = link(&house).await;
    for path in ["/v1/events", "/v1/triggerinstances"] {
        let text = house.call("GET", path).send().await.unwrap().text().await.unwrap();
        assert!(text.contains("Grow it?") && !text.contains(&link), "{path}: {text}");
    }
}
