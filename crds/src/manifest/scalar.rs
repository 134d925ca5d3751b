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

/// Octal by a leading zero, digits with underscores, the `0o`, `0b` and `0x` forms, and integers too large for 64 bits.
fn is_old_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let numeric = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    if let Some(rest) = digits.strip_prefix('0') {
        let prefixed = rest.strip_prefix(['o', 'O', 'b', 'B', 'x', 'X']).is_some_and(|rest| !rest.is_empty());
        return numeric(rest) || prefixed;
    }
    let begins_a_number = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    let with_underscores = digits.contains('_') && digits.replace('_', "").parse::<f64>().is_ok();
    let too_large = numeric(digits) && text.parse::<u64>().is_err() && text.parse::<i64>().is_err();
    begins_a_number && (with_underscores || too_large)
}

/// The JSON value of a plain scalar, as `serde_yaml` resolves it; `None` for infinities and NaN, which JSON lacks. A whole
/// number is an integer however it is written, as in a cluster.
pub(super) fn resolve(text: &str) -> Option<Value> {
    let typed = serde_yaml::from_str(text).unwrap_or_else(|_| serde_yaml::Value::String(text.to_owned()));
    match typed {
        serde_yaml::Value::Null => Some(Value::Null),
        serde_yaml::Value::Bool(value) => Some(value.into()),
        serde_yaml::Value::Number(number) => {
            let integer = number.as_i64().map(Value::from).or_else(|| number.as_u64().map(Value::from));
            let float = number.as_f64()?;
            integer.or_else(|| whole(float)).or_else(|| serde_json::Number::from_f64(float).map(Value::Number))
        }
        _ => Some(text.into()),
    }
}

fn whole(number: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    (number.fract() == 0.0 && number.abs() < EXACT).then(|| Value::from(number as i64))
}
