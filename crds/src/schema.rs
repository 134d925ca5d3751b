//! The custom resource definitions as an API server takes them.
//!
//! kube derives them from the types; three things it cannot say are added here: optional fields are left out
//! rather than null, a new object's status starts at generation -1 (else kstatus calls it current before anybody has
//! looked), and conditions carry the limits of `metav1.Condition`.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::{HyperframesStack, Render};

/// Every custom resource definition, with its file name.
#[must_use]
pub fn all_crds() -> Vec<(&'static str, Value)> {
    vec![("hyperframesstacks.yaml", definition::<HyperframesStack>()), ("renders.yaml", definition::<Render>())]
}

/// One custom resource definition, finished.
#[must_use]
pub fn definition<K: CustomResourceExt>() -> Value {
    let mut crd = json!(K::crd());
    tidy(&mut crd);
    if let Some(versions) = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for version in versions {
            let schema = &mut version["schema"]["openAPIV3Schema"];
            // `kubectl explain` shows it first.
            schema["description"] = schema["properties"]["spec"]["description"].clone();
            finish_status(&mut schema["properties"]["status"]);
        }
    }
    crd
}

/// The `openAPIV3Schema` of a resource.
#[must_use]
pub fn object_schema<K: CustomResourceExt>() -> Value {
    definition::<K>().pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap_or_default()
}

/// Removes `nullable` and the null members of enums wherever a schema stands, and writes whole numbers as such
/// (`maximum: 10.0` comes from `JSONSchemaProps`, which keeps limits as doubles).
fn tidy(node: &mut Value) {
    match node {
        Value::Object(fields) => {
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                fields.remove("nullable");
            }
            if let Some(Value::Array(members)) = fields.get_mut("enum") {
                members.retain(|member| !member.is_null());
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|value| value.fract() == 0.0) {
                #[expect(clippy::cast_possible_truncation, reason = "limits of a schema are far below 2^53")]
                let whole = whole as i64;
                *node = whole.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn finish_status(status: &mut Value) {
    status["default"] = json!({ "observedGeneration": -1 });
    let condition = &mut status["properties"]["conditions"]["items"]["properties"];
    let limits = [
        ("type", json!({ "maxLength": 316 })),
        ("status", json!({ "enum": ["True", "False", "Unknown"] })),
        ("reason", json!({ "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$" })),
        ("message", json!({ "maxLength": 32768 })),
    ];
    for (field, extra) in limits {
        if let (Some(schema), Value::Object(extra)) = (condition[field].as_object_mut(), extra) {
            schema.extend(extra);
        }
    }
}
