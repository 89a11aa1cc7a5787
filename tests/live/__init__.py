"""
What is known of the real API, checked against it by somebody who has a key: ``make test-live``.

It submits one recording of seconds, once, which is billed. Nothing runs it by itself.
"""
