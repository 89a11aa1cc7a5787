"""
The API's contract, independent of HTTP libraries and Airflow: requests, responses, retries and polling.

=============  =========================================================================
``options``    the request options: their names and types
``calls``      each request, and how its response is read
``responses``  turns a response into a value or a typed error
``retry``      which requests may be retried, and after what delay
``poller``     when to poll a generation, and what each result means
``resume``     what to do about work that an earlier try or run started
=============  =========================================================================
"""
