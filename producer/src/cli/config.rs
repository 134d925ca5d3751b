//! The render configuration of a command line: a file, and flags over it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use crds::{Code, Format, RenderConfig};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::args::RequestArgs;
use crate::{Error, files, plan::Request};

impl RequestArgs {
    /// Reads what the arguments name. `out` is the output, where it has a format's name.
    ///
    /// # Errors
    /// `CONFIG_INVALID` or `VARIABLES_INVALID` with file and line, and those of reading files.
    pub(crate) fn read(self, out: Option<&Path>) -> Result<Request, Error> {
        let Self {
            project,
            config,
            fps,
            format,
            codec,
            crf,
            bitrate,
            resolution,
            gif_loop,
            quality,
            strictness,
            variables,
            chunks,
            chunk_size,
        } = self;
        // A file says what format it is for, if only by leaving it open.
        let named = out.filter(|_| config.is_none()).and_then(Format::of_name);
        let mut read_from: Vec<PathBuf> = config.iter().cloned().collect();
        let config: Option<RenderConfig> =
            config.map(|path| json(&files::read_text(&path)?, Code::ConfigInvalid, Some(&path))).transpose()?;
        let mut config = config.unwrap_or_default();
        config.fps = fps.or(config.fps);
        config.format = format.or(named).unwrap_or(config.format);
        config.codec = codec.or(config.codec);
        let (quality, of_quality) = quality.unzip();
        let has_factor = bitrate.is_none() && matches!(config.format, Format::Mp4 | Format::Webm | Format::Hls);
        let crf = crf.or(of_quality.flatten().filter(|_| has_factor));
        if crf.is_some() || bitrate.is_some() {
            (config.crf, config.bitrate) = (crf, bitrate);
        }
        if let Some((size, turns)) = resolution {
            (config.output_resolution, config.output_resolution_aspect_agnostic) = (Some(size), turns);
        }
        config.gif_loop = gif_loop.or(config.gif_loop);
        config.quality = quality.unwrap_or(config.quality);
        config.strictness = strictness.or(config.strictness);
        if let Some(variables) = variables {
            config.variables = read_variables(&variables)?;
            read_from.push(variables.into());
        }
        if chunks.or(chunk_size).is_some() {
            (config.max_parallel_chunks, config.chunk_size) = (chunks, chunk_size);
        }
        Ok(Request { project, config, frames: None, read_from })
    }
}

/// A JSON object as it stands, else the name of a file with one.
fn read_variables(argument: &OsStr) -> Result<Map<String, Value>, Error> {
    match argument.to_str() {
        Some(text) if text.trim_start().starts_with('{') => json(text, Code::VariablesInvalid, None),
        _ => {
            let path = Path::new(argument);
            json(&files::read_text(path)?, Code::VariablesInvalid, Some(path))
        }
    }
}

fn json<T: DeserializeOwned>(text: &str, code: Code, path: Option<&Path>) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| {
        let expected = match code {
            Code::VariablesInvalid => "not a JSON object with values by id",
            _ => "not a render configuration",
        };
        Error::Composition {
            code,
            message: format!("{expected}: {error}"),
            path: path.map(|path| path.display().to_string()),
            line: path.and_then(|_| u32::try_from(error.line()).ok()).filter(|line| *line > 0),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use crds::{Codec, Quality, Resolution, Strictness};
    use serde_json::json;

    use super::*;
    use crate::cli::args::{Cli, Command};

    const FILE: &str = r#"{"fps": 25, "quality": "high", "strictness": "strict", "chunkSize": 120,
        "maxParallelChunks": 7, "variables": {"a": 1, "b": 2}, "hdrMode": "force-sdr"}"#;

    fn read(flags: &[&str]) -> Result<RenderConfig, (Code, Option<u32>)> {
        let folder = tempfile::tempdir().unwrap();
        let names = [("config.json", FILE), ("broken.json", "{\n\"fps\": 29.97}"), ("variables.json", "{\"c\": 3}")];
        for (name, text) in names {
            files::write(&folder.path().join(name), text).unwrap();
        }
        let place = |flag: &&str| match flag.strip_prefix('@') {
            Some(name) => folder.path().join(name).display().to_string(),
            None => (*flag).to_owned(),
        };
        let flags = flags.iter().map(place);
        let fixed = ["hf-producer", "plan", "site", "-o", "plan"].map(str::to_owned);
        match Cli::try_parse_from(fixed.into_iter().chain(flags)).unwrap().command {
            Command::Plan { request, .. } => match request.read(None) {
                Ok(request) => Ok(request.config),
                Err(error) => Err((error.code(), error.failure().line)),
            },
            _ => unreachable!("plan was asked for"),
        }
    }

    #[test]
    fn flags_override_the_file_and_the_file_the_defaults() {
        let file: RenderConfig = serde_json::from_str(FILE).unwrap();
        assert_eq!(read(&[]).unwrap(), RenderConfig::default());
        assert_eq!(read(&["--config", "@config.json"]).unwrap(), file);
        let flags = [
            ["--config", "@config.json"],
            ["--fps", "30000/1001"],
            ["--quality", "draft"],
            ["--format", "mp4"],
            ["--codec", "h265"],
            ["--bitrate", "8M"],
            ["--resolution", "4k"],
            ["--strictness", "best-effort"],
            ["--variables", " {\"a\": 4}"],
        ];
        let expected = RenderConfig {
            fps: "30000/1001".parse().ok(),
            format: Format::Mp4,
            codec: Some(Codec::H265),
            bitrate: "8M".parse().ok(),
            output_resolution: Some(Resolution::Landscape4k),
            output_resolution_aspect_agnostic: true,
            quality: Quality::Draft,
            strictness: Some(Strictness::BestEffort),
            variables: json!({"a": 4}).as_object().unwrap().clone(),
            ..file
        };
        assert_eq!(read(&flags.concat()).unwrap(), expected);
    }

    #[test]
    fn a_quality_may_be_a_rate_factor() {
        let rate = |flags: &[&str]| {
            let config = read(flags).unwrap();
            (config.quality, config.crf, config.bitrate.is_some())
        };
        for (flags, expected) in [
            (&["--quality", "looks"][..], (Quality::Standard, Some(16), false)),
            (&["--quality", "looks", "--crf", "30"], (Quality::Standard, Some(30), false)),
            (&["--quality", "looks", "--bitrate", "8M"], (Quality::Standard, None, true)),
            (&["--quality", "looks", "--format", "gif"], (Quality::Standard, None, false)),
            (&["--quality", "delivery"], (Quality::High, None, false)),
        ] {
            assert_eq!(rate(flags), expected, "{flags:?}");
        }
    }

    #[test]
    fn how_the_work_is_cut_is_replaced_as_a_whole() {
        let cut = |flags: &[&str]| {
            let config = read(&[&["--config", "@config.json"], flags].concat()).unwrap();
            (config.max_parallel_chunks, config.chunk_size)
        };
        assert_eq!(cut(&[]), (Some(7), Some(120)));
        assert_eq!(cut(&["--chunks", "2"]), (Some(2), None));
        assert_eq!(cut(&["--chunk-size", "60"]), (None, Some(60)));
    }

    #[test]
    fn variables_come_from_a_file_or_as_they_stand_and_what_is_wrong_has_a_line() {
        let variables = |argument: &str| read(&["--variables", argument]).map(|config| Value::Object(config.variables));
        assert_eq!(variables("@variables.json").unwrap(), json!({"c": 3}));
        assert_eq!(variables("{\"c\": 3}").unwrap(), json!({"c": 3}));
        assert_eq!(variables("{\"c\": }").unwrap_err(), (Code::VariablesInvalid, None));
        assert_eq!(read(&["--config", "@broken.json"]).unwrap_err(), (Code::ConfigInvalid, Some(2)));
        assert_eq!(read(&["--config", "@absent.json"]).unwrap_err().0, Code::IoFailed);
    }
}
