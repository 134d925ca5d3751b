"""Packs a folder into a zip that depends on nothing but its files: pack.py FOLDER ZIP

Fails when Lambda would refuse it, or when a program needs a newer glibc than Lambda has.
"""

import pathlib
import re
import subprocess
import sys
import zipfile

# Lambda's limit is 250 MiB of files; some of it stays free for layers.
MOST_BYTES = 248 << 20
# provided.al2023.
GLIBC = (2, 34)


def newest_glibc(file):
    symbols = subprocess.run(["objdump", "-T", file], check=True, capture_output=True, text=True).stdout
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", symbols)
    return max((tuple(map(int, version)) for version in versions), default=(0, 0))


def main(folder, path):
    files = sorted(file for file in pathlib.Path(folder).rglob("*") if file.is_file())
    total = sum(file.stat().st_size for file in files)
    if total > MOST_BYTES:
        sys.exit(f"the package has {total >> 20} MiB, more than {MOST_BYTES >> 20}")
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            content = file.read_bytes()
            if content.startswith(b"\x7fELF") and newest_glibc(file) > GLIBC:
                sys.exit(f"{file} needs glibc {newest_glibc(file)}, Lambda has {GLIBC}")
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix())
            executable = file.stat().st_mode & 0o100
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            packed = file.suffix in {".zst", ".tgz"}
            entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    size = pathlib.Path(path).stat().st_size
    print(f"{path}: {size / (1 << 20):.1f} MiB, {total / (1 << 20):.1f} MiB unpacked, {len(files)} files")


main(*sys.argv[1:])
