"""python -m tests.bench.nicegui_page: what docs/decisions/0014 says of NiceGUI. Needs `pip install nicegui`.

2,000 tiles as elements and a table of 200 nodes, 50 tiles changed 4 times a second; without and with a strict policy.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
import urllib.request
from typing import Any

PORT = 8123
_LATENCIES = """() => new Promise(done => {
  const stamp = document.getElementById("stamp"), out = [];
  if (!stamp) return done(out);
  new MutationObserver(() => requestAnimationFrame(() => out.push(Date.now() / 1000 - parseFloat(stamp.textContent))))
    .observe(stamp, { characterData: true, subtree: true, childList: true });
  setTimeout(() => done(out), 5000);
})"""


def serve(policy: bool) -> None:
    """The page, until the process is ended."""
    from nicegui import app, ui  # type: ignore[import-not-found]

    if policy:

        @app.middleware("http")  # type: ignore[untyped-decorator]
        async def fenced(request: Any, call_next: Any) -> Any:
            answer = await call_next(request)
            answer.headers["Content-Security-Policy"] = (
                "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self' ws:"
            )
            return answer

    @ui.page("/")  # type: ignore[untyped-decorator]
    def page() -> None:
        with ui.element("div").style("display:grid;grid-template-columns:repeat(50,12px);gap:1px"):
            tiles = [ui.element("div").style("width:12px;height:12px;background:#ccc") for _ in range(2000)]
        names = ("name", "score", "state")
        rows = [{"name": f"node{i}", "score": i, "state": "online"} for i in range(200)]
        ui.table(columns=[{"name": n, "label": n, "field": n} for n in names], rows=rows, row_key="name")
        stamp = ui.label("0").props("id=stamp")

        def tick() -> None:
            for i in random.sample(range(2000), 50):
                tiles[i].style("background:#0a0")
            stamp.text = f"{time.time():.4f}"

        ui.timer(0.25, tick)

    ui.run(port=PORT, show=False, reload=False)


def main() -> None:
    """Print first paint, latency and complaints for each."""
    from playwright.sync_api import sync_playwright

    from tests.web.conftest import chromium

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        for policy in ("open", "strict"):
            server = subprocess.Popen([sys.executable, "-m", "tests.bench.nicegui_page", policy])
            _wait()
            for _ in range(3):
                page = browser.new_context().new_page()
                said: list[str] = []
                page.on("console", lambda message, said=said: said.append(message.text))
                page.goto(f"http://127.0.0.1:{PORT}/")
                page.wait_for_timeout(5000)
                paint = page.evaluate("performance.getEntriesByName('first-contentful-paint').map(e => e.startTime)")
                took = sorted(page.evaluate(_LATENCIES))
                worst = took[int(0.95 * len(took))] if took else None
                print(f"{policy}: first paint {paint} ms, p95 {worst} s of {len(took)}, {len(said)} complaints")
                page.context.close()
            server.terminate()
            server.wait()
        browser.close()


def _wait() -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)


if __name__ in ("__main__", "__mp_main__"):
    if len(sys.argv) > 1:
        serve(sys.argv[1] == "strict")
    else:
        main()
