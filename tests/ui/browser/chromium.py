"""The Chromium that is installed on the machine."""

import shutil

from playwright.sync_api import Browser, Playwright

# In a container there is no sandbox to be had; and nobody clicks before a recording is played.
_FLAGS = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]


def launched(playwright: Playwright) -> Browser:
    """Launch it without a window."""
    path = shutil.which("chromium")
    if not path:
        raise FileNotFoundError(
            "There is no Chromium: install Debian's package chromium, or run `make test-ui` as root."
        )
    return playwright.chromium.launch(executable_path=path, args=_FLAGS)
