//! The variables of the instances: what their scripts and style sheets are given.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::scope::attribute_selector;

/// Values by the variable's id.
pub(super) type Values = Map<String, Value>;

/// The defaults in a `data-composition-variables`.
pub(super) fn defaults(declarations: &str) -> Result<Values, String> {
    let declarations: Vec<Values> = serde_json::from_str(declarations).map_err(|error| error.to_string())?;
    let default = |mut declaration: Values| match (declaration.remove("id"), declaration.remove("default")) {
        (Some(Value::String(id)), Some(default)) => Some((id, default)),
        _ => None,
    };
    Ok(declarations.into_iter().filter_map(default).collect())
}

/// What an instance has.
#[derive(Debug, Default)]
pub(super) struct Instance {
    /// All its values.
    pub(super) values: Values,
    /// What its root element declares; its defaults.
    pub(super) declared: Values,
    /// What its host gives it.
    pub(super) given: Values,
}

/// The rules that define the variables as custom properties, so that the first frame is right; the runtime sets them
/// later. A property that some style sheet defines is left to it, except where a value was given on purpose.
pub(super) fn rules(instances: &BTreeMap<String, Instance>, overrides: &Values, sheets: &[String]) -> String {
    let authored: HashSet<_> = sheets.iter().flat_map(|sheet| defined(sheet)).collect();
    let authored = |id: &String| authored.contains(property(id).as_str());
    let mut rules = String::new();
    let mut rule = |selector: String, values: Values| {
        let declarations: String =
            values.iter().filter_map(|(id, value)| Some(format!("{}: {};", property(id), written(value)?))).collect();
        if !declarations.is_empty() {
            rules += &format!("{selector} {{ {declarations} }} ");
        }
    };
    for (mounted, Instance { values, declared, given }) in instances {
        let mut host: Values = values.clone();
        host.retain(|id, _| !authored(id));
        host.extend(overrides.clone().into_iter().filter(|(id, _)| values.contains_key(id)));
        rule(attribute_selector("data-composition-id", mounted), host);
        let mut root: Values = declared.clone();
        root.retain(|id, _| !authored(id));
        root.extend(given.clone().into_iter().filter(|(id, _)| declared.contains_key(id)));
        let known = |id: &String| declared.contains_key(id) || given.contains_key(id);
        root.extend(overrides.clone().into_iter().filter(|(id, _)| known(id)));
        rule(attribute_selector(VARIABLES_OF, mounted), root);
    }
    rules
}

/// Marks the root element of an instance for its rule.
pub(super) const VARIABLES_OF: &str = "data-hf-var-scope";

/// The custom property of a variable.
fn property(id: &str) -> String {
    let words = id.to_lowercase();
    let words: Vec<_> =
        words.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "--node".to_owned() } else { format!("--{}", words.join("-")) }
}

/// A value in a style sheet, where it cannot end the declaration; none for what no property can be.
fn written(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        // As a script would write it.
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
        _ => return None,
    };
    Some(text.replace([';', '{', '}', '<', '>', '\r', '\n'], ""))
}

/// The custom properties that a style sheet sets.
fn defined(sheet: &str) -> impl Iterator<Item = &str> {
    sheet.match_indices("--").filter_map(|(start, _)| {
        let name = sheet[start..].find(|character: char| !(character.is_alphanumeric() || "-_".contains(character)))?;
        let (name, rest) = sheet[start..].split_at(name);
        rest.trim_start().starts_with(':').then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values(value: Value) -> Values {
        let Value::Object(values) = value else { unreachable!() };
        values
    }

    #[test]
    fn defaults_are_read_from_declarations() {
        let read = defaults(r#"[{"id":"a","default":1},{"id":"b"},{"default":2}]"#);
        assert_eq!(read, Ok(values(json!({ "a": 1 }))));
        assert!(defaults("{}").is_err());
    }

    #[test]
    fn values_become_custom_properties() {
        let instance = Instance {
            values: values(json!({ "Main Colour": "red;}", "size": 2.0, "shown": true, "empty": "" })),
            declared: values(json!({ "size": 1 })),
            given: values(json!({ "size": 2 })),
        };
        let instances = BTreeMap::from([("card".to_owned(), instance)]);
        let host = "[data-composition-id=\"card\"]";
        assert_eq!(
            rules(&instances, &Values::new(), &[]),
            format!("{host} {{ --main-colour: red;--size: 2; }} [data-hf-var-scope=\"card\"] {{ --size: 2; }} ")
        );
        let authored = [":root { --size : 3 }".to_owned()];
        let overrides = values(json!({ "size": 4, "other": 5 }));
        assert_eq!(
            rules(&instances, &overrides, &authored),
            format!("{host} {{ --main-colour: red;--size: 4; }} [data-hf-var-scope=\"card\"] {{ --size: 4; }} ")
        );
    }
}
