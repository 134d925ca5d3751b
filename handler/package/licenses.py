"""Lists the crates that the Lambda function is made of, with their licences: licenses.py WORKSPACE OUT"""

import json
import pathlib
import subprocess
import sys


def main(workspace, out):
    tree = ["cargo", "tree", "--locked", "--package", "handler", "--edges", "normal", "--prefix", "none", "--format", "{p}"]
    lines = subprocess.run(tree, cwd=workspace, check=True, capture_output=True, text=True).stdout.splitlines()
    used = {tuple(line.split()[:2]) for line in lines if line}
    metadata = ["cargo", "metadata", "--locked", "--format-version", "1"]
    packages = json.loads(subprocess.run(metadata, cwd=workspace, check=True, capture_output=True, text=True).stdout)["packages"]
    with open(out, "w", encoding="utf-8") as file:
        for package in sorted(packages, key=lambda package: (package["name"], package["version"])):
            if (package["name"], f"v{package['version']}") not in used or package["source"] is None:
                continue
            print(f"{'=' * 80}\n{package['name']} {package['version']}: {package['license']}", file=file)
            print(package["repository"] or "", file=file)
            folder = pathlib.Path(package["manifest_path"]).parent
            for text in sorted(folder.glob("LICEN[CS]E*")) + sorted(folder.glob("COPYING*")):
                if text.is_file():
                    print(f"\n--- {text.name}\n{text.read_text(encoding='utf-8', errors='replace')}", file=file)


main(*sys.argv[1:])
