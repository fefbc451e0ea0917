//! The template of pack `storage`: one call makes an autoscaler.

use ifso::model::execution::Status;
use ifso::model::rule::{Effect, Ending};
use serde_json::{Value, json};

use super::Story;
use super::story::lines;
use super::tale::Tale;

const TEMPLATE: &str = include_str!("../../packs/storage/lib/autoscale.rhai");
const TEN_SECONDS: i64 = 10_000;

fn story() -> Story {
    Story::new().library_of("storage", "autoscale", TEMPLATE)
}

fn tale(keys: &str) -> Tale {
    let text = format!("import \"storage/autoscale\" as s;\ns::autoscale(#{{ {keys} }});");
    Tale::with(story().rules(&text).set)
}

fn used(pool: &str, used_pct: f64) -> Value {
    json!({ "pool": pool, "used_pct": used_pct })
}

/// The words of the verdicts on a sample of `storage.pool_capacity`, by rule.
fn sample(tale: &mut Tale, ms: i64, data: Value) -> Vec<String> {
    tale.on("storage.pool_capacity", ms, data);
    let each = tale.last.iter();
    each.map(|one| format!("{} {}", one.rule.name(), one.verdict.word())).collect()
}

/// What the last decision asks for.
fn asked(tale: &Tale) -> Value {
    match &tale.last[0].effects[0] {
        Effect::Run { action, parameters, .. } => json!({ "run": action, "with": parameters }),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_fires_when_all_samples_are_full_and_asks_for_what_was_written() {
    let mut tale = tale(
        "name: \"gold\", pools: \"gold-*\", out: 80, adjust: #{ percent: 10, step: \"1GiB\" }, \
         max: \"2TiB\", cooldown: \"10m\"",
    );
    assert_eq!(sample(&mut tale, 0, used("gold-1", 85.0)), ["gold gathering"]);
    assert_eq!(sample(&mut tale, 1, used("iron-1", 85.0)), [""; 0]);
    assert_eq!(sample(&mut tale, 10_000, used("gold-1", 79.9)), ["gold gathering"]);
    assert_eq!(sample(&mut tale, 20_000, used("gold-1", 80.0)), ["gold gathering"]);
    assert_eq!(sample(&mut tale, 30_000, used("gold-1", 81.0)), ["gold gathering"]);
    assert_eq!(sample(&mut tale, 40_000, used("gold-1", 84.5)), ["gold fired"]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&asked(&tale)).unwrap());
}

#[test]
fn ten_breaches_in_a_burst_scale_once() {
    let mut tale = tale("name: \"gold\", out: 80");
    let mut said = Vec::new();
    for at in 0..10 {
        said.extend(sample(&mut tale, at, used("p", 90.0)));
    }
    let fired = said.iter().filter(|word| word.ends_with("fired")).count();
    assert_eq!(fired, 1, "{said:?}");
    assert_eq!(said[3..], ["gold busy"; 7]);
}

#[test]
fn it_rests_after_a_change_and_only_after_one() {
    let mut tale = tale("name: \"gold\", out: 80, out_samples: 1, cooldown: \"5m\"");
    assert_eq!(sample(&mut tale, 0, used("p", 90.0)), ["gold fired"]);
    let ending = tale.ending_of("site.gold", "p", 0);
    tale.end(100_000, &ending);
    assert_eq!(sample(&mut tale, 399_999, used("p", 90.0)), ["gold cooling"]);
    assert_eq!(sample(&mut tale, 400_000, used("p", 90.0)), ["gold fired"]);
    // At its limit nothing changes: it does not rest, and is not tried with every sample either.
    let ending = tale.ending_of("site.gold", "p", 0);
    let unchanged = json!({ "output": { "changed": false, "limit": "max" } });
    tale.end(405_000, &Ending { result: unchanged, ..ending });
    assert_eq!(sample(&mut tale, 459_999, used("p", 90.0)), ["gold limited"]);
    assert_eq!(sample(&mut tale, 460_000, used("p", 90.0)), ["gold fired"]);
    let ending = tale.ending_of("site.gold", "p", 0);
    tale.end(465_000, &Ending { status: Status::Failed, result: Value::Null, ..ending });
    assert_eq!(sample(&mut tale, 520_000, used("p", 90.0)), ["gold fired"]);
}

#[test]
fn a_pool_that_oscillates_at_the_threshold_scales_once_in_an_hour() {
    let mut tale = tale("name: \"gold\", out: 80, \"in\": 50");
    let (mut fired, mut size, mut ends) = (0, 100.0, None);
    for number in 0..360 {
        let at = number * TEN_SECONDS;
        if ends == Some(at) {
            let ending = tale.ending_of("site.gold", "p", 0);
            tale.end(at, &ending);
            size *= 1.2;
        }
        // Up to the threshold, and two around it: once three in a row are above.
        let used_now = if number % 7 < 4 { 81.0 } else { 79.0 };
        let said = sample(&mut tale, at, used("p", used_now / size * 100.0));
        if said.iter().any(|word| word.ends_with("fired")) {
            fired += 1;
            ends = Some(at + 3 * TEN_SECONDS);
        }
    }
    assert_eq!(fired, 1);
}

#[test]
fn a_forecast_grows_a_pool_before_it_is_full() {
    let mut tale =
        tale("name: \"gold\", out: 80, out_samples: 1, forecast: #{ full_within: \"6h\" }");
    let soon = |full_in: Value| json!({ "pool": "p", "used_pct": 60, "full_in": full_in });
    assert_eq!(sample(&mut tale, 0, soon(json!(21_601))), [""; 0]);
    assert_eq!(sample(&mut tale, 1, soon(Value::Null)), [""; 0]);
    assert_eq!(sample(&mut tale, 2, used("p", 60.0)), [""; 0]);
    assert_eq!(sample(&mut tale, 3, soon(json!(21_600))), ["gold fired"]);
    assert_eq!(asked(&tale)["with"]["why"], "60 % used, full in 21600 s at this rate");
}

#[test]
fn a_pool_that_is_nearly_empty_shrinks_by_a_rule_of_its_own() {
    let mut tale =
        tale("name: \"gold\", out: 80, \"in\": 50, in_samples: 2, adjust: #{ change: \"5GiB\" }");
    assert_eq!(sample(&mut tale, 0, used("p", 50.0)), ["gold-in gathering"]);
    assert_eq!(sample(&mut tale, 1, used("p", 50.1)), ["gold-in gathering"]);
    assert_eq!(sample(&mut tale, 2, used("p", 50.0)), ["gold-in gathering"]);
    assert_eq!(sample(&mut tale, 3, used("p", 49.0)), ["gold-in fired"]);
    assert_eq!(asked(&tale)["with"]["adjustment"], "-5GiB");
}

#[test]
fn pools_are_a_glob_a_list_or_a_function() {
    for pools in ["[\"iron-*\", \"gold-?\"]", "|e| e.pool.starts_with(\"gold\")", "\"g*1\""] {
        let mut tale = tale(&format!("name: \"gold\", pools: {pools}, out: 80, out_samples: 1"));
        assert_eq!(sample(&mut tale, 0, used("gold-1", 90.0)), ["gold fired"], "{pools}");
        assert_eq!(sample(&mut tale, 0, used("tin-1", 90.0)), [""; 0], "{pools}");
    }
}

#[test]
fn mistakes_are_told_at_the_call() {
    let wrong = |keys: &str| {
        let text = format!("import \"storage/autoscale\" as s;\ns::autoscale(#{{ {keys} }});");
        lines(&story().compile(&text).unwrap_err())
    };
    let told = [
        "out: 80",
        "name: \"gold\"",
        "name: \"gold\", out: 80, pool: \"gold-*\"",
        "name: \"gold\", out: 80, \"in\": 80",
        "name: \"gold\", out: 80, pools: 5",
        "name: \"gold\", out: 80, adjust: #{ precent: 20 }",
        "name: \"gold\", out: 80, \"in\": 50, adjust: #{ exact: \"5GiB\" }",
        "name: \"gold\", out: 80, cooldown: \"5 parsecs\"",
        "name: \"gold\", out: 80, active: \"office\"",
    ];
    insta::assert_snapshot!(told.map(wrong).join("\n"));
}
