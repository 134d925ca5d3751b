//! Looking at videos with tools nobody here wrote: `ffprobe` and `ffmpeg`.

use std::{fs, path::Path};

use serde_json::Value;

use crate::bins::{tool, tool_output};

/// The video stream as `ffprobe` sees it, frames counted.
pub fn probe(video: &Path) -> Value {
    let arguments = ["-v", "error", "-count_packets", "-show_streams", "-show_format", "-of", "json", path(video)];
    let probed: Value = serde_json::from_str(&tool("ffprobe", &arguments)).unwrap();
    assert_eq!(probed["streams"].as_array().unwrap().len(), 1);
    let mut stream = probed["streams"][0].clone();
    stream["tags"] = probed["format"]["tags"].clone();
    stream
}

/// Frames in a video, counted.
pub fn frame_count(video: &Path) -> u32 {
    probe(video)["nb_read_packets"].as_str().unwrap().parse().unwrap()
}

/// SHA-256 of every decoded frame, in order.
pub fn frame_hashes(video: &Path) -> Vec<String> {
    let text = tool("ffmpeg", &["-v", "error", "-i", path(video), "-f", "framehash", "-hash", "sha256", "-"]);
    let hash = |line: &str| line.rsplit(',').next().unwrap().trim().to_owned();
    text.lines().filter(|line| !line.starts_with('#')).map(hash).collect()
}

/// Offsets of the top-level boxes of an MP4 file, by name.
pub fn boxes(video: &Path) -> Vec<String> {
    let bytes = fs::read(video).unwrap();
    let mut names = Vec::new();
    let mut offset = 0;
    while offset + 8 <= bytes.len() {
        let size = u32::from_be_bytes(bytes[offset..offset + 4].try_into().unwrap()) as usize;
        names.push(String::from_utf8_lossy(&bytes[offset + 4..offset + 8]).into_owned());
        offset += if size == 0 { break } else { size };
    }
    names
}

/// SSIM of the luma of one frame of a video against a PNG, by libavfilter.
pub fn ssim_y(video: &Path, frame: u32, png: &Path) -> f64 {
    // The PNG becomes YUV by BT.709, as the video's tags say of the video.
    let filter = format!(
        "[0:v]select=eq(n\\,{frame}),setpts=0[a];\
         [1:v]scale=in_range=pc:out_range=tv:out_color_matrix=bt709:flags=accurate_rnd+full_chroma_int,format=yuv420p,setpts=0[b];\
         [a][b]ssim"
    );
    let arguments =
        ["-v", "info", "-i", path(video), "-i", path(png), "-lavfi", &filter, "-frames:v", "1", "-f", "null", "-"];
    let output = tool_output("ffmpeg", &arguments);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let y = log.split("SSIM Y:").nth(1).and_then(|rest| rest.split_whitespace().next());
    y.and_then(|y| y.parse().ok()).unwrap_or_else(|| panic!("no SSIM in: {log}"))
}

/// One frame of a video as RGB bytes, converted as its tags say.
pub fn rgb_frame(video: &Path, frame: u32) -> Vec<u8> {
    let filter = format!(
        "select=eq(n\\,{frame}),scale=in_color_matrix=bt709:flags=accurate_rnd+full_chroma_int+full_chroma_inp"
    );
    let arguments = [
        "-v",
        "error",
        "-i",
        path(video),
        "-vf",
        &filter,
        "-frames:v",
        "1",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ];
    tool_output("ffmpeg", &arguments).stdout
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
