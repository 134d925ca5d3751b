//! What a plain scalar means, and where YAML 1.1 and 1.2 disagree about it.

use serde_json::Value;

/// Why a plain scalar would mean something else to `kubectl`, which reads YAML 1.1.
pub(super) fn trap(text: &str) -> Option<String> {
    let other = if is_old_bool(text) {
        "a boolean"
    } else if is_old_number(text) {
        "another number"
    } else {
        return None;
    };
    Some(format!(
        "{text} without quotes is {other} in YAML 1.1, which kubectl reads: write \"{text}\" or what you mean"
    ))
}

fn is_old_bool(text: &str) -> bool {
    const WORDS: [&str; 6] = ["y", "yes", "on", "n", "no", "off"];
    let same_case = |word: &str| {
        let capital = word[..1].to_uppercase() + &word[1..];
        text == word || text == capital || text == word.to_uppercase()
    };
    WORDS.into_iter().any(same_case)
}

/// Octal by a leading zero, digits with underscores, and the `0o` and `0b` forms.
fn is_old_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let numeric = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    if let Some(rest) = digits.strip_prefix('0') {
        let prefixed = rest.strip_prefix(['o', 'b', 'x']).is_some_and(|rest| rest.contains('_') || !rest.is_empty());
        return numeric(rest) || prefixed;
    }
    let number_with_underscores = digits.replace('_', "").parse::<f64>().is_ok();
    digits.starts_with(|first: char| first.is_ascii_digit()) && digits.contains('_') && number_with_underscores
}

/// The JSON value of a plain scalar, as `serde_yaml` resolves it; `None` for infinities and NaN, which JSON lacks.
pub(super) fn resolve(text: &str) -> Option<Value> {
    let typed = serde_yaml::from_str(text).unwrap_or_else(|_| serde_yaml::Value::String(text.to_owned()));
    match typed {
        serde_yaml::Value::Null => Some(Value::Null),
        serde_yaml::Value::Bool(value) => Some(value.into()),
        serde_yaml::Value::Number(number) => {
            let integer = number.as_i64().map(Value::from).or_else(|| number.as_u64().map(Value::from));
            integer.or_else(|| number.as_f64().and_then(serde_json::Number::from_f64).map(Value::Number))
        }
        _ => Some(text.into()),
    }
}
