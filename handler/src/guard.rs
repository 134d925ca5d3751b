//! Which objects an event may name: those of the one bucket, each kind below its own prefixes.
//!
//! The rights of the function say the same; this says it before anything is fetched, by name, and also where rights are
//! not enforced.

use crds::{Code, Failure, event::Event};

use crate::{published, uri::S3Uri};

/// Where projects are read from.
const PROJECTS: &[&str] = &["sites/", "projects/"];
/// Where plans and chunks are written and read.
const WORK: &[&str] = &["renders/"];
/// Where videos are written.
const OUTPUTS: &[&str] = &["outputs/", "renders/"];

/// The objects of a plan event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanPlaces {
    /// The project's archive.
    pub project: S3Uri,
    /// Variables that lie beside the configuration.
    pub variables: Option<S3Uri>,
    /// Prefix of what is published.
    pub output: S3Uri,
}

/// The objects of a chunk event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkPlaces {
    /// The plan.
    pub plan: published::Places,
    /// Prefix of what is written.
    pub output: S3Uri,
}

/// The objects of an assemble event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssemblePlaces {
    /// The plan.
    pub plan: published::Places,
    /// The chunks, in order of index.
    pub chunks: Vec<S3Uri>,
    /// The video.
    pub output: S3Uri,
}

/// An event's objects, read and allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// Of `plan`.
    Plan(PlanPlaces),
    /// Of `renderChunk`.
    Chunk(ChunkPlaces),
    /// Of `assemble`.
    Assemble(AssemblePlaces),
}

/// The objects an event names. `bucket` is the function's own; without one nothing is allowed.
///
/// # Errors
/// `S3_URI_NOT_ALLOWED` for an object of another bucket or prefix, or when this function has no bucket; `EVENT_INVALID`
/// for a text that is no S3 URI.
pub fn places(event: &Event, bucket: Option<&str>) -> Result<Places, Failure> {
    let Some(bucket) = bucket else {
        let message = "this function has no bucket: set HYPERFRAMES_RENDER_BUCKET";
        return Err(Failure::new(Code::S3UriNotAllowed, message));
    };
    let below = |text: &str, prefixes: &[&str]| allowed(text, bucket, prefixes);
    Ok(match event {
        Event::Plan(event) => Places::Plan(PlanPlaces {
            project: below(&event.project_s3_uri, PROJECTS)?,
            variables: event.config.variables_s3_uri.as_ref().map(|uri| below(uri, WORK)).transpose()?,
            output: below(&event.plan_output_s3_prefix, WORK)?,
        }),
        Event::RenderChunk(event) => Places::Chunk(ChunkPlaces {
            plan: published::Places {
                manifest: below(&event.plan_v2_manifest_s3_uri, WORK)?,
                artifacts: below(&event.plan_v2_artifact_s3_prefix, WORK)?,
            },
            output: below(&event.chunk_output_s3_prefix, WORK)?,
        }),
        Event::Assemble(event) => Places::Assemble(AssemblePlaces {
            plan: published::Places {
                manifest: below(&event.plan_v2_manifest_s3_uri, WORK)?,
                artifacts: below(&event.plan_v2_artifact_s3_prefix, WORK)?,
            },
            chunks: event.chunk_s3_uris.iter().map(|uri| below(uri, WORK)).collect::<Result<_, _>>()?,
            output: below(&event.output_s3_uri, OUTPUTS)?,
        }),
    })
}

fn allowed(text: &str, bucket: &str, prefixes: &[&str]) -> Result<S3Uri, Failure> {
    let uri = S3Uri::parse(text)?;
    let refused = |message: String| Err(Failure::new(Code::S3UriNotAllowed, message));
    if uri.bucket != bucket {
        return refused(format!("{uri} is not in this function's bucket {bucket}"));
    }
    // The bare prefix is everybody's: something must come after it.
    let is_below = |prefix: &&str| uri.key.strip_prefix(prefix).is_some_and(|rest| !rest.trim_matches('/').is_empty());
    if prefixes.iter().any(is_below) {
        Ok(uri)
    } else {
        refused(format!("{uri} must be below {} of the bucket", prefixes.join(" or ")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dispatch::dispatch;

    fn assemble(chunk: &str, output: &str) -> Value {
        json!({
            "Action": "assemble", "PlanV2ManifestS3Uri": "s3://b/renders/r/v2/manifest.json",
            "PlanV2ArtifactS3Prefix": "s3://b/renders/r/v2/artifacts/sha256", "PlanHash": "00",
            "ChunkS3Uris": [chunk], "AudioS3Uri": null, "OutputS3Uri": output, "Format": "mp4",
        })
    }

    fn plan(project: &str, output: &str) -> Value {
        json!({
            "Action": "plan", "ProjectS3Uri": project, "PlanOutputS3Prefix": output, "Config": { "format": "mp4" },
        })
    }

    #[track_caller]
    fn check(event: impl Into<Value>, allowed: bool) {
        let event = event.into();
        let found = places(&dispatch(event.clone()).unwrap(), Some("b"));
        assert_eq!(
            found.map(drop).map_err(|failure| failure.code),
            if allowed { Ok(()) } else { Err(Code::S3UriNotAllowed) },
            "{event}"
        );
    }

    #[test]
    fn each_kind_of_object_has_its_prefixes() {
        check(plan("s3://b/sites/x/project.tar.gz", "s3://b/renders/r1/"), true);
        check(plan("s3://b/projects/x.tar.gz", "s3://b/renders/r1"), true);
        check(plan("s3://other/sites/x/project.tar.gz", "s3://b/renders/r1/"), false);
        check(plan("s3://b/renders/x.tar.gz", "s3://b/renders/r1/"), false);
        check(plan("s3://b/sites/x.tar.gz", "s3://b/sites/r1/"), false);
        check(plan("s3://b/sites/x.tar.gz", "s3://b/renders//"), false);
        check(plan("s3://b/sites/x.tar.gz", "s3://b/rendersx/r1/"), false);
        check(assemble("s3://b/renders/r/chunks/0000.mp4", "s3://b/outputs/o.mp4"), true);
        check(assemble("s3://b/renders/r/chunks/0000.mp4", "s3://b/renders/r/output.mp4"), true);
        check(assemble("s3://b/sites/c.mp4", "s3://b/outputs/o.mp4"), false);
        check(assemble("s3://b/renders/c.mp4", "s3://b/sites/x/project.tar.gz"), false);
        check(assemble("s3://c/renders/c.mp4", "s3://b/outputs/o.mp4"), false);
    }

    #[test]
    fn without_a_bucket_nothing_is_allowed() {
        let event = dispatch(plan("s3://b/sites/x.tar.gz", "s3://b/renders/r1/")).unwrap();
        let failure = places(&event, None).unwrap_err();
        assert_eq!(failure.code, Code::S3UriNotAllowed);
        assert!(failure.message.contains("HYPERFRAMES_RENDER_BUCKET"), "{failure}");
    }
}
