//! `inquiry`: asks a person and waits for the answer. The engine keeps the question; nothing runs here.

use async_trait::async_trait;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::model::parameter::Parameters;
use crate::runners::{Course, Job, Outcome, Runner, described};

/// Asks a person.
pub(super) struct Inquiry;

#[async_trait]
impl Runner for Inquiry {
    fn name(&self) -> &'static str {
        "inquiry"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["inquirer"]
    }

    fn about(&self) -> &'static str {
        "Asks a person and waits, however long, for an answer that fits a schema"
    }

    fn parameters(&self, _runner_type: &str) -> Parameters {
        let strings = json!({ "type": "string" });
        described(json!([
            ["schema", {
                "types": ["object"],
                "default": {
                    "title": "response_data",
                    "type": "object",
                    "properties": {
                        "continue": {
                            "type": "boolean",
                            "description": "Whether to go on",
                            "required": true,
                        },
                    },
                },
                "description": "JSON Schema of the answer",
            }],
            ["message", {
                "types": ["string"], "default": "",
                "description": "The question, in words",
            }],
            ["route", {
                "types": ["string"], "default": "",
                "description": "A word for the rules that tell people of the question",
            }],
            ["users", {
                "types": ["array"], "default": [], "schema": { "items": strings },
                "description": "Who may answer; nobody named: everybody who may run actions",
            }],
            ["roles", {
                "types": ["array"], "default": [], "schema": { "items": strings },
                "description": "Whoever has one of these roles may answer too",
            }],
            ["ttl", {
                "types": ["integer"], "default": 1440,
                "description": "Minutes until the question expires, which fails it; 0: never",
            }],
            ["escalate", {
                "types": ["object", "null"], "default": null,
                "description": "`{after: MINUTES, route: WORD}`: asks louder when nobody has answered",
            }],
        ]))
    }

    fn course(&self) -> Course {
        Course::Inquiry
    }

    async fn run(&self, _job: Job, _stop: CancellationToken) -> Outcome {
        Outcome::failed("a question is kept by the engine")
    }
}
