//! `make invoke EVENT=FILE`: one event through the real function, with a bucket that is a folder.
//!
//! A plan event's project is packed from `examples/` when the bucket does not have it. In the other events the text
//! `PLAN_HASH` stands for the hash of the last plan.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::Value;
use tests::{
    fixture::{example, root},
    lambda::{BUCKET, Environment},
    sites::archive_if_there,
    store::Store,
};

fn main() -> ExitCode {
    let Some(event) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: make invoke EVENT=tests/events/plan.json");
        return ExitCode::from(64);
    };
    let folder = root().join("target/invoke");
    let (store, tmp, last) = (Store::start(&folder), folder.join("tmp"), folder.join("plan-hash"));
    fs::create_dir_all(&tmp).unwrap();
    let event = match read(&event, &fs::read_to_string(&last).unwrap_or_default()) {
        Ok(value) => value,
        Err(reason) => {
            eprintln!("error: {}: {reason}", event.display());
            return ExitCode::from(64);
        }
    };
    upload_example(&store, &event);

    let mut environment = Environment::start(&store, &tmp, &[]);
    let outcome = environment.invoke(&event);
    eprintln!("{}", environment.printed());
    eprintln!("ready for events after {} ms; the bucket is {}", environment.cold_start.as_millis(), folder.display());
    match outcome {
        Ok(answer) => {
            if answer["Action"] == "plan" {
                fs::write(&last, answer["PlanHash"].as_str().unwrap_or_default()).unwrap();
            }
            println!("{answer:#}");
            ExitCode::SUCCESS
        }
        Err((name, message)) => {
            println!("{name}: {message}");
            ExitCode::FAILURE
        }
    }
}

/// An event, with the hash of the last plan where it asks for that.
fn read(event: &Path, plan_hash: &str) -> Result<Value, String> {
    let text = fs::read_to_string(event).map_err(|error| error.to_string())?;
    serde_json::from_str(&text.replace("PLAN_HASH", plan_hash)).map_err(|error| error.to_string())
}

fn upload_example(store: &Store, event: &Value) {
    let uri = event["ProjectS3Uri"].as_str().unwrap_or_default();
    let key = uri.trim_start_matches("s3://");
    let name = key.strip_prefix(&format!("{BUCKET}/sites/")).and_then(|rest| Path::new(rest).parent());
    let project = name.map(|name| example(&name.display().to_string()));
    if let Some(archive) = project.as_deref().and_then(archive_if_there).filter(|_| store.get(key).is_none()) {
        store.put(key, &archive);
    }
}
