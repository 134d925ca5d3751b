//! From a quality to an encoder's settings. Asked once, when planning: what it says is written into the plan and read from
//! there.

use crds::Quality;

use super::format::EncoderKind;

/// How libx264 is set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct X264 {
    /// Its preset.
    pub(crate) preset: &'static str,
    /// Its constant rate factor, as with a look-ahead.
    pub(crate) crf: u8,
    /// To be added to any rate factor that loses something.
    pub(crate) crf_offset: f64,
    /// Its own parameters beyond that, as `name=value:…`.
    pub(crate) params: String,
}

/// Frames of x264 between two that only look back, but for draft quality: always so many, for chosen ones took more bytes.
pub(crate) const B_FRAMES: u32 = 3;

/// What comes to upstream's likeness and size in the least time (`PERFORMANCE.md` has the numbers), with its psychovisual
/// settings, and nothing that looks beyond a GOP of `gop` frames; `looks_ahead`: for any pictures, not only a page's own.
pub(crate) fn x264(quality: Quality, looks_ahead: bool, gop: u32) -> X264 {
    // Weights would depend on how far frames are apart, which is another thing once repeats are put between them.
    let tuned = format!("bframes={B_FRAMES}:b-adapt=0:weightb=0:weightp=0:aq-strength=0.8:deblock=1,1");
    let fast = format!("{tuned}:me=dia:partitions=i4x4,i8x8");
    let (preset, crf, own) = match quality {
        Quality::Draft => ("ultrafast", 28, "bframes=0".to_owned()),
        Quality::Standard if looks_ahead => {
            ("veryfast", 18, format!("{fast}:rc-lookahead=7:subme=1:chroma-qp-offset=-1"))
        }
        Quality::Standard => ("veryfast", 18, format!("{fast}:{WITHOUT_LOOK_AHEAD}")),
        Quality::High => ("veryfast", 14, format!("{tuned}:rc-lookahead=7")),
    };
    let crf_offset = if quality == Quality::Standard && !looks_ahead { LOOK_AHEAD } else { 0.0 };
    let threads = EncoderKind::X264.threads();
    let params = format!(
        "aq-mode=3:{own}:colorprim=bt709:transfer=bt709:colormatrix=bt709:scenecut=0:open-gop=0\
         :keyint={gop}:min-keyint={gop}:threads={threads}:sliced-threads=0"
    );
    X264 { preset, crf, crf_offset, params }
}

/// What a page shows stays where it is, or moves as a whole: a keyframe that is much better than what follows it does as well as
/// x264 looking for what stays, in a third less time. Filmed pictures would be worse for it.
const WITHOUT_LOOK_AHEAD: &str = "rc-lookahead=0:mbtree=0:subme=0:ipratio=3:pbratio=1.6";
/// So much larger a rate factor is the same quality then: 5.4 is what x264 adds by itself while it looks ahead, the rest is the
/// keyframes'.
const LOOK_AHEAD: f64 = 6.0;
