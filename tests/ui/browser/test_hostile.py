"""Whatever was said, and however a file is called: the page stays what it is."""

import pytest
from playwright.sync_api import Page, expect

from tests.ui.browser import samples

SHAPE = """() => ({
  title: document.title === '1',
  headings: document.querySelectorAll('h1').length,
  strangers: document.querySelectorAll('main img, main script, main iframe, main object, main form:not([hidden], [role])').length,
  scripts: document.querySelectorAll('script').length,
  wider: document.documentElement.scrollWidth > document.documentElement.clientWidth,
})"""
INTACT = {"title": False, "headings": 1, "strangers": 0, "scripts": 1, "wider": False}


def opened(page: Page, address: str) -> Page:
    page.goto(address)
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    return page


@pytest.mark.parametrize("width", [320, 1280])
def test_hostile_words_speakers_facts_and_names_change_nothing_of_the_page(page, double, width):
    page.set_viewport_size({"width": width, "height": 700})
    opened(page, double.page("hostile"))
    assert page.evaluate(SHAPE) == INTACT
    words = page.locator(".text .word").evaluate_all("words => words.map(word => word.textContent)")
    assert words == samples.HOSTILE * len(samples.HOSTILE)
    assert page.locator("audio").get_attribute("src") in {None, ""}


def test_a_word_that_turns_the_direction_does_not_turn_its_neighbours(page, double):
    words = [
        ("before", 0.0, 0.5, 0.9),
        ("\u202eturned", 0.5, 1.0, 0.9),
        ("after", 1.0, 1.5, 0.9),
        ("last", 1.5, 2.0, 0.9),
    ]
    double.tasks["finished"] = samples.finished(
        samples.transcript(samples.paragraph(words, "\u202eSpeaker"), duration=11.0)
    )
    opened(page, double.page("finished"))
    lefts = page.locator(".text .word").evaluate_all(
        "words => words.map(word => word.getBoundingClientRect().left)"
    )
    assert lefts == sorted(lefts)


def test_words_of_a_right_to_left_language_stand_from_right_to_left(page, double):
    words = [("سوف", 0.0, 0.5, 0.9), ("نبدأ", 0.5, 1.0, 0.9), ("الآن", 1.0, 1.5, 0.9)]
    double.tasks["finished"] = samples.finished(samples.transcript(samples.paragraph(words), duration=11.0))
    opened(page, double.page("finished"))
    lefts = page.locator(".text .word").evaluate_all(
        "words => words.map(word => word.getBoundingClientRect().left)"
    )
    assert lefts == sorted(lefts, reverse=True)
    page.locator(".text .word").first.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(":focus")).to_have_text("نبدأ")


def test_a_phrase_is_found_beside_lone_surrogates_and_marks_whole_characters(page, double):
    words = [("\ud83d", 0.0, 0.5, 0.9), ("\U0001d518nicode", 0.5, 1.0, 0.9), ("\ude00end", 1.0, 1.5, 0.9)]
    double.tasks["finished"] = samples.finished(samples.transcript(samples.paragraph(words), duration=11.0))
    opened(page, double.page("finished"))
    page.get_by_label("Find in the transcript").fill("unicode end")
    expect(page.locator(".find output")).to_have_text("1 of 1")
    page.get_by_label("Find in the transcript").fill("")
    expect(page.locator(".find output")).to_have_text("")
    page.get_by_label("Find in the transcript").fill("u")
    expect(page.locator(".find output")).to_have_text("1 of 1")
    ends = page.evaluate(
        "() => [...CSS.highlights.get('hit-current')].map(range => [range.startOffset, range.endOffset])"
    )
    assert ends == [[0, 2]]


@pytest.mark.parametrize("width", [320, 1280])
def test_hostile_names_and_errors_of_a_batch_change_nothing_of_the_page(page, double, width):
    answers = samples.batch(20)
    for file, text in zip(answers.files, samples.HOSTILE, strict=False):
        file |= {
            "source": f"s3://bucket/{text}",
            "output": f"{text}.json",
            "error": text,
            "state": "completed",
            "has_transcript": True,
        }
    answers.files[0]["state"] = samples.MARKUP
    answers.batch |= {
        "manifest": samples.MARKUP,
        "cost": samples.MARKUP,
        "counts": {samples.MARKUP: 3, "completed": 17},
    }
    answers.task |= {
        "after_clear": samples.MARKUP,
        "error": {"message": samples.MARKUP, "advice": samples.MARKUP},
    }
    double.tasks["batch"] = answers
    page.set_viewport_size({"width": width, "height": 700})
    opened(page, double.page("batch"))
    expect(page.locator("tbody tr")).to_have_count(20)
    assert page.evaluate(SHAPE) == INTACT


@pytest.mark.parametrize("state", ["waiting", "failed"])
@pytest.mark.parametrize("width", [320, 1280])
def test_hostile_sentences_of_a_task_change_nothing_of_the_page(page, double, state, width):
    text = " ".join(samples.HOSTILE)
    double.tasks["task"] = samples.Answers(
        samples.task(
            state=state,
            generation_id=text,
            after_clear=text,
            source=text,
            error={"message": text, "advice": text},
        )
    )
    page.set_viewport_size({"width": width, "height": 700})
    opened(page, double.page("task"))
    assert page.evaluate(SHAPE) == INTACT


@pytest.mark.parametrize("width", [320, 1280])
def test_hostile_hits_change_nothing_of_the_page_and_link_nowhere_else(page, double, width):
    targets = [
        "javascript:alert(1)",
        "//elsewhere.example/page?",
        "https://elsewhere.example/page?a=1",
        "page?dag_id=a#t=1",
    ]
    hits = [
        {
            "source": text,
            "text": text,
            "start": 1.0,
            "speaker": text,
            "transcript": targets[index % len(targets)],
        }
        for index, text in enumerate(samples.HOSTILE)
    ]
    double.search = lambda phrase, number: {
        "configured": True,
        "how": None,
        "total": len(hits),
        "page": 0,
        "pages": 1,
        "hits": hits,
        "report": [[samples.MARKUP, samples.MARKUP]],
    }
    page.set_viewport_size({"width": width, "height": 700})
    opened(page, f"{double.url}/laplas/search?q=%3Cb%3E")
    expect(page.locator(".hits li")).to_have_count(len(hits))
    assert page.evaluate(SHAPE) == INTACT
    links = page.locator(".hits a").evaluate_all("links => links.map(link => link.href)")
    assert len(links) == len(hits) // 4
    assert all(link.startswith(f"{double.url}/laplas/page?dag_id=a#") for link in links)


@pytest.mark.parametrize("url", ["http://[", "https://a b/", "http://:99999/", "//[", "javascript:alert(1)"])
def test_an_address_that_is_none_does_not_keep_the_transcript_away(page, double, url):
    double.tasks["finished"] = samples.finished(audio={"url": url, "type": None})
    opened(page, double.page("finished"))
    expect(page.locator(".text .word")).to_have_count(22)


def test_no_recording_has_the_browser_ask_airflow_for_anything_but_recordings(page, double):
    # Airflow signs people out by an address, which a recording may be said to be at.
    address = f"{double.url}/laplas/api/sign-out"
    double.tasks["finished"] = samples.finished(audio={"url": address, "type": None})
    opened(page, double.page("finished"))
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".player .trouble")).to_contain_text("cannot be played")
    assert double.count("sign-out") == 0


def test_a_moment_that_no_clock_knows_changes_nothing_of_the_page(page, double):
    double.tasks["task"] = samples.waiting(since=1e300, deadline=-1e300, facts=[["Begun", 1e20]])
    opened(page, double.page("task"))
    assert page.evaluate(SHAPE) == INTACT
