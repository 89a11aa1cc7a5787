"""Tasks without a transcript, or without one yet; and how the page goes on when they do."""

import time

import pytest
from playwright.sync_api import Page, expect

from airflow_stack.processes import await_condition
from tests.ui.browser import samples
from tests.ui.browser.double import Double


def opened(page: Page, double: Double, task_id: str) -> Page:
    page.goto(double.page(task_id))
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    return page


def test_a_task_that_waits_says_since_when_until_when_and_what_a_clear_would_do(page, double):
    opened(page, double, "waiting")
    expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for the transcript")
    known = page.get_by_role("region", name="So far")
    for text in [
        "5f3b6c1e-8f0e-4c8e-9a57-0f4c2f0d6a11",
        "13 min ago",
        "in 47 min",
        "2026-11-27-morning.mp3",
    ]:
        expect(known).to_contain_text(text)
    expect(known.get_by_text("5f3b6c1e-8f0e-4c8e-9a57-0f4c2f0d6a11")).to_have_count(1)
    expect(page.get_by_role("region", name="If you clear this task")).to_contain_text(
        "nothing is paid, again"
    )


def test_a_transcript_appears_by_itself_when_the_task_has_finished(page, double):
    double.tasks["task"] = samples.waiting(refresh=0.2)
    opened(page, double, "task")
    double.tasks["task"] = samples.finished()
    expect(page.locator(".text .word")).to_have_count(22)
    expect(page.locator("#announcements")).to_have_text("jfk.mp3")


def test_a_task_that_is_over_is_not_asked_after_again(page, double):
    page.clock.install()
    opened(page, double, "finished")
    page.clock.run_for(3_600_000)
    assert double.count("task") == 1


def test_times_are_those_of_the_time_zone_that_airflow_is_set_to(page, double):
    noon = 1_795_867_200.0  # 2026-11-28 12:00 UTC
    double.tasks["waiting"] = samples.waiting(since=noon, deadline=None)
    opened(page, double, "waiting")
    for zone, shown in [
        ('"Asia/Tokyo"', "28 Nov 2026, 21:00:00"),
        ("America/New_York", "28 Nov 2026, 07:00:00"),
    ]:
        page.evaluate("zone => localStorage.setItem('timezone', zone)", zone)
        opened(page, double, "waiting")
        expect(page.get_by_role("region", name="So far")).to_contain_text(shown)


def test_a_task_that_failed_says_what_happened_and_what_to_do(page, double):
    opened(page, double, "failed")
    happened = page.get_by_role("region", name="What happened")
    expect(happened).to_contain_text("does not know the generation")
    expect(happened.get_by_role("heading", name="What to do")).to_be_visible()
    expect(happened).to_contain_text("Clear the task: it submits the recording again")
    # It does not go on.
    expect(page.get_by_role("region", name="What is known")).not_to_contain_text("Since")


@pytest.mark.parametrize(
    ("kind", "state", "title"),
    [
        ("none", "none", "No transcript"),
        ("none", "finished", "No transcript"),
        ("transcript", "none", "No transcript yet"),
        ("batch", "none", "No transcript yet"),
        ("submission", "finished", "Submitted"),
        ("submission", "failed", "No transcript"),
        ("transcript", "something new", "No transcript yet"),
    ],
)
def test_every_other_kind_and_state_has_a_page_of_its_own(page, double, kind, state, title):
    double.tasks["task"] = samples.Answers(samples.task(kind, state))
    opened(page, double, "task")
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "Sign in to Airflow"),
        (403, "You may not read this"),
        (404, "Status 404, in a sentence."),
        (500, "Status 500, in a sentence."),
    ],
)
def test_what_is_refused_is_said_in_a_sentence_that_of_the_server_where_it_is_not_airflows(
    page, double, status, sentence
):
    double.tasks["task"] = samples.finished()
    double.tasks["task"].transcript = status
    opened(page, double, "task")
    expect(page.get_by_role("region", name="This cannot be shown")).to_contain_text(sentence)
    expect(page.locator(".text")).to_have_count(0)


def test_what_could_not_be_shown_can_be_tried_again(page, double):
    opened(page, double, "later")
    expect(page.get_by_text("There is no such task instance.")).to_be_visible()
    double.tasks["later"] = samples.finished()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".text .word")).to_have_count(22)


def test_a_server_that_cannot_be_reached_is_asked_again_by_itself(page, double):
    page.clock.install(time=time.time())
    page.route("**/api/task?*", lambda route: route.abort())
    opened(page, double, "finished")
    expect(page.get_by_text("Airflow's API server cannot be reached.")).to_be_visible()
    page.unroute("**/api/task?*")
    page.clock.run_for(31_000)
    expect(page.locator(".text .word")).to_have_count(22)


def test_a_proxy_that_answers_with_a_page_is_no_answer(page, double):
    page.route(
        "**/api/task?*", lambda route: route.fulfill(body="<html>Sign in</html>", content_type="text/html")
    )
    opened(page, double, "finished")
    expect(page.get_by_text("Airflow's answer cannot be read.")).to_be_visible()


def test_a_refresh_that_brings_nothing_new_leaves_the_page_to_whoever_reads_it(page, double):
    # A screen reader would begin anew.
    double.tasks["task"] = samples.waiting(refresh=0.2, since=None, deadline=None)
    opened(page, double, "task")
    page.evaluate("() => { document.querySelector('h1').before = true }")
    asked = double.count("task")
    await_condition(
        lambda: page.wait_for_timeout(50) or double.count("task") > asked + 2,
        what="the refresh",
    )
    assert page.evaluate("() => document.querySelector('h1').before")
    double.tasks["task"].task["generation_id"] = "another"
    expect(page.get_by_role("region", name="So far")).to_contain_text("another")


def test_a_refresh_that_fails_leaves_what_is_known_of_a_waiting_task_and_says_so(page, double):
    double.tasks["task"] = waiting = samples.waiting(refresh=0.2)
    opened(page, double, "task")
    double.tasks["task"] = samples.Answers(503)
    expect(page.locator(".late")).to_have_text("This could not be refreshed. Status 503, in a sentence.")
    expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for the transcript")
    expect(page.get_by_role("region", name="So far")).to_be_visible()
    double.tasks["task"] = waiting
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(".late")).to_have_count(0)


def test_a_task_that_was_cleared_meanwhile_is_shown_anew_when_somebody_comes_back(page, double):
    opened(page, double, "failed")
    double.tasks["failed"] = samples.waiting()
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for the transcript")
