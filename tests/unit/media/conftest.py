from importlib.util import find_spec

# The environments of other versions of Airflow have no decoder.
collect_ignore = (
    []
    if find_spec("av")
    else ["test_decoding.py", "test_preparation.py", "test_prepare.py", "test_silence.py"]
)
