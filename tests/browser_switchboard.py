"""The switchboard of lesson 11 in JupyterLab and a real browser: click a block, and the list changes.

Not collected by pytest: it needs Chromium, and minutes on a slow machine. Run it by hand, from the repository:
`python tests/browser_switchboard.py [FOLDER]`; before.png and after.png go to FOLDER, if one is named.
"""

import base64
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import websocket  # comes with JupyterLab

LESSON = Path(__file__).resolve().parent.parent / "notebooks" / "11_whose_pattern.ipynb"
PATIENCE = 600.0  # seconds for a whole run of the lesson
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Page:
    """One page of a browser, spoken to by the DevTools protocol."""

    def __init__(self, address: str) -> None:
        self.socket = websocket.create_connection(address, timeout=60)
        self.count = 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def value(self, expression: str) -> Any:
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression: str) -> Any:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := self.value(expression):
                return found
            time.sleep(0.5)
        raise TimeoutError(f"never true in the page: {expression}")

    def click(self, selector: str, index: int = 0) -> None:
        """Move the mouse to the middle of an element and click, as a hand would."""
        element = f"document.querySelectorAll('{selector}')[{index}]"
        self.value(f"{element}.scrollIntoView({{block: 'center'}})")
        time.sleep(1)
        box = self.value(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({element}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(address: str) -> Any:
    end = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return json.loads(answer.read())
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(1)


def try_it(page: Page, shots: Path | None) -> None:
    """Run the lesson, click, and compare what stands on the page."""
    text = "[...document.querySelectorAll('.jp-OutputArea .widget-html')].map(e => e.innerText).join('\\n')"
    page.wait("!!(window.jupyterapp && document.querySelectorAll('.jp-Notebook .jp-Cell').length > 5)")
    page.wait("!!document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')")
    page.value("(window.jupyterapp.commands.execute('notebook:run-all-cells'), true)")
    page.wait("document.querySelectorAll('.widget-toggle-button').length == 8")
    for _ in range(2):  # JupyterLab hides what is far from the window, and moves as pictures above come in
        page.value("document.querySelectorAll('.widget-toggle-button')[0].scrollIntoView({block: 'center'})")
        own = page.wait(f"(now => now.includes('Top 10') && now)({text})")
        time.sleep(2)
    if shots:
        page.screenshot(shots / "before.png")
    page.click(".widget-toggle-button", 0)
    by_hand = page.wait(f"(now => now.includes('switched by hand: 1') && now)({text})")
    assert by_hand.split("Top 10")[1] != own.split("Top 10")[1], "the list did not change"
    if shots:
        page.screenshot(shots / "after.png")
    page.click(".jp-OutputArea button.jupyter-button:not(.widget-toggle-button)")
    page.wait(f"{text} == {json.dumps(own)}")
    select = "document.querySelector('.widget-dropdown select')"
    page.value(f"({select}.selectedIndex = 3, {select}.dispatchEvent(new Event('change', {{bubbles: true}})))")
    other = page.wait(f"(now => now.includes('Top 10') && now != {json.dumps(own)} && now)({text})")
    print("own gates:", own, "block 1 switched:", by_hand, "another user:", other, sep="\n\n")


def main() -> None:
    shots = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"no browser found: looked for {', '.join(BROWSERS)}")
    lab, tools = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:  # a copy: JupyterLab saves what it runs
        shutil.copy(LESSON, folder)
        processes = []
        try:
            server = [
                sys.executable, "-m", "jupyter", "lab", "--allow-root", "--no-browser", "--ip=127.0.0.1",
                f"--port={lab}", "--IdentityProvider.token=", "--expose-app-in-browser",
                f"--ServerApp.root_dir={folder}",
            ]  # fmt: skip
            quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            processes.append(subprocess.Popen(server, **quiet))
            fetch(f"http://127.0.0.1:{lab}/api")
            window = [
                browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
                "--disable-background-networking", "--disable-component-update", "--window-size=1400,1000",
                f"--user-data-dir={folder}/profile", f"--remote-debugging-port={tools}", "--remote-allow-origins=*",
                f"http://127.0.0.1:{lab}/doc/tree/{LESSON.name}",
            ]  # fmt: skip
            processes.append(subprocess.Popen(window, **quiet))
            pages = fetch(f"http://127.0.0.1:{tools}/json/list")
            page = next(p for p in pages if p["type"] == "page")
            try_it(Page(page["webSocketDebuggerUrl"]), shots)
            print("✔ a click changes the list, and the policy's own gates come back")
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
