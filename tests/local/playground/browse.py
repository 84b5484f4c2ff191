"""Drives the page in a real browser; run by test_in_a_browser.py, in an environment that has Playwright.

`python browse.py CHROMIUM ADDRESS STRANGER`: prints as JSON what a person would have seen. STRANGER is the
address of a page of another origin.
"""

import json
import sys

from playwright.sync_api import Response, expect, sync_playwright


def main(chromium, address, stranger):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        seen: dict[str, list[str]] = {"problems": []}
        page = opened(browser, seen, color_scheme="light", viewport={"width": 1000, "height": 900})
        page.goto(address)
        expect(page.get_by_role("heading", name="hf-lambda stack local")).to_be_visible()
        seen["address"] = page.evaluate("location.href")
        seen["labels"] = labels(page)
        seen["streamed"], seen["stopped"] = words(page)
        seen["chat"] = chat(page)
        seen["error"] = failing(page)
        seen["objects"] = objects(page)
        seen["segments"] = segments(page)
        seen["broken"] = broken(page)
        seen["calls"] = calls(page)
        page.get_by_role("button", name="Cache").click()
        seen["cache"] = page.get_by_role("row", name="org/name").inner_text()
        page.reload()  # the secret is kept as long as the tab
        expect(page.get_by_role("heading", name="labels")).to_be_visible()
        seen["edited"] = edited(page, address)
        seen["narrow"] = narrow(browser, seen, address)
        seen["without"] = without(browser, address)
        seen["stranger"] = asked_from(browser, stranger, address)
        browser.close()
    sys.stdout.write(json.dumps(seen))


def opened(browser, seen, **options):
    page = browser.new_context(**options).new_page()
    page.on("pageerror", lambda error: seen["problems"].append(str(error)))
    page.on("console", lambda said: said.type == "error" and seen["problems"].append(said.text))
    return page


def send(page):
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="What it took")).to_be_visible(timeout=60_000)


def choose(page, name):
    page.get_by_role("navigation", name="Endpoints").get_by_role("button", name=name).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def labels(page):
    """Filled in by labels alone, sent by keyboard."""
    choose(page, "labels")
    seen = {"example": page.get_by_label("text").first.input_value()}
    page.get_by_label("text").first.fill("Guten Abend <b>!</b>")
    page.get_by_label("kind").select_option("formal")
    page.get_by_label("top_k").fill("3")
    page.get_by_role("tab", name="JSON").click()
    seen["json"] = json.loads(page.get_by_label("The event as JSON").input_value())
    page.get_by_role("tab", name="Form").click()
    page.get_by_label("top_k").press("Control+Enter")
    expect(page.get_by_role("heading", name="What it took")).to_be_visible(timeout=60_000)
    seen["rows"] = page.locator("table.bars tr").all_inner_texts()
    seen["cost"] = page.locator(".facts.cost").inner_text()
    page.get_by_role("button", name="Cold start").click()
    expect(page.get_by_text("the next request is a cold start")).to_be_visible()
    send(page)
    seen["again"] = page.locator(".facts.cost").inner_text()
    seen["chart"] = page.locator(".history rect").count()
    return seen


def words(page):
    choose(page, "words")
    send(page)
    streamed = page.locator("#answer .prose").inner_text()
    page.get_by_label("forever").check()
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#answer .prose")).to_contain_text("three more more", timeout=60_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped")).to_be_visible()
    page.get_by_label("forever").uncheck()
    send(page)  # the instance was given back
    return streamed, page.locator("#answer .prose").inner_text()


def chat(page):
    choose(page, "chat")
    said = [page.get_by_label("messages").input_value()]
    for streamed in (True, False):
        page.get_by_label("stream").set_checked(streamed)
        send(page)
        said.append(page.locator("#answer .prose").inner_text())
    page.get_by_text("Call it from elsewhere").click()
    said.append(page.locator(".snippet pre").first.inner_text().split("'")[1].partition("/urls")[2])
    return said


def failing(page):
    choose(page, "fails")
    send(page)
    failed = page.locator("#answer [role=alert]").inner_text()
    page.get_by_label("number").fill("")
    page.get_by_role("button", name="Send").click()
    return [failed, page.locator("form [role=alert]").inner_text()]


def objects(page):
    choose(page, "objects")
    send(page)
    expect(page.locator("svg.overlay rect")).to_have_count(1)
    return page.locator("svg.overlay text").text_content()


def segments(page):
    """How opaque the mask is, left and right."""
    choose(page, "segments")
    send(page)
    page.wait_for_function("document.querySelector('canvas.overlay').width !== 300")  # until it is drawn
    return page.evaluate(
        """() => {
          const canvas = document.querySelector("canvas.overlay"), context = canvas.getContext("2d");
          const middle = canvas.height / 2;
          const opacity = (share) => context.getImageData(canvas.width * share, middle, 1, 1).data[3];
          return [opacity(0.25), opacity(0.75)];
        }"""
    )


def broken(page):
    choose(page, "broken")
    page.get_by_role("button", name="Send").click()
    alert = page.locator("#answer [role=alert]")
    expect(alert).to_be_visible(timeout=60_000)
    return alert.inner_text()


def calls(page):
    """Name and text of each line to copy."""
    choose(page, "labels")
    page.get_by_label("text").first.fill('It\'s "so" \\n, $HOME `x` ü\nnext')
    page.get_by_text("Call it from elsewhere").click()
    expect(page.locator(".snippet pre")).to_have_count(3)
    names = [each.split()[0] for each in page.get_by_role("heading", level=4).all_inner_texts()]
    return dict(zip(names, page.locator(".snippet pre").all_text_contents(), strict=True))


def edited(page, address):
    """What `make dev` tells is seen without a reload, and what was typed stays."""

    def update(changed, problems):
        page.evaluate(
            """([secret, update]) => fetch("api/edition", {
              method: "POST", body: JSON.stringify(update),
              headers: {"content-type": "application/json", "x-playground-secret": secret},
            })""",
            [address.partition("#")[2], {"functions": False, "changed": changed, "problems": problems}],
        )

    update([], [])
    page.reload()  # from here on the page follows
    choose(page, "labels")
    page.get_by_label("text").first.fill("typed")
    update(["labels"], ["labels.py:3: a mistake", "and another"])
    problem = page.locator("#problem")
    expect(problem).to_be_visible(timeout=20_000)
    said = problem.inner_text()
    typed = page.get_by_label("text").first.input_value()
    update(["labels"], [])
    expect(problem).to_be_hidden(timeout=20_000)
    send(page)  # of an instance that was started anew
    return [said, typed, page.locator(".facts.cost").inner_text()]


def narrow(browser, seen, address):
    page = opened(browser, seen, color_scheme="dark", viewport={"width": 400, "height": 800})
    page.goto(address)
    choose(page, "names")
    send(page)
    marks = page.locator("#answer mark").all_inner_texts()
    choose(page, "vectors")
    send(page)
    table = page.locator("table.similarity tbody tr").first.inner_text()
    wide = page.evaluate("document.documentElement.scrollWidth")
    unnamed = page.evaluate(UNNAMED)
    return {"marks": marks, "table": table, "wide": wide, "unnamed": unnamed}


UNNAMED = """[...document.querySelectorAll("button, input, textarea, select, a, img")].filter((each) =>
  !each.labels?.length && !each.textContent.trim() && !each.getAttribute("aria-label") && !each.alt).length"""


def without(browser, address):
    page = browser.new_context().new_page()
    page.goto(address.partition("#")[0])
    return page.get_by_role("alert").inner_text()


def asked_from(browser, stranger, address):
    """What a page of another origin gets, though it knows the secret: by fetch, by a form, and in a frame."""
    url, _, secret = address.partition("#")
    page = browser.new_context().new_page()
    answers: list[int] = []

    def note(answer: Response) -> None:
        if answer.url.startswith(url):
            answers.append(answer.status)

    page.on("response", note)
    page.goto(stranger)
    fetched = page.evaluate(
        """async ([url, secret]) => {
          const send = async (options) => {
            const given = {method: "POST", body: "{}", ...options};
            try { return (await fetch(`${url}api/endpoints/labels/invoke`, given)).status; }
            catch (error) { return error.name; }
          };
          const json = {"content-type": "application/json", "x-playground-secret": secret};
          return [await send({headers: json}), await send({}), await send({mode: "no-cors"})];
        }""",
        [url, secret],
    )
    page.evaluate(
        "(url) => document.body.append(Object.assign(document.createElement('iframe'), {src: url}))", url
    )
    page.wait_for_function("document.querySelector('iframe').contentDocument === null")
    return {"fetched": fetched, "answers": answers}


if __name__ == "__main__":
    main(*sys.argv[1:])
