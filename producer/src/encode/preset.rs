//! From a quality to an encoder's settings. Asked once, when planning: what it says is written into the plan and read from
//! there.

use crds::Quality;

use super::format::EncoderKind;

/// How libx264 is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct X264 {
    /// Its preset.
    pub(crate) preset: &'static str,
    /// Its constant rate factor.
    pub(crate) crf: u8,
    /// Its own parameters beyond that, as `name=value:…`.
    pub(crate) params: String,
}

/// Frames of x264 between two that only look back, but for draft quality: always so many, for chosen ones took more bytes.
pub(crate) const B_FRAMES: u32 = 3;

/// What comes to upstream's likeness and size in the least time (`PERFORMANCE.md` has the numbers), with its psychovisual
/// settings, and nothing that looks beyond a GOP of `gop` frames.
pub(crate) fn x264(quality: Quality, gop: u32) -> X264 {
    // Weights would depend on how far frames are apart, which is another thing once repeats are put between them.
    let tuned = format!("bframes={B_FRAMES}:b-adapt=0:rc-lookahead=7:weightb=0:weightp=0:aq-strength=0.8:deblock=1,1");
    let (preset, crf, own) = match quality {
        Quality::Draft => ("ultrafast", 28, "bframes=0".to_owned()),
        Quality::Standard => {
            ("veryfast", 18, format!("{tuned}:subme=1:me=dia:partitions=i4x4,i8x8:chroma-qp-offset=-1"))
        }
        Quality::High => ("veryfast", 14, tuned),
    };
    let threads = EncoderKind::X264.threads();
    let params = format!(
        "aq-mode=3:{own}:colorprim=bt709:transfer=bt709:colormatrix=bt709:scenecut=0:open-gop=0\
         :keyint={gop}:min-keyint={gop}:threads={threads}:sliced-threads=0"
    );
    X264 { preset, crf, params }
}
