"""The picture of docs/viewing.md: the page of `trivox view` in a headless Chromium, at one instant.

trivox demo && python tools/page_picture.py docs/images/view.jpg trivox-demo --truth src/trivox/demo_scene/truth.npz

Chromium draws with its software renderer, so that no GPU is needed. Needs `trivox[view]`, Playwright and Chromium
(Debian: apt-get install chromium).
"""

from __future__ import annotations

import argparse
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from trivox.view.page_live import LivePage
from trivox.view.shown import load_content

WIDTH, HEIGHT, QUALITY = 1500, 860, 88
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
# Without viser's notice that this machine draws without a GPU, and without its slow fading in of the scene.
STYLE = ".mantine-Notifications-root { display: none } canvas { opacity: 1 !important; transition: none !important }"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--instant", type=int, default=26)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the browser has to draw")
    arguments = parser.parse_args()
    with LivePage(load_content(arguments.results, truth=arguments.truth)) as live:
        live.go_to(arguments.instant)
        running = threading.Thread(target=live.run, daemon=True)
        running.start()
        screen = screenshot(live.address, arguments.seconds)
        live.close()
        running.join()
    cv2.imwrite(str(arguments.out), screen, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def screenshot(address: str, seconds: float) -> np.ndarray:
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page: Page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(600_000)
        page.goto(address)
        page.add_style_tag(content=STYLE)
        page.wait_for_timeout(1000 * seconds)
        screen = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        browser.close()
    assert screen is not None
    return screen


if __name__ == "__main__":
    main()
