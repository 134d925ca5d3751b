use super::*;

/// Parses a Render whose spec is `spec` and compares every problem, position included.
#[track_caller]
fn check_spec(spec: &str, expected: &[&str]) {
    let indented: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    check(
        &format!("apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {{name: a}}\nspec:\n{indented}"),
        expected,
    );
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let manifest = parse(text);
    let problems: Vec<_> = manifest.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, expected);
}

fn render(text: &str) -> Render {
    let manifest = parse(text);
    assert_eq!(manifest.problems, []);
    match manifest.objects.into_iter().next() {
        Some(Object::Render(render)) => Arc::unwrap_or_clone(render),
        other => unreachable!("{other:?}"),
    }
}

const HELLO: &str =
    "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {name: hello}\nspec: {source: {path: .}}\n";

#[test]
fn defaults_are_the_schemas() {
    let spec = render(HELLO).spec;
    assert_eq!(spec.output.quality, crate::Quality::Standard);
    assert_eq!(spec.output.fps, None);
    assert_eq!(spec.retry.limit, 2);
    assert_eq!(spec.desired_state, crate::render::DesiredState::Running);
}

#[test]
fn a_frame_rate_is_an_integer_or_a_fraction() {
    for fps in ["30", "\"30\"", "30000/1001", "\"30000/1001\""] {
        let text = HELLO.replace("spec: {", &format!("spec: {{output: {{fps: {fps}}}, "));
        assert!(render(&text).spec.output.fps.is_some(), "{fps}");
    }
    let advice = "write a whole number (30) or a fraction (\"30000/1001\") from 1 to 240";
    for fps in ["0", "241", "'0/1'", "'1/2'", "'30/'", "''", "true", "[30]"] {
        let text = if fps.starts_with('[') { "this" } else { fps.trim_matches('\'') };
        let expected = format!("7:10: spec.output.fps: {text:?} is not a frame rate: {advice}");
        check_spec(&format!("source: {{path: .}}\noutput:\n  fps: {fps}"), &[&expected]);
    }
    for fps in ["29.97", "\"29.97\""] {
        let expected =
            "7:10: spec.output.fps: 29.97 is not a frame rate: write \"30000/1001\", which is what it stands for";
        check_spec(&format!("source: {{path: .}}\noutput:\n  fps: {fps}"), &[expected]);
    }
}

#[test]
fn all_problems_of_all_documents_are_reported_at_once() {
    let text = "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {name: A, nmae: b}\nspec:\n  source: {path: .}\n  \
                outptu: {}\n  retry: {limit: 99}\n---\napiVersion: v1\nkind: Pod\n---\n# nothing\n---\nkind: Render\n";
    check(
        text,
        &[
            "3:18: metadata.name: \"A\" is not a name: lower-case letters, digits, - and . between them, as in title-card.v2",
            "3:21: metadata.nmae: unknown field: did you mean name?",
            "6:3: spec.outptu: unknown field: did you mean output?",
            "7:18: spec.retry.limit: 99 is greater than the maximum of 4",
            "14:1: apiVersion: must be hyperframes.io/v1alpha1",
        ],
    );
}

/// What is somebody else's is passed over, and what is nearly ours is not.
#[test]
fn documents_of_others_are_counted_and_misspelt_ones_are_problems() {
    let foreign = |text: &str| {
        let manifest = parse(text);
        assert!(manifest.problems.is_empty() && manifest.objects.is_empty(), "{text}: {manifest:?}");
        manifest.foreign
    };
    assert_eq!(foreign("services:\n  web: {image: nginx}\n"), 1);
    assert_eq!(foreign("apiVersion: v1\nkind: Pod\n---\n- a\n---\n# nothing\n---\nno\n"), 3);
    assert_eq!(foreign("apiVersion: other.io/v1\nkind: Render\nmetadata: {name: a}\n"), 1);
    assert!(foreign("{{ if .Values.x }}\na: [\n") > 0);
    assert_eq!(foreign(&format!("{HELLO}---\nkind: Pod\n").replace(HELLO, "")), 1);
    for text in [
        "kind: Render\n",
        "apiVersion: hyperframe.io/v1alpha1\nkind: Render\n",
        "apiVersion: hyperframes.io/v1\nkind: Render\n",
        "apiVersion: hyperframes.io/v1alpha1\n",
        "apiVersion: hyperframes.io/v1alpha1\nkind: [\n",
    ] {
        assert!(!parse(text).problems.is_empty(), "{text}");
    }
}

/// A file cannot make the parser panic, whatever carries an anchor.
#[test]
fn anchors_may_stand_anywhere() {
    for document in ["&a {b: 1}", "&a\nb: 1", "&a [1]", "&a\n- 1", "&a text", "&a", "&a ~", "&a {b: *a}", "--- &a\n..."]
    {
        let manifest = parse(&format!("{document}\n"));
        assert!(manifest.objects.is_empty(), "{document}");
    }
    let anchored = HELLO.replace("apiVersion", "&root\napiVersion");
    assert_eq!(parse(&anchored).objects.len(), 1);
}

#[test]
fn what_yaml_1_1_reads_differently_is_refused_everywhere() {
    let trap = |position: &str, field: &str, text: &str, kind: &str| {
        format!(
            "{position}: {field}: {text} without quotes is {kind} in YAML 1.1, which kubectl reads: write \"{text}\" or what you mean"
        )
    };
    check_spec(
        "source: {path: .}\nvariables:\n  country: no\n  zip: 014\n  big: 1_000\n  on: 1\n  list: [Yes, fine, 'no', 0o17]",
        &[
            &trap("7:14", "spec.variables.country", "no", "a boolean"),
            &trap("8:10", "spec.variables.zip", "014", "another number"),
            &trap("9:10", "spec.variables.big", "1_000", "another number"),
            &trap("10:5", "spec.variables.on", "on", "a boolean"),
            &trap("11:12", "spec.variables.list[0]", "Yes", "a boolean"),
            &trap("11:29", "spec.variables.list[3]", "0o17", "another number"),
        ],
    );
}

#[test]
fn every_number_kubectl_would_read_otherwise_is_refused() {
    for number in ["0X1F", "0B11", "-_1", ".5_0", "1_0", "08", "18446744073709551616", "-9223372036854775809"] {
        let problems = parse(&HELLO.replace("spec: {", &format!("spec: {{variables: {{a: {number}}}, "))).problems;
        assert!(problems.len() == 1 && problems[0].to_string().contains("another number"), "{number}: {problems:?}");
    }
    for text in ["_1", "1.2.3", "0", "-0.5", "18446744073709551615", "-9223372036854775808"] {
        let problems = parse(&HELLO.replace("spec: {", &format!("spec: {{variables: {{a: {text}}}, "))).problems;
        assert_eq!(problems, [], "{text}");
    }
}

#[test]
fn whole_numbers_are_integers_however_they_are_written() {
    let spec =
        render(&HELLO.replace("spec: {", "spec: {priority: 1e3, retry: {limit: 2.0}, output: {fps: 30.0}, ")).spec;
    assert_eq!((spec.priority, spec.retry.limit, spec.output.fps), (1000, 2, "30".parse().ok()));
}

#[test]
fn names_and_labels_are_what_a_cluster_takes() {
    for metadata in [
        "name: a..b",
        "name: a-.b",
        "name: a, labels: {a: 'b c'}",
        "name: a, labels: {'a b': c}",
        "name: a, annotations: {'a b': c}",
    ] {
        let problems = parse(&HELLO.replace("name: hello", metadata)).problems;
        assert!(problems.len() == 1 && problems[0].field.starts_with("metadata."), "{metadata}: {problems:?}");
    }
    render(&HELLO.replace(
        "name: hello",
        "name: a.b-c, labels: {app.kubernetes.io/name: x, empty: ''}, annotations: {note: 'a b'}",
    ));
}

#[test]
fn quoted_words_and_plain_numbers_stay_what_they_are() {
    let text = HELLO.replace(
        "spec: {",
        "spec: {variables: {a: 'no', b: \"014\", c: 0, d: 0.5, e: -7, f: true, g: !!str 5, h: now, i: 1e3, j: }, ",
    );
    let variables = serde_json::json!({ "a": "no", "b": "014", "c": 0, "d": 0.5, "e": -7, "f": true, "g": "5", "h": "now", "i": 1000, "j": null });
    assert_eq!(serde_json::Value::Object(render(&text).spec.variables), variables);
}

#[test]
fn duplicate_keys_and_merge_keys_are_refused() {
    check_spec(
        "source: {path: .}\nvariables:\n  a: 1\n  a: 2\n  <<: {b: 1}",
        &[
            "8:3: spec.variables.a: this key stands here twice: remove one",
            "9:3: spec.variables.<<: merge keys are not supported: write the fields out",
        ]
        .map(|line| line.replacen(":3:", ":5:", 1))
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>(),
    );
}

#[test]
fn exactly_one_source() {
    check_spec(
        "source: {}",
        &[
            "5:11: spec.source: exactly one member says where the composition is: path, configMapRef, secretRef or archive",
        ],
    );
    check_spec("priority: 1", &["5:3: spec.source: is missing"]);
}

#[test]
fn an_exported_object_is_accepted() {
    let text = HELLO.replace(
        "metadata: {name: hello}",
        "metadata: {name: hello, uid: x, generation: 3, creationTimestamp: 2026-01-01T00:00:00Z, managedFields: [{}]}\n\
         status: {anything: 1}",
    );
    let render = render(&text);
    assert_eq!(render.metadata.uid, None);
    assert_eq!(render.status, None);
}

#[test]
fn aliases_work_and_cannot_explode() {
    let text = HELLO.replace("spec: {", "spec: {variables: {a: &x [1, 2], b: *x}, ");
    assert_eq!(render(&text).spec.variables["b"], serde_json::json!([1, 2]));

    let mut bomb = String::from("# hyperframes.io\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(parse(&bomb).problems[0].message.starts_with("more than 100000 values"), "{:?}", parse(&bomb).problems);
    assert_eq!(parse(&format!("hyperframes.io: {}", "[".repeat(100_000))).problems.len(), 1);
}

#[test]
fn broken_yaml_names_its_place() {
    let manifest = parse("apiVersion: hyperframes.io/v1alpha1\nkind: [Render\n");
    assert_eq!(manifest.problems.len(), 1);
    assert!(manifest.problems[0].message.starts_with("not valid YAML"), "{}", manifest.problems[0]);
    assert!(manifest.problems[0].line >= 2);
    check("", &[]);
    check("# only a comment\n", &[]);
}
