//! Videos and sound whose every moment says which one it is, made and heard with `ffmpeg`.

use std::path::{Path, PathBuf};

use crate::{bins::tool, bins::tool_output, fixture::Folder};

/// Pixels of a side of a cell.
const CELL: usize = 16;
const BITS: usize = 10;
/// Width and height of a numbered picture: a row of bits, and below it the same upside down.
pub const SIZE: (usize, usize) = (CELL * BITS, CELL * 2);
/// Samples a second of everything heard.
pub const RATE: usize = 48_000;

/// Whether a pixel of the picture with a number is white.
fn is_white(number: u32, x: usize, y: usize) -> bool {
    (number >> (x / CELL) & 1 == 1) == (y < CELL)
}

/// The number of the picture whose corner lies at a place of a frame of RGB pixels, each of its pixels being so many wide
/// and high; `None` if there is none.
pub fn number(pixels: &[u8], width: usize, (left, top): (usize, usize), scale: usize) -> Option<u32> {
    let white = |bit: usize, row: usize| {
        let (x, y) = (left + (bit * CELL + CELL / 2) * scale, top + (row * CELL + CELL / 2) * scale);
        match pixels[(y * width + x) * 3..][..3] {
            [.., level] if level > 170 => Some(true),
            [.., level] if level < 85 => Some(false),
            _ => None,
        }
    };
    (0..BITS).try_fold(0, |number, bit| match (white(bit, 0)?, white(bit, 1)?) {
        (true, false) => Some(number | 1 << bit),
        (false, true) => Some(number),
        _ => None,
    })
}

/// Writes the raw RGB pictures 0, 1, 2 and so on; arguments with which `ffmpeg` reads them, so many a second.
pub fn numbered(folder: &Folder, count: u32, rate: &str) -> Vec<String> {
    let raw = folder.join("numbered.rgb");
    let (width, height) = SIZE;
    let pixels = (0..count).flat_map(|number| {
        (0..height)
            .flat_map(move |y| (0..width).flat_map(move |x| [if is_white(number, x, y) { 255_u8 } else { 0 }; 3]))
    });
    std::fs::write(&raw, pixels.collect::<Vec<_>>()).unwrap();
    let size = format!("{width}x{height}");
    let arguments = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size, "-r", rate, "-i", raw.to_str().unwrap()];
    arguments.map(str::to_owned).to_vec()
}

/// Has `ffmpeg` make a file of a project.
pub fn make(folder: &Folder, path: &str, input: &[String], options: &str) -> PathBuf {
    let file = folder.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut arguments = vec!["-v", "error", "-y"];
    arguments.extend(input.iter().map(String::as_str));
    arguments.extend(options.split_whitespace());
    arguments.push(file.to_str().unwrap());
    tool("ffmpeg", &arguments);
    file
}

/// Frames in H.264 that are decoded in another order than shown, with few keyframes.
pub const H264: &str = "-c:v libx264 -preset fast -bf 3 -g 45 -pix_fmt yuv420p";

/// A file with the pictures 0, 1, 2 and so on.
pub fn video(folder: &Folder, path: &str, count: u32, rate: &str, options: &str) -> PathBuf {
    let input = numbered(folder, count, rate);
    make(folder, path, &input, options)
}

/// Sound by a formula of `ffmpeg`'s `aevalsrc`, channels divided by `|`.
pub fn sound(folder: &Folder, path: &str, formula: &str, seconds: f64, options: &str) -> PathBuf {
    let source = format!("aevalsrc=exprs={formula}:s={RATE}:d={seconds}");
    let input = ["-f", "lavfi", "-i", &source].map(str::to_owned);
    make(folder, path, &input, options)
}

/// What is heard of a file: samples of the left and the right.
pub fn heard(file: &Path) -> Vec<[f32; 2]> {
    let path = file.to_str().unwrap();
    let rate = RATE.to_string();
    let arguments = ["-v", "error", "-i", path, "-map", "0:a", "-f", "f32le", "-ac", "2", "-ar", &rate, "-"];
    let bytes = tool_output("ffmpeg", &arguments).stdout;
    let sample = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
    bytes.chunks_exact(8).map(|pair| [sample(&pair[..4]), sample(&pair[4..])]).collect()
}

/// How loud a channel is between two seconds: the root of the mean square.
pub fn loudness(samples: &[[f32; 2]], channel: usize, from: f64, to: f64) -> f32 {
    let place = |seconds: f64| ((seconds * RATE as f64).round() as usize).min(samples.len());
    let part = &samples[place(from)..place(to)];
    (part.iter().map(|pair| pair[channel] * pair[channel]).sum::<f32>() / part.len().max(1) as f32).sqrt()
}

/// All frames of a video as RGB.
pub fn rgb_frames(video: &Path, (width, height): (usize, usize)) -> Vec<Vec<u8>> {
    let filter = "scale=in_color_matrix=bt709:flags=accurate_rnd+full_chroma_int+full_chroma_inp";
    let arguments = [
        "-v",
        "error",
        "-i",
        video.to_str().unwrap(),
        "-map",
        "0:v",
        "-vf",
        filter,
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ];
    let bytes = tool_output("ffmpeg", &arguments).stdout;
    bytes.chunks_exact(width * height * 3).map(<[u8]>::to_vec).collect()
}
