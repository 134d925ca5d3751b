//! The one module that knows libav: decoding, encoding, muxing, probing. In process, through `ffmpeg-next`; nothing here starts
//! an `ffmpeg` program.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Once,
};

use crds::Code;
use ffmpeg_next as ffmpeg;
pub(crate) use ffmpeg_next::Packet;

use crate::{encode::format::EncoderKind, files};

mod encode;
pub(crate) mod gif;
mod holds;
pub(crate) mod jpeg;
mod mux;
mod pictures;
mod probe;
mod repeat;
mod sound;
mod source;
mod tone;

pub(crate) use encode::{Encoding, Gop, encode_gop};
pub(crate) use mux::{Demuxer, Muxer, TAG_CHUNK, TAG_PLAN, Track};
pub(crate) use pictures::Pictures;
pub(crate) use probe::is_animated;
pub(crate) use sound::{CHANNELS, Part, RATE, Sound, SoundEncoding, SoundWriter};
pub(crate) use source::{MediaInfo, media_info};

/// libav refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This libav was built without the encoder.
    #[error("libav has no {0} encoder: install a libavcodec built with it")]
    NoEncoder(&'static str),
    /// This libav was built without the decoder.
    #[error("libav has no {0} decoder: install a libavcodec built with it")]
    NoDecoder(&'static str),
    /// The encoder refused its settings or a picture.
    #[error("libav failed to {doing}: {source}")]
    Encode {
        /// What it was asked to do.
        doing: &'static str,
        /// Its own word.
        source: ffmpeg::Error,
    },
    /// The encoder's packets are not such that a picture can be repeated between them.
    #[error("cannot repeat a picture between the encoder's: {0}")]
    Repeat(io::Error),
    /// Reading or writing a video file failed.
    #[error("libav failed to {doing} {}: {source}", path.display())]
    File {
        /// What it was asked to do.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Its own word.
        source: ffmpeg::Error,
    },
    /// The muxer does not know an option this build relies on.
    #[error("this libavformat does not know the options {0}: install libavformat 5.1 or newer")]
    UnknownOptions(String),
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NoEncoder(_) | Self::NoDecoder(_) | Self::UnknownOptions(_) => Code::EncoderUnavailable,
            Self::Encode { source: ffmpeg::Error::Other { errno }, .. }
            | Self::File { source: ffmpeg::Error::Other { errno }, .. } => {
                match files::write_code(io::Error::from_raw_os_error(*errno).kind()) {
                    Code::IoFailed => Code::EncodeFailed,
                    code => code,
                }
            }
            Self::Encode { .. } | Self::Repeat(_) | Self::File { .. } => Code::EncodeFailed,
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Moves a packet's times, which count frames, by some frames; it lasts one.
pub(crate) fn delay(packet: &mut Packet, frames: u32) {
    let later = |time: Option<i64>| time.map(|time| time + i64::from(frames));
    packet.set_pts(later(packet.pts()));
    packet.set_dts(later(packet.dts()));
    packet.set_duration(1);
}

fn file(doing: &'static str, path: &Path) -> impl FnOnce(ffmpeg::Error) -> Error {
    move |source| Error::File { doing, path: path.to_owned(), source }
}

fn encoding(doing: &'static str) -> impl FnOnce(ffmpeg::Error) -> Error {
    move |source| Error::Encode { doing, source }
}

/// Errors are returned, so libav's own log keeps quiet about anything less than fatal.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| ffmpeg::log::set_level(ffmpeg::log::Level::Fatal));
}

/// The libraries that output bytes depend on, as one line: `libavcodec 59.37.100, libavformat 59.27.100, libavfilter 8.44.100, x264 core 164`.
pub(crate) fn version(encoder: EncoderKind) -> Result<String> {
    let triple = |version: u32| format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff);
    let (codec, format) = (triple(ffmpeg::codec::version()), triple(ffmpeg::format::version()));
    let filter = triple(ffmpeg::filter::version());
    Ok(format!("libavcodec {codec}, libavformat {format}, libavfilter {filter}, {}", encode::version(encoder)?))
}

/// A path as an address that libav takes for a file, whatever is in it: a colon would make it a protocol.
fn local(path: &Path) -> Result<String> {
    let unusable = || file("open", path)(ffmpeg::Error::InvalidData);
    path.to_str().map(|path| format!("file:{path}")).ok_or_else(unusable)
}

/// Whether this libav was built with an encoder.
pub(crate) fn has(encoder: EncoderKind) -> bool {
    ffmpeg::encoder::find_by_name(encoder.name()).is_some()
}
