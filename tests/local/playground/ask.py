"""Asks one endpoint in the page as a person does; run by browser.py, in an environment that has Playwright.

`python ask.py CHROMIUM ADDRESS NAME`: prints the answer as it is read in the page.
"""

import sys

from playwright.sync_api import expect, sync_playwright


def main(chromium, address, name):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        page.get_by_role("navigation", name="Endpoints").get_by_role("button", name=name).click()
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("heading", name="What it took")).to_be_visible(timeout=60_000)
        expect(page.locator("#answer [role=alert]")).to_have_count(0)
        sys.stdout.write(page.locator("#answer").inner_text() + "\n")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
