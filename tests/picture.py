"""Makes examples/hello/picture.svg from a real run: picture.py PROGRAMS (see `make picture`).

The YAML file, what hf-reconcile shows on a terminal while it renders, and frames of the video that came of it.
"""

import base64
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = Path("examples/hello")
#: Seconds of the video that are shown.
MOMENTS = (0.4, 1.2, 2.7)
COLUMNS = 96
LINE = 20
STYLE = """
    .shown { animation: shown 8s linear infinite; }
    .result { animation: result 8s linear infinite; }
    @keyframes shown { 0%, 8% { opacity: 0; } 9%, 60% { opacity: 1; } 61%, 100% { opacity: 0; } }
    @keyframes result { 0%, 60% { opacity: 0; } 61%, 100% { opacity: 1; } }
    @media (prefers-reduced-motion: reduce) { .shown { opacity: 0; animation: none; } .result { animation: none; } }
"""


def run(programs: Path, folder: Path) -> tuple[list[str], str]:
    """Renders on a terminal. Returns the lines that stay, and one with a bar that does not."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.environ["TERM"] = "xterm"
        subprocess.run(["stty", "cols", str(COLUMNS), "rows", "24"], check=True)
        program = programs / "hf-reconcile"
        os.execv(program, [str(program), "--once", str(EXAMPLE)])
    said = b""
    try:
        while piece := os.read(terminal, 4096):
            said += piece
    except OSError:
        pass  # It has ended.
    os.waitpid(pid, 0)
    lines = re.split(r"[\r\n]|\x1b\[\d*[A-Z]", said.decode())
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line).rstrip() for line in lines]
    bars = [line for line in lines if "fps" in line and "█" in line]
    stay = [line for line in lines if line and "░" not in line and "█" not in line]
    return stay, bars[len(bars) // 2].replace(str(folder) + "/", "")


def frame(video: Path, second: float) -> str:
    """A frame of the video as a small JPEG, in base64."""
    arguments = ["-v", "error", "-ss", str(second), "-i", str(video), "-frames:v", "1", "-vf", "scale=592:-2", "-q:v", "6"]
    picture = subprocess.run(
        ["ffmpeg", *arguments, "-f", "mjpeg", "-"], check=True, capture_output=True
    ).stdout
    return base64.b64encode(picture).decode()


def text(x: int, y: int, line: str, attributes: str = "") -> str:
    return f'<text x="{x}" y="{y}" xml:space="preserve" {attributes}>{escape(line)}</text>'


def svg(yaml: list[str], lines: list[str], bar: str, frames: list[str]) -> str:
    shown = [text(20, 34 + LINE * row, line) for row, line in enumerate(yaml)]
    top = 34 + LINE * (len(yaml) + 1)
    shown.append(text(20, top, f"$ hf-reconcile --once {EXAMPLE}", 'fill="#7ee787"'))
    shown.append(text(20, top + LINE, lines[0]))
    shown.append(text(20, top + 2 * LINE, bar, 'class="shown"'))
    shown += [text(20, top + (2 + row) * LINE, line, 'class="result"') for row, line in enumerate(lines[1:])]
    bottom = top + LINE * (len(lines) + 2)
    pictures = [
        f'<image x="{20 + 312 * column}" y="{bottom}" width="296" height="166.5" href="data:image/jpeg;base64,{picture}"/>'
        for column, picture in enumerate(frames)
    ]
    pictures += [
        f'<rect x="{20 + 312 * column}" y="{bottom}" width="296" height="166.5" fill="none" stroke="#484f58"/>'
        for column in range(len(frames))
    ]
    height = bottom + 186
    inside = "\n  ".join(shown + pictures)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 {height}" role="img" font-size="13" fill="#c9d1d9"'
        ' font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"'
        ' aria-label="A YAML file, hf-reconcile rendering it with a progress bar, and frames of the video">\n'
        f"  <style>{STYLE}  </style>\n"
        f'  <rect width="960" height="{height}" rx="8" fill="#0d1117"/>\n  {inside}\n</svg>\n'
    )


def main() -> None:
    programs = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / EXAMPLE, Path(folder) / EXAMPLE, ignore=shutil.ignore_patterns("out", ".status"))
        yaml = (Path(folder) / EXAMPLE / "render.yaml").read_text().splitlines()
        lines, bar = run(programs, Path(folder))
        lines = [line.replace(folder + "/", "") for line in lines]
        frames = [frame(Path(folder) / EXAMPLE / "out/hello.mp4", second) for second in MOMENTS]
    (ROOT / EXAMPLE / "picture.svg").write_text(svg(yaml, lines, bar, frames))


main()
