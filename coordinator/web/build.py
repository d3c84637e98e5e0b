"""``python -m coordinator.web.build``: checks the page's types, bundles `app/`, and writes `static/`.

What it writes is committed, so that a user needs no compiler; the same sources and versions give the same bytes.
`--install` fetches the compiler and the libraries first (npm, versions of package-lock.json).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from contracts.errors import ToolMissing
from contracts.toolchain import find_node, npm
from jobs.errors import KilnetError, Unavailable

__all__ = ["PACKAGE", "BuildFailed", "build", "install"]

PACKAGE = Path(__file__).parent
STATIC = PACKAGE / "static"
_ENTRIES = ("app/main.tsx", "app/theme.ts", "app/style/style.css")
_OPTIONS = (
    "--bundle", "--splitting", "--format=esm", "--target=es2022,chrome120,firefox121,safari17.5", "--minify",
    "--entry-names=[name]-[hash]", "--chunk-names=part-[hash]", "--asset-names=[name]-[hash]", "--loader:.woff2=file",
    "--jsx=automatic", "--jsx-import-source=preact", "--legal-comments=none", "--log-level=warning",
)  # fmt: skip


class BuildFailed(KilnetError):
    """The compiler refused the sources; the message is its output."""


def _run(program: str, *arguments: str) -> None:
    found = PACKAGE / "node_modules" / ".bin" / program
    if not found.exists():
        raise Unavailable("the page's compiler is not installed: `python -m coordinator.web.build --install`")
    # Both are started by npm's launchers, which look for node on PATH.
    path = f"{find_node().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | {"PATH": path}
    command = [str(found), *arguments]
    done = subprocess.run(command, cwd=PACKAGE, env=environment, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildFailed(f"{program} failed:\n{done.stdout}\n{done.stderr}")


def install() -> None:
    """The compiler and the libraries, as package-lock.json has them. Raises Unavailable."""
    try:
        command = [*npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"]
    except ToolMissing as error:
        raise Unavailable(str(error)) from error
    done = subprocess.run(command, cwd=PACKAGE, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"npm could not install the page's compiler: {done.stderr.strip()[-300:]}")


def build(out: Path = STATIC) -> None:
    """Writes the page's files into `out`, which holds nothing else afterwards. Raises BuildFailed, Unavailable."""
    _run("tsc", "--noEmit", "-p", "tsconfig.json")
    with tempfile.TemporaryDirectory(dir=PACKAGE, prefix=".build-") as folder:
        made, meta = Path(folder) / "static", Path(folder) / "meta.json"
        _run("esbuild", *_ENTRIES, *_OPTIONS, f"--outdir={made}", f"--metafile={meta}")
        report = json.loads(meta.read_text())
        _index(made, report)
        (made / "third-party.txt").write_text(_licences(report))
        shutil.copy(PACKAGE / "app" / "icon.svg", made / "icon.svg")
        out.mkdir(exist_ok=True)
        for old in out.iterdir():
            old.unlink()
        for file in sorted(made.iterdir()):
            shutil.copy(file, out / file.name)


def _index(made: Path, report: dict[str, Any]) -> None:
    """index.html, with the names that the bundler gave."""
    entry = {
        Path(output["entryPoint"]).name: Path(name).name
        for name, output in report["outputs"].items()
        if output.get("entryPoint") in _ENTRIES
    }
    page = (PACKAGE / "app" / "index.html").read_text()
    font = next(file.name for file in sorted(made.glob("inter-latin-*-normal-*.woff2")) if "-ext-" not in file.name)
    for mark, name in {
        "{{main}}": entry["main.tsx"],
        "{{theme}}": entry["theme.ts"],
        "{{style}}": entry["style.css"],
        "{{font}}": font,
    }.items():
        page = page.replace(mark, f"/static/{name}")
    (made / "index.html").write_text(page)


def _licences(report: dict[str, Any]) -> str:
    """Name, version and licence text of every package that the bundle holds something of."""
    found = {}
    for name in report["inputs"]:
        before, inside, rest = name.rpartition("node_modules/")
        if inside:
            parts = rest.split("/")
            package = "/".join(parts[: 2 if parts[0].startswith("@") else 1])
            found[package] = PACKAGE / before / inside / package
    texts = ["The page holds parts of these packages.\n"]
    for package in sorted(found):
        folder = found[package]
        about = json.loads((folder / "package.json").read_text())
        files = sorted(file for file in folder.iterdir() if file.name.lower().startswith(("license", "licence")))
        text = files[0].read_text().strip() if files else f"Licence: {about.get('license')}"
        texts.append(f"{'-' * 80}\n{package} {about['version']} ({about.get('license')})\n\n{text}\n")
    return "\n".join(texts)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m coordinator.web.build", description=__doc__)
    parser.add_argument("--install", action="store_true", help="fetch the compiler and the libraries, and stop")
    given = parser.parse_args(arguments)
    try:
        if given.install:
            install()
        else:
            build()
    except KilnetError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
