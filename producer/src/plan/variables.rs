//! Variables against their declarations.

use crds::{Code, Failure};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Error, error::composition, plan::defects::Defects};

/// A `data-composition-variables` as written.
#[derive(Clone, Debug)]
pub(crate) struct Declarations {
    pub(crate) text: String,
    pub(crate) path: String,
    pub(crate) line: u32,
}

#[derive(Deserialize)]
struct Declaration {
    id: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    options: Vec<Value>,
}

/// Checks every value that has a declaration; one that has none is a defect: the composition shows its default.
pub(crate) fn check(
    values: &Map<String, Value>,
    declared: &[Declarations],
    defects: &mut Defects,
) -> Result<(), Error> {
    let mut declarations: Vec<Declaration> = Vec::new();
    for Declarations { text, path, line } in declared {
        match serde_json::from_str::<Vec<_>>(text) {
            Ok(these) => declarations.extend(these),
            // The runtime takes it for none, and the composition shows its defaults.
            Err(error) => defects.minor.push(Failure {
                code: Code::VariablesInvalid,
                message: format!("data-composition-variables is not a JSON list of declarations: {error}"),
                path: Some(path.clone()),
                line: Some(*line),
            }),
        }
    }
    for (id, value) in values {
        let Some(declaration) = declarations.iter().find(|declaration| declaration.id == *id) else {
            let known: Vec<_> = declarations.iter().map(|declaration| declaration.id.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!("the composition declares no variable {id:?} (it declares: {known})");
            defects.visible.push(Failure::new(Code::VariablesInvalid, message));
            continue;
        };
        if let Some(wanted) = declaration.refuses(value) {
            let message = format!("variable {id:?} must be {wanted}, not {value}");
            return Err(composition(Code::VariablesInvalid, message));
        }
    }
    Ok(())
}

impl Declaration {
    /// What a value should have been, if it cannot be used.
    fn refuses(&self, value: &Value) -> Option<String> {
        let (fits, wanted) = match self.kind.as_str() {
            "number" => (value.is_number(), "a number"),
            "boolean" => (value.is_boolean(), "true or false"),
            "string" | "color" => (value.is_string(), "a string"),
            "image" | "font" => (value.is_string() || value.is_object(), "a string or an object"),
            "enum" => {
                let is_option = |option: &Value| option == value || option.get("value") == Some(value);
                let fits = self.options.iter().any(is_option);
                let options: Vec<_> =
                    self.options.iter().map(|option| option.get("value").unwrap_or(option).to_string()).collect();
                return (!fits).then(|| format!("one of {}", options.join(", ")));
            }
            _ => return None,
        };
        (!fits).then(|| wanted.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn declarations(text: &str) -> Declarations {
        Declarations { text: text.to_owned(), path: "index.html".to_owned(), line: 3 }
    }

    #[track_caller]
    fn check_value(value: Value, expected: Result<usize, &str>) {
        let declared = r#"[{"id":"n","type":"number"},{"id":"e","type":"enum","options":["a",{"value":"b"}]},{"id":"s","type":"string"}]"#;
        let Value::Object(values) = value else { unreachable!() };
        let mut defects = Defects::default();
        let result = check(&values, &[declarations(declared)], &mut defects);
        let result = result.map(|()| defects.visible.len()).map_err(|error| error.to_string());
        assert_eq!(result, expected.map_err(str::to_owned));
    }

    #[test]
    fn values_fit_their_declaration() {
        check_value(json!({ "n": 1.5, "e": "b", "s": "x" }), Ok(0));
        check_value(json!({ "unknown": [] }), Ok(1));
        check_value(json!({ "n": "1" }), Err("variable \"n\" must be a number, not \"1\""));
        check_value(json!({ "e": "c" }), Err("variable \"e\" must be one of \"a\", \"b\", not \"c\""));
        check_value(json!({ "s": 1 }), Err("variable \"s\" must be a string, not 1"));
    }

    #[test]
    fn unreadable_declarations_name_their_line() {
        let mut defects = Defects::default();
        check(&Map::new(), &[declarations("{}")], &mut defects).unwrap();
        let found: Vec<_> = defects.minor.iter().map(|failure| (failure.code, failure.line)).collect();
        assert_eq!((found.as_slice(), defects.visible.len()), ([(Code::VariablesInvalid, Some(3))].as_slice(), 0));
    }
}
