//! The table of colours (`.cube`) that `data-color-grading` names: `lut`, or `src` of it.

use serde_json::Value;

/// Its address.
pub(super) fn named(grading: &str) -> Option<String> {
    let mut grading = serde_json::from_str(grading).ok()?;
    source(&mut grading)?.as_str().map(str::to_owned)
}

/// The same grading with a table of another address; `None` where it keeps its own, or has none.
pub(super) fn renamed(grading: &str, rename: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut grading = serde_json::from_str(grading).ok()?;
    let source = source(&mut grading)?;
    *source = Value::String(rename(source.as_str()?)?);
    Some(grading.to_string())
}

fn source(grading: &mut Value) -> Option<&mut Value> {
    match grading.get_mut("lut")? {
        Value::Object(lut) => lut.get_mut("src"),
        lut => Some(lut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_and_renamed() {
        let rename = |address: &str| address.strip_prefix("../").map(str::to_owned);
        for (grading, address, after) in [
            (r#"{"lut":"../a.cube"}"#, Some("../a.cube"), Some(r#"{"lut":"a.cube"}"#)),
            (
                r#"{"lut":{"intensity":1,"src":"../a.cube"}}"#,
                Some("../a.cube"),
                Some(r#"{"lut":{"intensity":1,"src":"a.cube"}}"#),
            ),
            (r#"{"lut":{"src":"a.cube"}}"#, Some("a.cube"), None),
            (r#"{"lut":null,"intensity":1}"#, None, None),
            (r#"{"lut":{}}"#, None, None),
            ("[]", None, None),
            ("{", None, None),
        ] {
            assert_eq!(named(grading).as_deref(), address, "{grading}");
            assert_eq!(renamed(grading, &rename).as_deref(), after, "{grading}");
        }
    }
}
