"""Rules of written text."""

from airflow_provider_laplas.transcript import join_words


def test_words_are_joined_as_their_script_asks():
    assert join_words(["Good", "", "morning."]) == "Good morning."
    assert join_words(["今日", "は", "Airflow", "です"]) == "今日はAirflowです"
    assert join_words(["สวัสดี", "ครับ", "Bob"]) == "สวัสดีครับ Bob"
    assert join_words(["오늘은", "날씨가"]) == "오늘은 날씨가"
