"""Clients without Airflow, against a scripted API on a free port."""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from upath import UPath

from airflow_provider_laplas.api.retry import backoff
from airflow_provider_laplas.client import LaplasClient
from airflow_provider_laplas.client.rate_limited import RateLimitedClient
from airflow_provider_laplas.client.sender import LOOK_UP_EVERY
from airflow_provider_laplas.client.settings import read_arguments
from airflow_provider_laplas.errors import LaplasTransportError
from airflow_provider_laplas.metrics import Metrics
from airflow_provider_laplas.storage import Storage
from tests.fake_api import FakeAPI


def short(failures, error):
    """The usual pause, a hundredth as long: what is waited for here is the wire."""
    return backoff(failures, error) / 100


class Clients:
    """Makes clients, and is where they look their settings up; tests change both."""

    def __init__(self, api, metrics):
        self.key, self.url, self.fields = api.key, api.url, {}
        self.ports = {
            "metrics": metrics,
            "pause": short,
            "look_up_every": LOOK_UP_EVERY,
            "part_names": {},
            "storage": Storage(UPath),
        }
        self.look_ups = 0
        self.failing = ()
        """The numbers of the look-ups that fail."""
        self.failure = LaplasTransportError("Airflow's API server is restarting", sent=False)

    def __call__(self):
        return LaplasClient(source=self, **self.ports)

    def rate_limited(self, **kwargs):
        return RateLimitedClient(self(), **kwargs)

    def look_up(self):
        self.look_ups += 1
        if self.look_ups in self.failing:
            raise self.failure
        return read_arguments(self.key, self.url, **self.fields)

    async def alook_up(self):
        await asyncio.sleep(0)
        return self.look_up()


@dataclass
class Blocking:
    """A client as a script uses it."""

    make: Clients

    def submit(self, audio, **kwargs):
        with self.make() as client:
            return client.submit(audio, **kwargs)

    def fetch(self, generation_id):
        with self.make() as client:
            return client.fetch(generation_id)

    def wait(self, poller):
        with self.make() as client:
            return client.wait_for(poller)


@dataclass
class OnALoop:
    """A client as the triggerer uses it."""

    make: Clients

    def submit(self, audio, **kwargs):
        return asyncio.run(self._call("asubmit", audio, **kwargs))

    def fetch(self, generation_id):
        return asyncio.run(self._call("afetch", generation_id))

    def wait(self, poller):
        return asyncio.run(self.make.rate_limited().wait_for(poller))

    async def _call(self, method, *args, **kwargs):
        async with self.make() as client:
            return await getattr(client, method)(*args, **kwargs)


@pytest.fixture
def api():
    with FakeAPI() as fake:
        yield fake


@pytest.fixture
def counted():
    """What was counted: the sum of each counter, and of each duration how often it was sent."""
    return Counter()


@pytest.fixture
def clients(api, counted):
    class Stats:
        @staticmethod
        def incr(name, count=1):
            counted[name] += count

        @staticmethod
        def timing(name, duration):
            counted[name] += 1

    return Clients(api, Metrics(Stats()))


@pytest.fixture(params=[Blocking, OnALoop], ids=["blocking", "async"])
def client(request, clients):
    return request.param(clients)


@pytest.fixture
def audio(tmp_path):
    path = tmp_path / "größe 1.mp3"
    path.write_bytes(os.urandom(700_000))
    return path


@pytest.fixture
def certificate(tmp_path):
    """A file with a key and a certificate for 127.0.0.1, which nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1)
    )
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
    )
    signed = builder.sign(key, hashes.SHA256())
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + signed.public_bytes(Encoding.PEM)
    )
    return pem
