//! `bootstrap`: what Lambda starts. See [`handler`].

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use handler::{
    function::{Call, Function},
    log::log_panics,
    objects::s3::S3,
    settings::Settings,
};
use lambda_runtime::{LambdaEvent, Runtime, service_fn, tower::util::ThenLayer};
use serde_json::Value;

fn main() -> ExitCode {
    log_panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(serve())) {
        // Lambda starts another environment.
        Ok(Ok(()) | Err(_)) | Err(_) => ExitCode::FAILURE,
    }
}

/// Takes events until the environment is spent.
async fn serve() -> Result<(), lambda_runtime::Error> {
    let function = Arc::new(Function::new(Settings::resolve(), Arc::new(S3::from_environment().await)));
    let handle = |event: LambdaEvent<Value>| {
        let function = Arc::clone(&function);
        let call =
            Call { request_id: event.context.request_id.clone(), remaining: remaining(event.context.deadline()) };
        async move { function.handle(event.payload, &call).await }
    };
    // After the answer is sent, not before.
    let spent = ThenLayer::new(|sent: Result<(), lambda_runtime::Error>| {
        let function = Arc::clone(&function);
        async move { if function.is_spent() { Err("this environment is spent".into()) } else { sent } }
    });
    Runtime::new(service_fn(handle)).layer(spent).run().await
}

#[expect(clippy::disallowed_methods, reason = "Lambda tells the deadline as a time of day")]
fn remaining(deadline: SystemTime) -> Duration {
    deadline.duration_since(SystemTime::now()).unwrap_or_default()
}
