//! From a quality to an encoder's settings. Asked once, when planning: what it says is written into the plan and read from
//! there.

use crds::Quality;

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

/// What comes to upstream's likeness and size in the least time (`PERFORMANCE.md` has the numbers), with its psychovisual
/// settings, and nothing that looks beyond a GOP of `gop` frames.
pub(crate) fn x264(quality: Quality, gop: u32) -> X264 {
    let (preset, crf, b_frames) = match quality {
        Quality::Draft => ("ultrafast", 28, 0),
        Quality::Standard => ("veryfast", 17, 2),
        Quality::High => ("faster", 14, 2),
    };
    let tuned = if quality == Quality::Draft { "" } else { ":aq-strength=0.8:deblock=1,1" };
    let params = format!(
        "aq-mode=3{tuned}:colorprim=bt709:transfer=bt709:colormatrix=bt709:scenecut=0:open-gop=0:bframes={b_frames}\
         :keyint={gop}:min-keyint={gop}:threads=1:sliced-threads=0"
    );
    X264 { preset, crf, params }
}
