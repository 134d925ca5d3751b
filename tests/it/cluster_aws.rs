use tests::{cluster::Stage, fixture::SECOND, rig::Rig};

/// The emulator takes an access key of twelve digits for the number of the account.
const ACCOUNT: &str = "123456789012";

#[test]
#[ignore = "needs the AWS emulator, an API server and Chromium"]
fn a_stack_of_a_namespace_has_access_keys_of_its_own() {
    let (rig, stage) = (Rig::start(), Stage::new("aws"));
    stage.folder.project("sources/site", SECOND, "<p>Text</p>");
    stage.apply("HyperframesStack", "cloud", "{aws: {region: us-east-1, credentials: {secretRef: {name: keys}}}}");
    stage.apply("Render", "r", "{stackRef: {name: cloud}, source: {path: site}, output: {quality: draft}}");
    let operator = stage.operator("hf-producer");
    let _operator = operator.env("AWS_ENDPOINT_URL", rig.endpoint()).env("HF_HANDLER", rig.zip()).start();
    let stack = stage.wait_for_stack("cloud", "AWS_CREDENTIALS");
    assert!(stack.to_string().contains("there is no Secret aws/keys"), "{stack}");

    let (id, secret) = (format!("--from-literal=AWS_ACCESS_KEY_ID={ACCOUNT}"), "hidden-from-all");
    let secret_key = format!("--from-literal=AWS_SECRET_ACCESS_KEY={secret}");
    stage.kubectl(&["create", "secret", "generic", "keys", &id, &secret_key]);
    let stack = stage.wait_for_stack("cloud", "Available");
    assert!(stack["status"]["aws"]["stackId"].as_str().unwrap().contains(ACCOUNT), "{stack}");
    let render = stage.wait_for_reason("r", "Completed");
    let output = render["status"]["output"]["uri"].as_str().unwrap();
    assert!(output.starts_with("s3://"), "{render}");
    assert!(!stage.kubectl(&["get", "hfs,hfr,events", "-o", "yaml"]).contains(secret));
}
