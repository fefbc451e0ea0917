//! A storage cloud in memory that speaks as SODA's hotpot (block storage) and gelato (objects across
//! clouds, with buckets in the shape they had until 2020) do, and a stand-in for a job service.
//!
//! Whatever takes time there takes questions here: a thing is ready once it was asked for so often.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// How often one asks before a thing is ready.
const QUESTIONS: u64 = 2;

/// The host to which volumes may be attached.
pub const HOST: &str = "host-1";

/// What there is.
#[derive(Debug, Default)]
pub struct Cloud {
    pub volumes: BTreeMap<String, Value>,
    pub attachments: BTreeMap<String, Value>,
    /// Each bucket with the backend that holds it.
    pub buckets: BTreeMap<String, String>,
    pub plans: BTreeMap<String, Value>,
    pub jobs: BTreeMap<String, Value>,
    /// What was asked to be analysed.
    pub analyses: BTreeMap<String, Value>,
    /// Method and path of every call that changed something, in their order.
    pub changes: Vec<String>,
    /// The tokens that came.
    pub tokens: Vec<String>,
    /// Jobs of migrations end so.
    pub migration_fails: bool,
    count: u32,
}

/// A cloud that is served.
#[derive(Clone, Default)]
pub struct Hotpot(Arc<Mutex<Cloud>>);

impl Hotpot {
    /// What answers for it.
    pub fn router(&self) -> Router {
        let cloud = self.clone();
        Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: String| {
            let answer = cloud.look(|cloud| cloud.answer(&method, &uri, &headers, &body));
            std::future::ready(answer)
        })
    }

    /// Looks at it, or changes it.
    pub fn look<T>(&self, at: impl FnOnce(&mut Cloud) -> T) -> T {
        at(&mut self.0.lock().unwrap())
    }
}

fn refused(message: &str) -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(json!({ "code": 400, "message": message })))
        .into_response()
}

fn gone(what: &str) -> Response {
    (StatusCode::NOT_FOUND, axum::Json(json!({ "code": 404, "message": what }))).into_response()
}

fn xml(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], text).into_response()
}

/// The text between `<tag>` and `</tag>`.
fn tag<'a>(text: &'a str, tag: &str) -> &'a str {
    let inner = text.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once("</"));
    inner.map_or("", |(inner, _)| inner)
}

/// One question more; says whether it is ready now.
fn asked(row: &mut Value) -> bool {
    let asked = row["asked"].as_u64().unwrap_or(0) + 1;
    row["asked"] = json!(asked);
    asked >= QUESTIONS
}

impl Cloud {
    fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &str) -> Response {
        if let Some(token) = headers.get("x-auth-token") {
            self.tokens.push(token.to_str().unwrap().to_owned());
        }
        if method != Method::GET {
            self.changes.push(format!("{method} {uri}"));
        }
        let parts: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let json: Value = serde_json::from_str(body).unwrap_or_default();
        let load = uri.query().is_some_and(|query| query.starts_with("load"));
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["v1beta", tenant, "block", "volumes"]) => self.create_volume(tenant, &json),
            ("GET", ["v1beta", _, "block", "volumes"]) => {
                axum::Json(self.volumes.values().collect::<Vec<_>>()).into_response()
            }
            ("GET", ["v1beta", _, "block", "volumes", id]) => self.volume(id),
            ("DELETE", ["v1beta", _, "block", "volumes", id]) => self.delete_volume(id),
            ("POST", ["v1beta", tenant, "block", "attachments"]) => self.attach(tenant, &json),
            ("GET", ["v1", "s3"]) => self.list_buckets(),
            ("PUT", ["v1", "s3", bucket]) if load => self.load(bucket, body),
            ("PUT", ["v1", "s3", bucket]) => self.create_bucket(bucket, body),
            ("POST", ["v1", tenant, "plans"]) => self.create_plan(tenant, &json),
            ("POST", ["v1", _, "plans", id, "run"]) => self.run_plan(id),
            ("DELETE", ["v1", _, "plans", id]) => match self.plans.remove(*id) {
                Some(_) => axum::Json(json!({})).into_response(),
                None => gone("no such plan"),
            },
            ("GET", ["v1", _, "jobs", id]) => self.job(id),
            ("POST", ["analyses"]) => {
                let id = self.id("analysis");
                self.analyses.insert(id.clone(), json);
                axum::Json(json!({ "id": id })).into_response()
            }
            ("GET", ["analyses", id]) => self.analysis(id),
            _ => gone("no such path"),
        }
    }

    fn id(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}-{}", self.count)
    }

    fn create_volume(&mut self, tenant: &str, wanted: &Value) -> Response {
        let name = wanted["name"].as_str().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || " _-".contains(c);
        if name.is_empty() || name.len() > 255 || !name.chars().all(plain) {
            return refused("invalid name");
        }
        if wanted["size"].as_u64().is_none_or(|size| size == 0) {
            return refused("invalid size");
        }
        let id = self.id("volume");
        let mut volume = wanted.clone();
        volume["id"] = json!(id);
        volume["tenantId"] = json!(tenant);
        volume["status"] = json!("creating");
        self.volumes.insert(id, volume.clone());
        (StatusCode::ACCEPTED, axum::Json(volume)).into_response()
    }

    fn volume(&mut self, id: &str) -> Response {
        let Some(volume) = self.volumes.get_mut(id) else { return gone("no such volume") };
        if volume["status"] == "creating" && asked(volume) {
            let broken = volume["name"].as_str().is_some_and(|name| name.starts_with("broken"));
            volume["status"] = json!(if broken { "error" } else { "available" });
        }
        axum::Json(volume.clone()).into_response()
    }

    fn delete_volume(&mut self, id: &str) -> Response {
        let Some(volume) = self.volumes.get(id) else { return gone("no such volume") };
        if !["available", "error"].iter().any(|status| volume["status"] == *status) {
            return refused("only volumes that are available or in error can be deleted");
        }
        self.volumes.remove(id);
        StatusCode::ACCEPTED.into_response()
    }

    fn attach(&mut self, tenant: &str, wanted: &Value) -> Response {
        let id = wanted["volumeId"].as_str().unwrap_or_default();
        let Some(volume) = self.volumes.get_mut(id) else { return gone("no such volume") };
        if wanted["hostId"] != HOST {
            return refused("no such host");
        }
        if volume["status"] != "available" {
            return refused("only available volumes can be attached");
        }
        volume["status"] = json!("inUse");
        let id = self.id("attachment");
        let mut attachment = wanted.clone();
        attachment["id"] = json!(id);
        attachment["tenantId"] = json!(tenant);
        attachment["status"] = json!("creating");
        self.attachments.insert(id, attachment.clone());
        (StatusCode::ACCEPTED, axum::Json(attachment)).into_response()
    }

    fn list_buckets(&self) -> Response {
        let bucket = |(name, backend): (&String, &String)| {
            format!(
                "<Buckets><Name>{name}</Name><CreationDate>2019-04-01T10:00:00Z</CreationDate>\
                 <LocationConstraint>{backend}</LocationConstraint></Buckets>"
            )
        };
        let buckets: String = self.buckets.iter().map(bucket).collect();
        let space = "http://s3.amazonaws.com/doc/2006-03-01";
        xml(format!("<ListAllMyBucketsResult xmlns=\"{space}\">{buckets}</ListAllMyBucketsResult>"))
    }

    fn create_bucket(&mut self, name: &str, body: &str) -> Response {
        if self.buckets.contains_key(name) {
            return (StatusCode::CONFLICT, "the bucket exists").into_response();
        }
        self.buckets.insert(name.to_owned(), tag(body, "LocationConstraint").to_owned());
        xml("<BaseResponse><Code>200</Code><Msg>Create bucket successfully.</Msg></BaseResponse>"
            .into())
    }

    fn load(&mut self, bucket: &str, body: &str) -> Response {
        if !self.buckets.contains_key(bucket) || tag(body, "Prefix").is_empty() {
            return refused("nothing to load");
        }
        xml("<BaseResponse><Code>200</Code><Msg>Load objects successfully.</Msg></BaseResponse>"
            .into())
    }

    fn create_plan(&mut self, tenant: &str, wanted: &Value) -> Response {
        if wanted["SourceConn"]["BucketName"] == wanted["DestConn"]["BucketName"] {
            let text = "source is the same as destination";
            return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
        }
        let id = self.id("plan");
        let plan =
            json!({ "id": id, "name": wanted["Name"], "tenantId": tenant, "wanted": wanted });
        self.plans.insert(id, plan.clone());
        axum::Json(json!({ "plan": plan })).into_response()
    }

    fn run_plan(&mut self, id: &str) -> Response {
        let Some(plan) = self.plans.get(id).cloned() else { return gone("no such plan") };
        let job = self.id("job");
        self.jobs
            .insert(job.clone(), json!({ "id": job, "planId": plan["id"], "status": "started" }));
        axum::Json(json!({ "jobId": job })).into_response()
    }

    fn job(&mut self, id: &str) -> Response {
        let fails = self.migration_fails;
        let Some(job) = self.jobs.get_mut(id) else { return gone("no such job") };
        if asked(job) {
            job["status"] = json!(if fails { "failed" } else { "succeed" });
        }
        axum::Json(json!({ "job": job })).into_response()
    }

    fn analysis(&mut self, id: &str) -> Response {
        let Some(analysis) = self.analyses.get_mut(id) else { return gone("no such analysis") };
        let state = if asked(analysis) { "COMPLETED" } else { "RUNNING" };
        axum::Json(json!({ "id": id, "state": state })).into_response()
    }
}
