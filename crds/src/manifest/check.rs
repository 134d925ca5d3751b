//! A document against the schema of its kind.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use jsonschema::{ValidationError, error::ValidationErrorKind};
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::{
    Manifest, Object, Problem, scalar,
    tree::{Kind, Node},
};
use crate::{GROUP, HyperframesStack, Render, VERSION, schema::object_schema};

/// Checks one document; adds either its object or its problems.
pub(super) fn document(root: &Node, manifest: &mut Manifest) {
    if root.text().is_some_and(|text| matches!(text, "" | "~" | "null")) {
        return;
    }
    if !is_ours(root) {
        manifest.foreign += 1;
        return;
    }
    let mut problems = Vec::new();
    let value = to_json(root, "", &mut problems);
    match kind_of(root, &value, &mut problems) {
        Some("Render") => {
            check::<Render>(&RENDER, root, value, &mut problems, manifest, |render| Object::Render(Arc::new(render)));
        }
        Some("HyperframesStack") => {
            check::<HyperframesStack>(&STACK, root, value, &mut problems, manifest, |stack| {
                Object::Stack(Arc::new(stack))
            });
        }
        _ => {}
    }
    manifest.problems.append(&mut problems);
}

/// Whether a document is meant for us: by its API group, or by its kind where the group is missing or misspelt.
fn is_ours(root: &Node) -> bool {
    let field = |name| root.get(name).and_then(Node::text).unwrap_or_default();
    let (version, kind) = (field("apiVersion"), field("kind"));
    let group = version.split('/').next().unwrap_or_default();
    group == GROUP
        || KINDS.contains(&kind) && (!version.contains('/') || strsim::damerau_levenshtein(group, GROUP) <= 3)
}

const KINDS: [&str; 2] = ["Render", "HyperframesStack"];

/// The schema of a kind, ready to use.
struct Schema {
    raw: Value,
    /// The same, closed to unknown fields.
    strict: Value,
    validator: jsonschema::Validator,
}

static RENDER: LazyLock<Schema> = LazyLock::new(Schema::of::<Render>);
static STACK: LazyLock<Schema> = LazyLock::new(Schema::of::<HyperframesStack>);

impl Schema {
    fn of<K: CustomResourceExt>() -> Self {
        let raw = object_schema::<K>();
        let mut strict = raw.clone();
        close(&mut strict);
        strict["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
        strict["properties"]["metadata"] = metadata_schema();
        for unchecked in ["apiVersion", "kind", "status"] {
            strict["properties"][unchecked] = json!({});
        }
        let validator = jsonschema::validator_for(&strict)
            .unwrap_or_else(|error| unreachable!("our own schema is valid, a test reads it: {error}"));
        Self { raw, strict, validator }
    }
}

/// Unknown fields are errors wherever the schema names the known ones, and Kubernetes' words mean what they mean there.
fn close(node: &mut Value) {
    match node {
        Value::Object(fields) => {
            if fields.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
                fields.insert("type".to_owned(), json!(["integer", "string"]));
            }
            if fields.contains_key("properties") && !fields.contains_key("x-kubernetes-preserve-unknown-fields") {
                fields.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// What a user may write under `metadata`, and what an exported object carries and we ignore.
fn metadata_schema() -> Value {
    const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
    let subdomain = format!(r"{LABEL}(\.{LABEL})*");
    let key = format!("^({subdomain}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$");
    let map =
        |value: Value| json!({ "type": "object", "propertyNames": { "pattern": key }, "additionalProperties": value });
    let label =
        json!({ "type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$" });
    let mut schema = json!({
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "maxLength": 253, "pattern": format!("^{subdomain}$") },
            "namespace": { "type": "string", "maxLength": 63, "pattern": format!("^{LABEL}$") },
            "labels": map(label),
            "annotations": map(json!({ "type": "string" })),
        },
    });
    let exported = ["creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generation"];
    let server = ["managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"];
    for field in exported.into_iter().chain(server) {
        schema["properties"][field] = json!({});
    }
    schema
}

/// The tree as JSON; notes duplicate keys and scalars that mean different things to different readers.
fn to_json(node: &Node, field: &str, problems: &mut Vec<Problem>) -> Value {
    match &node.kind {
        Kind::Scalar { text, plain: false } => text.as_str().into(),
        Kind::Scalar { text, plain: true } => {
            problems.extend(scalar::trap(text).map(|message| node.problem(field, message)));
            scalar::resolve(text).unwrap_or_else(|| {
                problems.push(node.problem(field, format!("{text} is not a number JSON can hold")));
                Value::Null
            })
        }
        Kind::List(items) => {
            let item = |(index, item)| to_json(item, &format!("{field}[{index}]"), problems);
            items.iter().map(|item| &**item).enumerate().map(item).collect()
        }
        Kind::Map(entries) => {
            let mut seen = HashSet::new();
            let mut map = Map::new();
            for (key, value) in entries {
                let Kind::Scalar { text, plain } = &key.kind else {
                    problems.push(key.problem(field, "a key must be a word, not a list or a map"));
                    continue;
                };
                let path = join(field, text);
                if *plain {
                    problems.extend(scalar::trap(text).map(|message| key.problem(&path, message)));
                }
                if *plain && text == "<<" {
                    problems.push(key.problem(&path, "merge keys are not supported: write the fields out"));
                    continue;
                }
                if !seen.insert(text) {
                    problems.push(key.problem(&path, "this key stands here twice: remove one"));
                }
                map.insert(text.clone(), to_json(value, &path, problems));
            }
            Value::Object(map)
        }
    }
}

fn kind_of<'v>(root: &Node, value: &'v Value, problems: &mut Vec<Problem>) -> Option<&'v str> {
    let Value::Object(fields) = value else {
        problems.push(root.problem("", "a document must be a map with apiVersion, kind, metadata and spec"));
        return None;
    };
    let mut is = |field: &str, known: &[&str]| {
        let text = fields.get(field).and_then(Value::as_str).filter(|text| known.contains(text));
        if text.is_none() {
            let place = root.get(field).unwrap_or(root);
            problems.push(place.problem(field, format!("must be {}", known.join(" or "))));
        }
        text
    };
    let version = is("apiVersion", &[&format!("{GROUP}/{VERSION}")]).is_some();
    is("kind", &KINDS).filter(|_| version)
}

fn check<K: serde::de::DeserializeOwned>(
    schema: &Schema,
    root: &Node,
    mut value: Value,
    problems: &mut Vec<Problem>,
    manifest: &mut Manifest,
    wrap: impl Fn(K) -> Object,
) {
    forget_server_fields(&mut value);
    let before = problems.len();
    for error in schema.validator.iter_errors(&value) {
        schema_problems(root, &schema.strict, &error, problems);
    }
    let mut value = kube_cel::apply_defaults(&schema.raw, &value);
    // As in an API server, rules are only asked about an object that has the right shape.
    if problems.len() == before
        && let Err(errors) = kube_cel::Validator::new().validate(&schema.raw, &value, None)
    {
        for error in errors.into_vec() {
            let segments: Vec<_> = error.field_path.split('.').filter(|part| !part.is_empty()).collect();
            let node = locate(root, &segments);
            let rate = error.message.starts_with("a frame rate").then(|| node.text()).flatten();
            let message = rate.map_or(error.message, crate::rate::advice);
            problems.push(node.problem(&error.field_path, message));
        }
    }
    if problems.is_empty() {
        forget_server_fields(&mut value);
        match serde_json::from_value(value) {
            Ok(object) => manifest.objects.push(wrap(object)),
            Err(error) => problems.push(root.problem("", error.to_string())),
        }
    }
}

/// An exported object brings its status and bookkeeping along; the controller that reads it keeps its own.
fn forget_server_fields(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
        let user = ["name", "namespace", "labels", "annotations"];
        let known = metadata_schema();
        metadata.retain(|key, _| user.contains(&key.as_str()) || known["properties"].get(key).is_none());
    }
}

fn schema_problems(root: &Node, schema: &Value, error: &ValidationError<'_>, problems: &mut Vec<Problem>) {
    let pointer = error.instance_path().to_string();
    let segments: Vec<_> = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let segments: Vec<_> = segments.iter().map(String::as_str).collect();
    let field = segments.iter().fold(String::new(), |path, part| join(&path, part));
    let node = locate(root, &segments);
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = known_fields(schema, error);
            problems.extend(unexpected.iter().map(|name| {
                let key = node.key(name).unwrap_or(node);
                let meant = nearest(name, &known).map_or_else(String::new, |meant| format!(": did you mean {meant}?"));
                key.problem(&join(&field, name), format!("unknown field{meant}"))
            }));
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<_> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let written = node.text().unwrap_or_default();
            let meant = nearest(written, &options).map_or_else(String::new, |meant| format!(": did you mean {meant}?"));
            problems.push(node.problem(&field, format!("{written:?} is not one of {}{meant}", options.join(", "))));
        }
        ValidationErrorKind::Type { .. } if is_rate(schema, error) => {
            let written = node.text().unwrap_or("this");
            problems.push(node.problem(&field, crate::rate::advice(written)));
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            problems.push(node.problem(&join(&field, name), "is missing"));
        }
        ValidationErrorKind::Pattern { .. } if field == "metadata.name" || field == "metadata.namespace" => {
            let written = node.text().unwrap_or_default();
            let message = "is not a name: lower-case letters, digits, - and . between them, as in title-card.v2";
            problems.push(node.problem(&field, format!("{written:?} {message}")));
        }
        _ => problems.push(node.problem(&field, error.to_string())),
    }
}

/// The schema that an error is about: the parent of the keyword that was not kept.
fn schema_of<'s>(schema: &'s Value, error: &ValidationError<'_>) -> Option<&'s Value> {
    let keyword = error.schema_path().to_string();
    schema.pointer(keyword.rsplit_once('/')?.0)
}

fn known_fields<'s>(schema: &'s Value, error: &ValidationError<'_>) -> Vec<&'s str> {
    let properties = schema_of(schema, error).and_then(|schema| schema["properties"].as_object());
    properties.into_iter().flat_map(Map::keys).map(String::as_str).collect()
}

fn is_rate(schema: &Value, error: &ValidationError<'_>) -> bool {
    schema_of(schema, error).is_some_and(|schema| schema["x-kubernetes-int-or-string"] == true)
}

/// The word that was probably meant.
fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let distance = |known: &&str| strsim::damerau_levenshtein(&word.to_lowercase(), &known.to_lowercase());
    known.iter().copied().min_by_key(distance).filter(|known| distance(known) <= 2.max(word.len() / 3))
}

/// The node at a path, or the deepest one on the way that was written.
fn locate<'n>(root: &'n Node, segments: &[&str]) -> &'n Node {
    let mut node = root;
    for segment in segments {
        let child = match &node.kind {
            Kind::List(items) => segment.parse::<usize>().ok().and_then(|index| items.get(index)).map(|item| &**item),
            Kind::Map(_) | Kind::Scalar { .. } => node.get(segment),
        };
        match child {
            Some(child) => node = child,
            None => break,
        }
    }
    node
}

fn join(path: &str, part: &str) -> String {
    match (path.is_empty(), part.parse::<usize>().is_ok()) {
        (true, _) => part.to_owned(),
        (false, true) => format!("{path}[{part}]"),
        (false, false) => format!("{path}.{part}"),
    }
}
