//! Incidents over HTTP: looked up, acknowledged, resolved, and by link.

use ifso::packs::catalog::Catalog;
use serde_json::json;

use crate::api::House;
use crate::incidents::home::{PLAN, deliveries, load, rests};

/// A house in which one disk is broken, and `ops` were told.
pub async fn house() -> House {
    let house = House::new(load(PLAN, &Catalog::default())).await;
    let data = json!({ "key": "disk/sda", "status": "firing", "group": null });
    house.world.report(vec![crate::world::report("test.alert", data)]).await;
    rests(&house.world).await;
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_are_listed_filtered_and_shown() {
    let house = house().await;
    let (_, list) = house.ask("GET", "/v1/incidents", None).await;
    assert_eq!(list.as_array().unwrap().len(), 1);
    let row = &list[0];
    assert_eq!((&row["severity"], &row["state"]), (&json!("error"), &json!("open")));
    assert_eq!(row["told"][0]["channel"], "ops");
    for (query, count) in [
        ("severity=critical", 0),
        ("severity=warning", 1),
        ("state=resolved", 0),
        ("state=all&key=disk/sda", 1),
        ("key=other", 0),
        ("source=nobody", 0),
    ] {
        let (_, list) = house.ask("GET", &format!("/v1/incidents?{query}"), None).await;
        assert_eq!(list.as_array().unwrap().len(), count, "{query}");
    }
    let (status, wrong) = house.ask("GET", "/v1/incidents?state=broken", None).await;
    assert_eq!(status, 400, "{wrong}");
    let (_, one) = house.ask("GET", "/v1/incidents/last", None).await;
    assert_eq!(one["levels"][1]["after_seconds"], 900);
    assert!(!one.to_string().contains("hash"), "links are nobody's business: {one}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_acknowledge_and_resolve() {
    let house = house().await;
    let (_, one) = house.ask("GET", "/v1/incidents/last", None).await;
    let path = format!("/v1/incidents/{}", one["id"].as_str().unwrap());
    let ack = json!({ "state": "acknowledged", "for": "2h" });
    let (status, row) = house.ask("PUT", &path, Some(ack)).await;
    assert_eq!((status, &row["state"]), (200, &json!("acknowledged")));
    assert_eq!(row["acknowledged_by"], "admin");
    assert_eq!(row["acknowledged_until"], "2026-03-01T02:00:00.000Z");
    for wrong in [
        json!({ "state": "open" }),
        json!({ "state": "acknowledged", "for": "soon" }),
        json!({ "state": "resolved", "for": "2h" }),
    ] {
        assert_eq!(house.ask("PUT", &path, Some(wrong)).await.0, 400);
    }
    let over = json!({ "state": "resolved" });
    let (_, row) = house.ask("PUT", &path, Some(over.clone())).await;
    assert_eq!((&row["state"], &row["resolved_by"]), (&json!("resolved"), &json!("admin")));
    let (status, again) = house.ask("PUT", &path, Some(over)).await;
    assert_eq!(status, 409, "{again}");
    assert_eq!(house.ask("GET", "/v1/incidents", None).await.1, json!([]));
    assert_eq!(house.ask("GET", "/v1/incidents/inc_none", None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_a_page_and_looking_changes_nothing() {
    let house = house().await;
    let message = deliveries(&house.world).await.remove(0);
    let link = message.given["link"].as_str().unwrap();
    let link = link.strip_prefix("https://ifso.example").unwrap();
    for _ in 0..2 {
        let page = house.bare("GET", link).send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert_eq!(page.headers()["referrer-policy"], "no-referrer");
        let html = page.text().await.unwrap();
        assert!(html.contains("disk/sda is broken") && html.contains("I am at it"), "{html}");
    }
    let (_, row) = house.ask("GET", "/v1/incidents/last", None).await;
    assert_eq!(row["state"], "open");
    let form = [("do", "acknowledge")];
    let html = house.bare("POST", link).form(&form).send().await.unwrap().text().await.unwrap();
    assert!(html.contains("nobody else is called") && !html.contains("I am at it"), "{html}");
    let (_, row) = house.ask("GET", "/v1/incidents/last", None).await;
    assert_eq!(row["acknowledged_by"], "link of ops");
    let form = [("do", "resolve")];
    let html = house.bare("POST", link).form(&form).send().await.unwrap().text().await.unwrap();
    assert!(html.contains("it is over") && !html.contains("<button"), "{html}");
    let wrong = house.bare("GET", &format!("{link}x")).send().await.unwrap();
    assert_eq!(wrong.status(), 404);
}
