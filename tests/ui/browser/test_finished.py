"""A finished transcript: read, heard, searched, shared, and taken along."""

import pytest
from playwright.sync_api import Page, expect

from tests.ui.browser import samples
from tests.ui.browser.double import Double

SPOKEN = ".text [aria-current=true]"


def word(page: Page, text: str, number: int = 0):
    return page.locator(".text .word").filter(has_text=text).nth(number)


def opened(page: Page, double: Double, task_id: str = "finished", fragment: str = "") -> Page:
    page.goto(double.page(task_id, fragment))
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    return page


def test_a_click_on_a_word_plays_from_there_and_the_spoken_word_is_marked_and_followed(page, double):
    opened(page, double)
    page.evaluate(
        """() => {
          window.marked = [];
          new MutationObserver((changes) => {
            for (const { target } of changes) if (target.hasAttribute('aria-current')) window.marked.push(target.index);
          }).observe(document.querySelector('.text'), { subtree: true, attributeFilter: ['aria-current'] });
        }"""
    )
    # Of a jump before that, Chromium counts what lies before it as played.
    expect(page.locator("audio")).to_have_js_property("readyState", 4)
    word(page, "country").click()
    expect(page.locator("audio")).to_have_js_property("ended", True)
    expect(page.locator(SPOKEN)).to_have_text("country.")
    marked = page.evaluate("() => window.marked")
    assert marked[0] == 9
    # A frame may be late on a busy machine, and a short word be passed over.
    assert marked == sorted(set(marked))
    assert len(marked) > 6
    assert page.locator("audio").evaluate("audio => audio.played.start(0)") == pytest.approx(6.16, abs=0.05)


def test_every_word_can_be_reached_and_played_with_the_keyboard_through_one_stop_of_the_tab_key(page, double):
    opened(page, double)
    stops = page.locator(".text [tabindex='0']")
    expect(stops).to_have_count(1)
    stops.focus()
    for key in ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowRight"]:
        page.keyboard.press(key)
    expect(page.locator(":focus")).to_have_text("what")
    expect(page.locator(":focus")).to_have_role("button")
    page.keyboard.press("Enter")
    expect(page.locator("audio")).to_have_js_property("ended", True)
    assert page.locator("audio").evaluate("audio => audio.played.start(0)") == pytest.approx(8.7, abs=0.05)
    expect(stops).to_have_count(1)


def test_the_player_has_keys_for_play_and_pause_and_its_position_speaks_in_minutes(page, double):
    opened(page, double)
    audio = page.locator("audio")
    position = page.get_by_role("slider", name="Position")
    position.press("ArrowRight")
    position.press("ArrowRight")
    expect(position).to_have_attribute("aria-valuetext", "0:10 of 0:11")
    position.press("Home")
    expect(position).to_have_attribute("aria-valuetext", "0:00 of 0:11")
    page.get_by_label("Speed").select_option("0.75")
    expect(audio).to_have_js_property("playbackRate", 0.75)
    page.locator("h1").focus()
    page.keyboard.press("k")
    expect(audio).to_have_js_property("paused", False)
    page.get_by_role("button", name="Pause").click()
    expect(audio).to_have_js_property("paused", True)
    page.keyboard.press("Space")
    expect(audio).to_have_js_property("paused", False)


def test_a_phrase_is_found_and_keys_step_through_its_hits(page, double):
    opened(page, double)
    count = page.locator(".find output")
    page.keyboard.press("/")
    page.keyboard.type("ask")
    expect(count).to_have_text("1 of 2")
    page.keyboard.press("Enter")
    expect(count).to_have_text("2 of 2")
    page.keyboard.press("F3")
    expect(count).to_have_text("1 of 2")
    page.keyboard.press("Shift+F3")
    expect(count).to_have_text("2 of 2")
    page.keyboard.press("Tab")
    page.keyboard.press("n")
    expect(count).to_have_text("1 of 2")
    page.keyboard.press("Shift+N")
    expect(count).to_have_text("2 of 2")
    marked = page.evaluate(
        "() => [...CSS.highlights.get('hit-current')].map(range => range.startContainer.data)"
    )
    assert marked == ["ask"]
    page.get_by_label("Find in the transcript").fill("nobody said this")
    expect(count).to_have_text("No hits")
    assert page.evaluate("() => CSS.highlights.get('hit').size") == 0


@pytest.mark.parametrize(
    "phrase", ["AMERICANS ask", "américans, ask", "do for you ask what", "  my   fellow "]
)
def test_case_accents_punctuation_and_the_ends_of_paragraphs_do_not_matter_to_a_phrase(page, double, phrase):
    opened(page, double)
    page.get_by_label("Find in the transcript").fill(phrase)
    expect(page.locator(".find output")).to_have_text("1 of 1")


def test_unsure_words_are_shaded_on_demand_and_by_more_than_a_colour(page, double):
    opened(page, double)
    unsure = word(page, "what", 1)
    line = (
        "word => getComputedStyle(word).textDecorationLine + ' ' + getComputedStyle(word).textDecorationStyle"
    )
    assert unsure.evaluate(line) == "none solid"
    page.get_by_role("switch", name="Confidence").click()
    assert unsure.evaluate(line) == "underline wavy"
    expect(page.locator(".toolbar .legend")).to_have_text("under 50 % 1under 75 % 1under 90 % 1")
    page.get_by_role("switch", name="Confidence").click()
    assert unsure.evaluate(line) == "none solid"


def test_a_link_to_a_moment_opens_there_and_marks_its_word(page, double):
    opened(page, double, fragment="#t=6.3")
    expect(page.locator(SPOKEN)).to_have_text("country")
    expect(page.locator("audio")).to_have_js_property("currentTime", 6.3)
    expect(page.locator("audio")).to_have_js_property("paused", True)
    page.evaluate("() => { location.hash = '#t=1.2' }")
    expect(page.locator(SPOKEN)).to_have_text("my")


@pytest.mark.parametrize(
    "moment", ["#t=", "#t=-5", "#t=NaN", "#t=1e99", "#t=Infinity", "#t=<b>", "#%%%", "#q=%00"]
)
def test_an_address_that_says_nonsense_opens_the_transcript(page, double, moment):
    opened(page, double, fragment=moment)
    expect(page.locator(".text .word")).to_have_count(22)


@pytest.mark.parametrize("moment", ["#t=Infinity", "#t=1e999", "#t=9e15"])
def test_a_moment_beyond_a_recording_of_unknown_length_opens_its_last_word(page, double, moment):
    double.tasks["finished"] = samples.finished(samples.transcript(samples.paragraph(samples.JFK_WORDS)))
    double.tasks["finished"].recording = None
    opened(page, double, fragment=moment)
    expect(page.locator(".text .word")).to_have_count(22)
    expect(page.locator(".text .word").last).to_have_attribute("tabindex", "0")


def test_the_link_to_a_moment_is_the_address_of_airflow_around_the_page(page, double):
    page.goto(double.around("finished"))
    frame = page.frame_locator("iframe")
    frame.locator(".text .word").filter(has_text="country").first.click()
    page.keyboard.press("Space")
    expect(frame.locator("audio")).to_have_js_property("paused", True)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("c")
    expect(frame.locator("#announcements")).to_have_text("The link to 0:06 is copied.")
    link = page.evaluate("() => navigator.clipboard.readText()")
    assert link == double.around("finished", "#t=6.7")

    page.goto("about:blank")
    page.goto(link)
    expect(frame.locator(SPOKEN)).to_have_text("can")


def test_a_link_that_cannot_be_copied_is_shown_to_be_copied_by_hand(page, double):
    opened(page, double)
    page.evaluate(
        "() => { navigator.clipboard.writeText = () => Promise.reject(); document.execCommand = () => false }"
    )
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_label("Link to this moment")).to_have_value(double.page("finished", "#t=0"))
    expect(page.get_by_label("Link to this moment")).to_be_focused()


@pytest.mark.parametrize("sandbox", ["old", "new"])
@pytest.mark.parametrize("form", ["JSON", "SRT", "VTT", "TXT"])
def test_each_format_is_downloaded_in_the_frames_of_every_airflow(page, double, sandbox, form):
    page.goto(double.around("finished", sandbox=sandbox))
    with page.expect_download() as download:
        page.frame_locator("iframe").get_by_role("link", name=form).click()
    assert download.value.suggested_filename == f"transcript.{form.lower()}"
    assert f"task_id=finished&map_index=-1&format={form.lower()}" in download.value.url


def test_facts_and_findings_are_shown(page, double):
    double.tasks["finished"] = samples.finished(findings=["In 12 seconds nothing was recognised."])
    opened(page, double)
    facts = page.get_by_role("region", name="Facts")
    page.evaluate("() => localStorage.setItem('timezone', 'Asia/Tokyo')")
    page.reload()
    shown = dict(samples.FACTS) | {"Source": "s3://recordings/1961/jfk.mp3", "Ended": "29 Nov 2026, 04:42:10"}
    for label, text in shown.items():
        expect(facts.locator("div", has=page.get_by_text(label, exact=True)).locator("dd")).to_have_text(text)
    expect(page.get_by_role("region", name="Quality checks")).to_contain_text(
        "In 12 seconds nothing was recognised."
    )
    expect(page.get_by_role("heading", level=1)).to_have_text("jfk.mp3")
    expect(page.locator(".head .line")).to_have_text("whisper-mediumEnglish0:1194 % confidence")


def test_a_recording_that_may_not_be_played_says_why_and_its_words_still_have_moments(page, double):
    double.tasks["finished"] = samples.finished(
        audio=None, no_audio="Its address is signed, and is kept by nobody."
    )
    opened(page, double)
    expect(page.locator(".silence")).to_have_text("Its address is signed, and is kept by nobody.")
    expect(page.locator("audio")).to_have_count(0)
    word(page, "country").click()
    expect(page.locator(SPOKEN)).to_have_text("country")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#announcements")).to_have_text("The link to 0:06 is copied.")


def test_a_recording_that_has_gone_says_so_in_the_words_of_the_server(page, double):
    double.tasks["finished"].recording = None
    opened(page, double)
    expect(page.locator(".player .trouble")).to_contain_text("The recording is no longer where it was.")
    assert word(page, "country").is_visible()


def test_words_without_times_are_read_and_found_and_promise_no_moment(page, double):
    said = samples.transcript(samples.paragraph(["Nothing here has a time, and nothing is promised."]))
    double.tasks["finished"] = samples.finished(said)
    opened(page, double)
    expect(page.get_by_role("button", name="Copy link")).to_have_count(0)
    expect(page.get_by_role("switch", name="Confidence")).to_have_count(0)
    page.locator(".text .word").click()
    expect(page.locator("audio")).to_have_js_property("paused", True)
    page.get_by_label("Find in the transcript").fill("nothing")
    expect(page.locator(".find output")).to_have_text("1 of 2")


def test_no_words_at_all_are_said_to_be_none(page, double):
    double.tasks["finished"] = samples.finished(samples.transcript(duration=11.0) | {"text": ""})
    opened(page, double)
    expect(page.get_by_text("No words were recognised.")).to_be_visible()


def test_channels_that_speak_at_the_same_time_are_followed_by_time(page, double):
    left = samples.paragraph([("left", 0.0, 0.5, 0.9), ("again", 4.0, 4.5, 0.9)], channel=0)
    right = samples.paragraph([("right", 2.0, 2.5, 0.9), ("last", 6.0, 6.5, 0.9)], channel=1)
    double.tasks["finished"] = samples.finished(samples.transcript(left, right, duration=11.0))
    opened(page, double)
    expect(page.get_by_role("heading", level=3)).to_have_text(["Channel 0", "Channel 1"])
    for seconds, said in [(0.2, "left"), (2.1, "right"), (4.1, "again"), (6.1, "last")]:
        page.evaluate(f"() => {{ location.hash = '#t={seconds}' }}")
        expect(page.locator(SPOKEN)).to_have_text(said)


def test_twenty_thousand_words_are_all_there_and_the_last_is_reached_by_search_key_and_link(quiet, double):
    said = samples.meeting(20_000)
    last = said["paragraphs"][-1]["words"][-1]
    last[0] = "Zanzibar."
    double.tasks["finished"] = samples.finished(said, audio=None)
    page = opened(quiet, double, fragment=f"#t={last[1]}")
    zanzibar = page.locator(SPOKEN)
    expect(zanzibar).to_have_text("Zanzibar.")
    expect(zanzibar).to_be_in_viewport()
    page.evaluate("() => scrollTo(0, 0)")
    page.get_by_label("Find in the transcript").fill("zanzibar")
    expect(zanzibar).to_be_in_viewport()
    words = sum(len(paragraph["words"]) for paragraph in said["paragraphs"])
    expect(page.locator(".text .word")).to_have_count(words)
    page.locator(".text .word").first.focus()
    page.keyboard.press("End")
    expect(zanzibar).to_be_focused()
    expect(zanzibar).to_be_in_viewport()


def test_whoever_scrolls_away_is_not_pulled_back_until_they_ask(quiet, double):
    double.tasks["finished"] = samples.finished(samples.meeting(3000, pause=0.2))
    page = opened(quiet, double)
    page.locator(".text .word").first.click()
    expect(page.locator("audio")).to_have_js_property("paused", False)
    page.mouse.wheel(0, 6000)
    back = page.get_by_role("button", name="Back to the spoken word")
    expect(back).to_be_visible()
    expect(page.locator(SPOKEN)).not_to_be_in_viewport()
    back.click()
    expect(page.locator(SPOKEN)).to_be_in_viewport()
    expect(back).to_be_hidden()


def test_single_keys_can_be_switched_off_for_good(page, double):
    opened(page, double)
    page.get_by_label("Single keys").uncheck()
    for _ in range(2):
        page.locator("h1").focus()
        page.keyboard.press("k")
        page.keyboard.press("/")
        expect(page.get_by_label("Find in the transcript")).not_to_be_focused()
        expect(page.locator("audio")).to_have_js_property("paused", True)
        page.reload()
        expect(page.get_by_label("Single keys")).not_to_be_checked()


def test_nothing_is_asked_of_any_other_server(page, double):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(page, double)
    word(page, "country").click()
    expect(page.locator("audio")).to_have_js_property("paused", False)
    assert [url for url in asked if not url.startswith(f"{double.url}/laplas/")] == []
