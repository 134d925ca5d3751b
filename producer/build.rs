//! Embeds the npm files that `assets.toml` lists, from the cache folder, after comparing each package's SHA-256.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a build script has only its environment, and can only stop"
)]

use std::{
    collections::HashMap,
    env,
    fmt::Write as _,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

#[derive(serde::Deserialize)]
struct Assets {
    package: Vec<Package>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
    version: String,
    sha256: String,
    #[serde(default)]
    embed: Vec<String>,
    font: Option<Font>,
}

/// The files of a `@fontsource` package that are embedded: upright faces.
#[derive(serde::Deserialize)]
struct Font {
    family: String,
    weights: Vec<u16>,
    /// What the browser has on its system. All other pieces that have a name are for pages only.
    subsets: Vec<String>,
}

/// Which characters the pieces of a package are for, as CSS `unicode-range`.
const RANGES: &str = "unicode.json";

impl Font {
    /// Rust's source of faces, for the browser's system and for pages only. Their files go to `out`.
    fn faces(&self, package: &str, files: &HashMap<String, Vec<u8>>, out: &Path) -> [String; 2] {
        let ranges: HashMap<String, String> = serde_json::from_slice(&files[RANGES]).expect(RANGES);
        let slug = package.trim_start_matches("@fontsource/");
        let mut sources = [String::new(), String::new()];
        let mut add = |weight, subset: &str, range: &str, only_page: bool| {
            let name = format!("{slug}-{subset}-{weight}-normal");
            let packed = |extension| &files[&format!("files/{name}.{extension}")];
            let (file, content) = if only_page {
                (format!("{name}.woff2"), packed("woff2").clone())
            } else {
                (format!("{name}.ttf"), sfnt(packed("woff")))
            };
            fs::write(out.join(&file), content).expect("writing to OUT_DIR");
            let family = &self.family;
            writeln!(
                sources[usize::from(only_page)],
                "    Face {{ family: {family:?}, weight: {weight}, range: {range:?}, file: {file:?}, content: include_bytes!({file:?}) }},"
            )
            .expect("a String takes everything");
        };
        // Pieces of large alphabets have numbers for names.
        let mut others: Vec<_> =
            ranges.keys().filter(|name| !name.starts_with('[') && !self.subsets.contains(name)).collect();
        others.sort();
        for weight in &self.weights {
            for subset in &self.subsets {
                let range = if self.subsets.len() > 1 { &ranges[subset] } else { "" };
                add(*weight, subset, range, false);
            }
            others.iter().for_each(|subset| add(*weight, subset, &ranges[*subset], true));
        }
        sources
    }
}

fn main() {
    println!("cargo::rerun-if-changed=assets.toml");
    build_shared_memory();
    println!("cargo::rerun-if-env-changed=HF_ASSETS_DIR");
    let folder = assets_dir();
    let assets: Assets = toml::from_str(&fs::read_to_string("assets.toml").expect("assets.toml")).expect("assets.toml");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut index = String::from("pub(super) static EMBEDDED: &[(&str, &[u8])] = &[\n");
    let mut faces = [
        String::from(
            "/// What the browser has on its system, family by family: TrueType.\npub(crate) static FACES: &[Face] = &[\n",
        ),
        String::from(
            "/// More alphabets of these families, which only pages have: WOFF2.\npub(crate) static PIECES: &[Face] = &[\n",
        ),
    ];
    for package in &assets.package {
        let files = unpack(&folder, package);
        if let Some(font) = &package.font {
            let sources = font.faces(&package.name, &files, &out);
            faces.iter_mut().zip(sources).for_each(|(all, source)| all.push_str(&source));
        }
        for path in &package.embed {
            let name = format!("{}/{path}", package.name);
            let copy = name.replace('/', "_");
            fs::write(out.join(&copy), &files[path]).expect("writing to OUT_DIR");
            writeln!(index, "    ({name:?}, include_bytes!({copy:?})),").expect("a String takes everything");
        }
    }
    index.push_str("];\n");
    fs::write(out.join("embedded.rs"), index).expect("writing to OUT_DIR");
    fs::write(out.join("faces.rs"), faces.map(|faces| faces + "];\n").concat()).expect("writing to OUT_DIR");
}

/// The library that is preloaded into browsers, with the C compiler of the target.
fn build_shared_memory() {
    const SOURCE: &str = "src/draw/browser/shared_memory.c";
    println!("cargo::rerun-if-changed={SOURCE}");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("shared_memory.so");
    let compiler = cc::Build::new().opt_level(2).debug(false).warnings(true).pic(true).get_compiler();
    let built = compiler.to_command().args(["-shared", "-s", "-Werror", SOURCE, "-o"]).arg(out).status();
    assert!(built.is_ok_and(|status| status.success()), "{SOURCE} cannot be compiled: is there a C compiler?");
}

/// The same folder as the Makefile's and the program's.
fn assets_dir() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let default = || Some(cache()?.join("hyperframes-operator/assets"));
    set("HF_ASSETS_DIR").or_else(default).expect("HOME or HF_ASSETS_DIR must be set")
}

fn unpack(folder: &Path, package: &Package) -> HashMap<String, Vec<u8>> {
    let archive =
        folder.join(format!("{}-{}.tgz", package.name.trim_start_matches('@').replace('/', "-"), package.version));
    println!("cargo::rerun-if-changed={}", archive.display());
    let bytes = fs::read(&archive).unwrap_or_else(|error| panic!("{}: {error}: run `make assets`", archive.display()));
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        digest,
        package.sha256,
        "{} is not the pinned package: remove it and run `make assets`",
        archive.display()
    );
    let is_of_font = |path: &str| {
        let is_file = |font: &Font| font.weights.iter().any(|weight| path.contains(&format!("-{weight}-normal.woff")));
        package.font.as_ref().is_some_and(|font| path == RANGES || is_file(font))
    };
    let mut files = HashMap::new();
    if package.embed.is_empty() && package.font.is_none() {
        return files;
    }
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(&*bytes)).entries().expect("a tar archive") {
        let mut entry = entry.expect("a tar entry");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        if let Some(path) = path
            .strip_prefix("package/")
            .filter(|path| is_of_font(path) || package.embed.iter().any(|wanted| wanted == path))
        {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("a whole entry");
            files.insert(path.to_owned(), content);
        }
    }
    files
}

/// The font in a WOFF file, whose tables are compressed one by one (W3C, WOFF 1.0): what system fonts come as.
fn sfnt(woff: &[u8]) -> Vec<u8> {
    let long = |at: usize| u32::from_be_bytes(woff[at..at + 4].try_into().expect("four bytes"));
    let offset = |at: usize| long(at) as usize;
    assert_eq!(&woff[..4], b"wOFF");
    let count = u16::from_be_bytes([woff[12], woff[13]]);
    let power = count.ilog2();
    let range = 16_u16 << power;
    let mut font = woff[4..8].to_vec();
    for number in [count, range, u16::try_from(power).expect("at most 15"), count * 16 - range] {
        font.extend(number.to_be_bytes());
    }
    let mut tables = Vec::new();
    for entry in (0..usize::from(count)).map(|table| 44 + 20 * table) {
        let (start, packed, size) = (offset(entry + 4), offset(entry + 8), offset(entry + 12));
        let mut table = woff[start..start + packed].to_vec();
        if packed < size {
            let mut unpacked = Vec::with_capacity(size);
            flate2::read::ZlibDecoder::new(&*table).read_to_end(&mut unpacked).expect("a zlib stream");
            table = unpacked;
        }
        assert_eq!(table.len(), size);
        font.extend(&woff[entry..entry + 4]);
        let place = 12 + 16 * usize::from(count) + tables.len();
        for number in [long(entry + 16), u32::try_from(place).expect("a small file"), long(entry + 12)] {
            font.extend(number.to_be_bytes());
        }
        tables.extend(table);
        tables.resize(tables.len().next_multiple_of(4), 0);
    }
    font.extend(tables);
    font
}
