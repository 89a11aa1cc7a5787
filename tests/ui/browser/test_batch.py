"""A batch: how far it is, and its files."""

import time

import pytest
from playwright.sync_api import Page, expect

from tests.patience import PATIENCE
from tests.ui.browser import samples
from tests.ui.browser.double import Double


@pytest.fixture(autouse=True)
def hundred_thousand(double: Double):
    double.tasks["batch"] = samples.batch(100_000)


def opened(page: Page, double: Double, fragment: str = "") -> Page:
    page.goto(double.page("batch", fragment))
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    return page


def rows(page: Page):
    return page.locator("tbody tr")


def test_how_far_it_is_stands_in_words_and_figures(page, double):
    opened(page, double)
    expect(page.get_by_role("heading", level=1)).to_have_text("Batch of 100,000 files")
    states = page.get_by_role("region", name="Progress").get_by_role("listitem")
    expect(states).to_have_text(
        [
            "completed 50,000 50 %",
            "duplicate 12,500 12.5 %",
            "submitted 12,500 12.5 %",
            "pending 12,500 12.5 %",
            "failed 12,500 12.5 %",
        ]
    )
    figures = page.locator(".figures > div")
    expect(figures).to_have_text(
        [
            "Done75,000of 100,000",
            "Failed12,500",
            "Files an hour1,235",
            "Time left, about30 min",
            "Transcribed4,688.9 hof audio",
            "Cost12.40",
        ]
    )


def test_files_are_searched_filtered_sorted_and_paged_by_the_server(page, double):
    opened(page, double)
    expect(rows(page)).to_have_count(100)
    expect(page.get_by_text("Page of 1,000")).to_be_visible()
    page.get_by_role("button", name="Next").click()
    expect(rows(page).first).to_contain_text("call-000100.mp3")
    page.get_by_label("Page", exact=True).fill("1000")
    page.keyboard.press("Enter")
    expect(rows(page).first).to_contain_text("call-099900.mp3")
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.get_by_label("State").select_option("failed")
    expect(rows(page).first).to_contain_text("The audio could not be decoded.")
    expect(page.locator(".files output")).to_have_text("12,500 of 100,000 files")
    page.get_by_label("Find a file").fill("call-00001")
    expect(page.locator(".files output")).to_have_text("1 of 100,000 files")
    page.get_by_label("Find a file").fill("nothing like it")
    expect(rows(page)).to_have_text(["No file fits."])
    page.get_by_label("Find a file").fill("")
    page.get_by_label("State").select_option("")
    page.get_by_role("button", name="Length").click()
    expect(page.get_by_role("columnheader", name="Length")).to_have_attribute("aria-sort", "descending")
    expect(rows(page).first).to_contain_text("10:37")


def test_a_file_opens_in_the_same_page_and_the_way_back_leads_to_where_one_was(page, double):
    opened(page, double)
    page.get_by_label("State").select_option("completed")
    expect(page.locator(".files output")).to_have_text("50,000 of 100,000 files")
    page.get_by_role("button", name="Next").click()
    link = page.get_by_role("link", name="call-000240.mp3")
    link.click()
    expect(page.locator(".text .word")).to_have_count(22)
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.locator("audio")).to_have_js_property("readyState", 4)
    page.get_by_role("button", name="Copy link").click()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    page.get_by_role("link", name="All files").click()
    expect(link).to_be_focused()
    expect(link).to_be_in_viewport()
    expect(page.get_by_label("State")).to_have_value("completed")
    page.go_back()
    expect(page.locator(".text .word")).to_have_count(22)

    page.goto("about:blank")
    page.goto(copied)
    expect(page.locator(".text .word")).to_have_count(22)
    page.get_by_role("link", name="All files").click()
    expect(rows(page)).to_have_count(100)


def test_in_airflow_too_the_way_back_from_a_file_that_was_linked_leads_to_the_files(page, double):
    output = double.tasks["batch"].files[0]["output"]
    page.goto(double.around("batch", f"#t=6.3&file={output}"))
    frame = page.frame_locator("iframe")
    expect(frame.locator("[aria-current=true]")).to_have_text("country")
    frame.get_by_role("link", name="All files").click()
    expect(frame.locator("tbody tr")).to_have_count(100)


def test_a_file_in_the_query_opens_as_well_and_its_own_facts_are_shown(page, double):
    output = double.tasks["batch"].files[0]["output"]
    further = {
        "source": "s3://recordings/call-000000.mp3",
        "facts": [["Cost", "0.07"]],
        "audio": None,
        "no_audio": "Too old.",
    }
    double.tasks["batch"].by_file[output] |= further
    page.goto(double.page("batch", file=output))
    expect(page.get_by_role("heading", level=1)).to_have_text("call-000000.mp3")
    expect(page.get_by_role("region", name="Facts")).to_contain_text("0.07")
    expect(page.locator(".silence")).to_have_text("Too old.")


def test_a_file_without_a_transcript_has_no_link_and_an_address_of_one_says_so_and_leads_back(page, double):
    opened(page, double)
    expect(rows(page).nth(3)).to_contain_text("submitted")
    expect(rows(page).nth(3).get_by_role("link")).to_have_count(0)
    opened(page, double, "#file=never.json")
    expect(page.get_by_text("There is no transcript of this task.")).to_be_visible()
    page.get_by_role("link", name="All files").click()
    expect(rows(page)).to_have_count(100)


def test_a_refresh_costs_one_small_request_of_the_batch_and_leaves_the_rows_alone(page, double):
    double.tasks["batch"].task["refresh"] = 0.2
    opened(page, double)
    expect(rows(page)).to_have_count(100)
    double.tasks["batch"].batch["counts"] = {"completed": 60_000, "submitted": 40_000}
    expect(page.get_by_role("region", name="Progress").get_by_role("listitem").first).to_have_text(
        "completed 60,000 60 %"
    )
    expect(page.locator(".figures > div").first).to_have_text("Done60,000of 100,000")
    assert double.count("batch") > 1
    assert double.count("files") == 1
    page.get_by_role("button", name="Show what is new").click()
    expect(page.get_by_role("button", name="Show what is new")).to_be_hidden()
    assert double.count("files") == 2


def test_progress_is_announced_politely_and_the_end_as_well_with_the_last_rows(page, double):
    double.tasks["batch"].task["refresh"] = 0.2
    opened(page, double)
    expect(rows(page)).to_have_count(100)
    expect(page.locator("#announcements")).to_have_attribute("aria-live", "polite")
    double.tasks["batch"].batch["counts"] = {"completed": 60_000, "submitted": 40_000}
    expect(page.locator("#announcements")).to_have_text("60,000 of 100,000 files done.")
    double.tasks["batch"] = samples.batch(100_000, at_work=False)
    expect(page.locator("#announcements")).to_have_text("The batch has ended. 100,000 of 100,000 files done.")
    expect(page.locator(".head .state")).to_have_text("finished")
    expect(rows(page).nth(3)).to_contain_text("completed")


def test_a_refresh_that_fails_keeps_what_is_shown_and_says_that_it_is_old(page, double):
    double.tasks["batch"].task["refresh"] = 0.2
    opened(page, double)
    expect(rows(page)).to_have_count(100)
    double.tasks["batch"].batch = 500
    expect(page.locator(".late")).to_have_text("This could not be refreshed. Status 500, in a sentence.")
    expect(rows(page)).to_have_count(100)
    double.tasks["batch"].batch = samples.batch(100_000).batch
    expect(page.locator(".late")).to_have_count(0)


def test_a_batch_that_has_just_begun_says_so_and_goes_on_by_itself(page, double):
    answers = samples.batch(20, refresh=0.2)
    double.tasks["batch"] = samples.Answers(answers.task)
    opened(page, double)
    expect(page.get_by_text("The batch has begun.")).to_be_visible()
    double.tasks["batch"] = answers
    expect(rows(page)).to_have_count(20)


def test_a_batch_that_failed_says_why_above_its_files(page, double):
    error = {"message": "12,500 of 100,000 files failed.", "advice": "Clear the task to try them again."}
    double.tasks["batch"] = samples.batch(20, at_work=False, state="failed", error=error)
    opened(page, double)
    expect(page.get_by_role("region", name="What happened")).to_contain_text(
        "12,500 of 100,000 files failed."
    )
    expect(rows(page)).to_have_count(20)


def test_a_short_batch_is_counted_in_seconds_and_has_no_pages_to_turn(page, double):
    double.tasks["batch"] = samples.batch(2)
    opened(page, double)
    expect(rows(page)).to_have_count(2)
    expect(page.locator(".figures")).to_contain_text("1 min")
    expect(page.get_by_role("navigation", name="Pages of the table")).to_be_hidden()


def test_what_is_cut_off_is_there_as_a_title(page, double):
    double.tasks["batch"] = samples.batch(8)
    first, error = double.tasks["batch"].files[0], "The audio could not be decoded. " * 50
    first |= {"source": f"s3://recordings/{'long-' * 200}name.mp3", "error": error}
    double.tasks["batch"].by_file[first["output"]] |= {"source": first["source"]}
    opened(page, double)
    name = rows(page).filter(has_text="name.mp3").locator("td.name")
    expect(name).to_have_attribute("title", first["source"])
    expect(name.locator(".error")).to_have_attribute("title", error)
    name.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_attribute("title", f"{'long-' * 200}name.mp3")


def test_a_refresh_that_fails_leaves_an_open_file_and_its_recording_as_they_are(page, double):
    answers = double.tasks["batch"]
    answers.task["refresh"] = 0.2
    output = next(iter(answers.by_file))
    opened(page, double, f"#file={output}")
    expect(page.locator(".text .word")).to_have_count(22)
    page.evaluate("() => { document.querySelector('audio').before = true }")
    double.tasks["batch"] = samples.Answers(503)
    before = double.count("task")
    with page.expect_response(lambda response: "api/task" in response.url and response.status == 503):
        pass
    expect(page.locator(".text .word")).to_have_count(22)
    double.tasks["batch"] = answers
    with page.expect_response(
        lambda response: "api/task" in response.url and response.status == 200, timeout=PATIENCE * 1000
    ):
        pass
    assert double.count("task") > before
    expect(page.locator(".text .word")).to_have_count(22)
    assert page.evaluate("() => document.querySelector('audio').before")


def test_a_file_that_cannot_be_read_is_not_asked_for_ever_more_often(page, double):
    page.clock.install(time=time.time())
    answers = double.tasks["batch"]
    output = next(iter(answers.by_file))
    answers.by_file[output] = 500
    opened(page, double, f"#file={output}")
    for _ in range(60):
        page.clock.run_for(10_000)
        page.evaluate("() => fetch('api/task?task_id=batch')")  # what came before it has been answered
    asked = double.count("transcript")
    # Ten minutes, at one in ten seconds.
    assert 10 < asked <= 66
