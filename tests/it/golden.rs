use std::{env, fs, path::Path, process::Command};

use crds::{Code, Fault};
use serde_json::Value;
use tests::{
    bins::{bin, tool_output},
    fixture::root,
    processes::output,
    truth::packed,
};

/// Compares a committed file with what it is generated from; with `UPDATE_GOLDEN=1` writes it instead.
#[track_caller]
fn golden(path: &Path, text: &str) {
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, text).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(committed == text, "{} is stale: run UPDATE_GOLDEN=1 make test", path.display());
}

#[test]
fn custom_resource_definitions_are_fresh() {
    for (name, definition) in crds::schema::all_crds() {
        let text = serde_yaml::to_string(&definition).unwrap();
        golden(&root().join("crds/yaml").join(name), &text);
        // A chart can hold only what is inside its folder.
        golden(&root().join("charts/hyperframes-operator/files/crds").join(name), &text);
    }
}

/// `kubectl explain` shows descriptions; one that is missing helps nobody.
#[test]
fn every_field_is_described() {
    fn walk(path: &str, schema: &Value, missing: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if field["description"].as_str().is_none_or(str::is_empty) {
                missing.push(path.clone());
            }
            walk(&path, field, missing);
            walk(&format!("{path}[]"), &field["items"], missing);
        }
    }
    let mut missing = Vec::new();
    for (name, definition) in crds::schema::all_crds() {
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            walk(&format!("{name}:{part}"), &schema["properties"][part], &mut missing);
        }
    }
    assert_eq!(missing, [""; 0]);
}

/// An API server takes no nulls, no unsigned numbers and no fractions in a spec.
#[test]
fn schemas_keep_the_api_conventions() {
    for (name, definition) in crds::schema::all_crds() {
        let text = definition.to_string();
        for word in ["nullable", "uint", "\"format\":\"float\"", "\"format\":\"double\"", "\"type\":\"number\""] {
            assert!(!text.contains(word), "{name} has {word}");
        }
    }
}

#[test]
fn the_help_texts_are_fresh() {
    for name in ["hf-operator", "hf-producer", "hf-reconcile"] {
        let program = bin(name);
        let help = output(Command::new(program).arg("--help").env("COLUMNS", "100"));
        golden(&root().join("tests/golden").join(format!("{name}.txt")), &String::from_utf8(help.stdout).unwrap());
    }
}

#[test]
fn the_cloudformation_template_is_fresh() {
    let template = tool_output(bin("hf-reconcile").to_str().unwrap(), &["aws", "template"]);
    golden(&root().join("examples/aws/template.yaml"), &String::from_utf8(template.stdout).unwrap());
}

#[test]
fn the_table_of_codes_is_fresh() {
    let mut text = CODES.to_owned();
    for code in Code::ALL {
        let (whose, exit) = match code.fault() {
            Fault::Composition => ("the composition's", 2),
            Fault::Transient => ("passing", 1),
            Fault::Permanent => ("somebody must act", 1),
        };
        let again = if code.retryable() { "yes" } else { "no" };
        text += &format!("| `{code}` | {} | {whose} | {exit} | {again} |\n", code.meaning());
    }
    golden(&root().join("docs/codes.md"), &text);
}

const CODES: &str = "\
# Error codes

Every failure has one code, the same everywhere: on the terminal and in `--json` lines of `hf-producer`, as `errorType` of the Lambda
function (and so as the error of the execution), in `.status.failure.code` of a Render with its message, in
`.status.attempts[].failureCode`, as the reason of the `Ready` and `Succeeded` conditions of a Render that failed and of `Ready` of a
stack that is not as it should be, and as the reason of a Warning event. A warning carries a code too (`.status.warnings`).

*Tried again* says whether another attempt with the same inputs may succeed: such a failure is retried by Step Functions within an
execution, and then by the reconciler up to `spec.retry.limit`. Any other ends both at once: the state machine lists it as not
retried, and the Render is `Failed` until its inputs or its spec change, or a retry is asked for. An execution's error that is not
in this table is `EXECUTION_FAILED`, with AWS's own name and cause in the message; `States.Timeout` is `EXECUTION_TIMED_OUT`,
`Lambda.TooManyRequestsException` is `AWS_THROTTLED`, `Sandbox.Timedout` is `NO_PROGRESS`.

Two codes of upstream's cannot occur: text is never drawn with a font of the system (`SYSTEM_FONT_USED`), for browsers are shown
the bundled fonts alone and those that planning fetched, and nothing is drawn by a GPU (`BROWSER_GPU_NOT_SOFTWARE`), for they are
offered none.

| Code | Meaning | Whose fault | Exit code of `hf-producer` | Tried again |
|---|---|---|---|---|
";

/// Every command line of the README that starts one of our programs is one the program understands.
#[test]
fn commands_in_the_documentation_exist() {
    for document in ["README.md", "CONTRIBUTING.md", "docs/aws.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for line in text.lines().map(str::trim).filter(|line| line.starts_with("hf-")) {
            let words: Vec<_> = line.split_whitespace().collect();
            let verb = words.get(1).filter(|word| !word.starts_with('-'));
            let arguments: Vec<_> = verb.copied().into_iter().chain(["--help"]).collect();
            let help = tool_output(bin(words[0]).to_str().unwrap(), &arguments);
            let help = String::from_utf8(help.stdout).unwrap();
            for option in words.iter().filter(|word| word.starts_with("--")) {
                assert!(help.contains(*option), "{document}: {line}: no {option}");
            }
        }
    }
}

/// The licences in `assets.toml` are those in the packages.
#[test]
fn asset_licences_are_as_listed() {
    let list = fs::read_to_string(root().join("producer/assets.toml")).unwrap();
    let field = |package: &str, name: &str| {
        let line = package.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    };
    let packages: Vec<_> = list.split("[[package]]").skip(1).collect();
    assert_eq!(packages.len(), 21);
    for package in packages {
        let (name, version) = (field(package, "name"), field(package, "version"));
        let archive = format!("{}-{version}", name.trim_start_matches('@').replace('/', "-"));
        let description: Value = serde_json::from_slice(&packed(&archive, "package.json")).unwrap();
        let licence = field(package, "license");
        // The core package names its licence in a file of its own.
        let stated = description["license"].as_str().map(str::to_owned);
        let stated = stated.unwrap_or_else(|| String::from_utf8(packed(&archive, "LICENSE")).unwrap());
        let apache = licence == "Apache-2.0" && stated.contains("Apache License");
        assert!(apache || stated.starts_with(&licence), "{name}: {stated} is not {licence}");
    }
}
