"""The page "Transcripts"."""

from playwright.sync_api import expect

from tests.ui.browser import samples


def test_a_search_shows_its_hits_with_source_time_speaker_and_the_phrase_marked(page, double):
    page.goto(f"{double.url}/laplas/search")
    page.keyboard.press("/")
    page.keyboard.type("country")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2).first).to_have_text("3 hits for “country”")
    expect(page.locator(".hits li").last.locator(".of")).to_have_text("farm.mp31:23Anna")
    expect(page.locator(".hits li").first.locator(".of")).to_have_text("jfk.mp30:05calls")
    expect(page.locator(".hits mark")).to_have_text(["country"] * 3)
    expect(page.get_by_role("region", name="In the database")).to_contain_text("2,310,554")
    expect(page.locator(".hits li").last.get_by_role("link")).to_have_count(0)


def test_a_hit_opens_its_transcript_at_the_moment_with_the_phrase_found_and_leads_back(page, double):
    page.goto(f"{double.url}/laplas/search?q=country")
    page.get_by_role("link", name="jfk.mp3").nth(1).click()
    expect(page.locator("[aria-current=true]")).to_have_text("ask")
    expect(page.locator(".find output")).to_have_text("2 of 2")
    page.get_by_role("link", name="Transcripts").click()
    expect(page.locator(".hits li")).to_have_count(3)


def test_back_and_forward_lead_from_search_to_search(page, double):
    page.goto(f"{double.url}/laplas/search?q=country")
    expect(page.locator(".hits li")).to_have_count(3)
    page.get_by_label("Search in all transcripts").fill("nothing")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", level=2).first).to_have_text("No hits for “nothing”")
    page.go_back()
    expect(page.locator(".hits li")).to_have_count(3)
    expect(page.get_by_label("Search in all transcripts")).to_have_value("country")


def test_hits_are_paged(page, double):
    def paged(phrase, number):
        answer = samples.search("country", number)
        answer["hits"][0]["text"] = f"page {number}"
        return answer | {"total": 250, "pages": 3}

    double.search = paged
    page.goto(f"{double.url}/laplas/search?q=country")
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".hits .said").first).to_have_text("page 1")
    expect(page.get_by_text("Page 2 of 3")).to_be_visible()


def test_without_a_connection_it_says_how_to_set_one(page, double):
    how = "Set `[laplas] transcripts_conn_id` to the connection that the transcripts were loaded into."
    double.search = lambda phrase, number: {"configured": False, "how": how}
    page.goto(f"{double.url}/laplas/search")
    expect(page.get_by_text(how.replace("`", ""))).to_be_visible()
    expect(page.locator(".notice code")).to_have_text("[laplas] transcripts_conn_id")
    expect(page.get_by_label("Search in all transcripts")).to_be_hidden()


def test_an_error_is_shown_and_can_be_tried_again(page, double):
    double.search = lambda phrase, number: 404
    page.goto(f"{double.url}/laplas/search?q=country")
    expect(page.get_by_text("Status 404, in a sentence.")).to_be_visible()
    double.search = samples.search
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".hits li")).to_have_count(3)
