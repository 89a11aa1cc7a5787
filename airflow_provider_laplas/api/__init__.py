"""
The API's contract, without a socket and without Airflow: what is sent, what an answer means, what may be repeated.

=============  =========================================================================
``options``    the request's options: their names and types
``calls``      each request, and how its answer is read
``responses``  what an answer means: a value or a typed error
``retry``      what may be repeated, and after which pause
``poller``     when to poll a generation, and what each poll means
=============  =========================================================================
"""
