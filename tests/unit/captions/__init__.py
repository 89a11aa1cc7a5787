import pytest

# Their assertions say what differs, as those of a test module do.
pytest.register_assert_rewrite("tests.unit.captions.reading", "tests.unit.captions.speech")
