"""
S3, Google Cloud Storage and Azure on this machine: emulators in processes of their own, each behind a proxy.

Each has two sides. The proxy is what an Airflow connection leads to. The other side is a client that knows nothing of
this package, straight at the emulator: it makes buckets, puts objects, and tells what is there.
"""

import base64
import json
import secrets
import sys
import threading
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import boto3
import requests
from azure.storage.blob import BlobServiceClient
from botocore.config import Config

from airflow_stack.processes import Program, clean_environment, free_port
from tests.patience import PATIENCE
from tests.storage.proxy import CountingProxy

AZURITE = Path(sys.prefix) / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
"""Where `make test-storage` puts it."""


class Emulator:
    """
    One emulator: started by its program, reached by its URL.

    :ivar scheme: of the URIs of its files
    :ivar connection: the id of the Airflow connection to its proxy
    """

    scheme = ""
    proxy_class = CountingProxy

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.connection = f"emulated_{self.scheme}"
        self.program = Program(
            f"the emulator of {self.scheme}://",
            self.command(),
            log=folder / f"{self.scheme}.log",
            environment=clean_environment() | self.environment(),
            folder=folder,
        )
        self.proxy = self.proxy_class(self.url)

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def answers(self):
        try:
            return requests.get(self.url, timeout=5).status_code > 0
        except requests.RequestException:
            return False

    def variables(self):
        """Environment variables with the connection to the proxy, as a user sets them."""
        return {f"AIRFLOW_CONN_{self.connection.upper()}": json.dumps(self.airflow_connection())}

    def airflow_connection(self):
        raise NotImplementedError

    def root(self, bucket):
        """Return a bucket's URI, as a user writes it."""
        return f"{self.scheme}://{self.connection}@{bucket}"

    # The client of its own.

    def make_bucket(self, bucket):
        raise NotImplementedError

    def put(self, bucket, key, content):
        raise NotImplementedError

    def get(self, bucket, key):
        raise NotImplementedError

    def keys(self, bucket):
        raise NotImplementedError


class S3(Emulator):
    """moto's server."""

    scheme = "s3"
    credentials = ("test-access-key", "test-secret-key")
    region = "us-east-1"

    def __init__(self, folder):
        super().__init__(folder)
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.credentials[0],
            aws_secret_access_key=self.credentials[1],
            region_name=self.region,
            config=Config(s3={"addressing_style": "path"}),
        )

    def command(self):
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def airflow_connection(self):
        login, password = self.credentials
        extra = {"endpoint_url": self.proxy.url, "region_name": self.region}
        return {"conn_type": "aws", "login": login, "password": password, "extra": extra}

    def variables(self):
        """Those of AWS as well, for URIs without a connection."""
        login, password = self.credentials
        return super().variables() | {
            "AWS_ACCESS_KEY_ID": login,
            "AWS_SECRET_ACCESS_KEY": password,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.proxy.url,
        }

    def make_bucket(self, bucket):
        self.client.create_bucket(Bucket=bucket)

    def keep_versions(self, bucket):
        self.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def versions(self, bucket):
        """Return the keys of all versions and of all delete markers."""
        found = self.client.list_object_versions(Bucket=bucket)
        kept, deleted = found.get("Versions", []), found.get("DeleteMarkers", [])
        return sorted(version["Key"] for version in kept), sorted(marker["Key"] for marker in deleted)

    def put(self, bucket, key, content):
        self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def get(self, bucket, key):
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def keys(self, bucket):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {found["Key"] for page in pages for found in page.get("Contents", [])}


def _without_semicolons(address):
    """gcp-storage-emulator takes what follows a semicolon in a path for parameters; gcsfs sends %3B as a semicolon."""
    path, mark, query = address.partition("?")
    return path.replace(";", "%3B") + mark + query


class GoogleProxy(CountingProxy):
    """Does what the emulator does not: it refuses to create an object that is there (ifGenerationMatch=0)."""

    def __init__(self, upstream):
        super().__init__(upstream)
        self._creating = threading.Lock()

    def forward(self, method, path, headers, body):
        path, headers = _without_semicolons(path), list(headers)
        if parse_qs(urlsplit(path).query).get("ifGenerationMatch") != ["0"]:
            return super().forward(method, path, headers, body)
        with self._creating:
            # Between the first two boundaries are the object's properties.
            key = json.loads(body.split(b"--==0==")[1].split(b"\n\n", 1)[1])["name"]
            there = f"{urlsplit(path).path.removeprefix('/upload')}/{quote(key, safe='')}"
            host = [header for header in headers if header[0].lower() == "host"]
            if super().forward("GET", there, host, b"")[0] == 200:
                error = {"error": {"code": 412, "message": "conditionNotMet"}}
                return 412, None, [("Content-Type", "application/json")], json.dumps(error).encode()
            return super().forward(method, path, headers, body)


class GoogleStorage(Emulator):
    """gcp-storage-emulator, and plain HTTP."""

    scheme = "gs"
    proxy_class = GoogleProxy

    def command(self):
        start = ["start", "--host", "127.0.0.1", "--port", str(self.port), "--in-memory", "--quiet"]
        return [sys.executable, "-m", "gcp_storage_emulator", *start]

    def airflow_connection(self):
        extra = {"is_anonymous": True, "project": "test-project", "gcs.endpoint": self.proxy.url}
        return {"conn_type": "google_cloud_platform", "extra": extra}

    def variables(self):
        # gcsfs would ask by gRPC what kind of bucket each is, which no emulator understands, and wait for a minute.
        return super().variables() | {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}

    def make_bucket(self, bucket):
        requests.post(f"{self.url}/storage/v1/b", json={"name": bucket}, timeout=PATIENCE).raise_for_status()

    def put(self, bucket, key, content):
        requests.post(
            f"{self.url}/upload/storage/v1/b/{bucket}/o",
            params={"uploadType": "media", "name": key},
            data=content,
            timeout=PATIENCE,
        ).raise_for_status()

    def get(self, bucket, key):
        address = f"{self.url}/storage/v1/b/{bucket}/o/{quote(key, safe='')}"
        found = requests.get(address, params={"alt": "media"}, timeout=PATIENCE)
        found.raise_for_status()
        return found.content

    def keys(self, bucket):
        found = requests.get(f"{self.url}/storage/v1/b/{bucket}/o", timeout=PATIENCE)
        found.raise_for_status()
        return {item["name"] for item in found.json().get("items", [])}


class Azure(Emulator):
    """azurite."""

    scheme = "abfs"
    account = "testaccount"

    def __init__(self, folder):
        self.key = base64.b64encode(secrets.token_bytes(64)).decode()
        super().__init__(folder)
        self.client = BlobServiceClient.from_connection_string(self._connection_string(self.url))

    def command(self):
        if not AZURITE.exists():
            raise FileNotFoundError(f"{AZURITE}: azurite is not there. `make test-storage` installs it.")
        # It knows older versions of the API than its clients speak, and tells its maker of each start unless told not to.
        options = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        return ["node", str(AZURITE), "--blobHost", "127.0.0.1", "--blobPort", str(self.port), *options]

    def environment(self):
        return {"AZURITE_ACCOUNTS": f"{self.account}:{self.key}"}

    def _connection_string(self, url):
        parts = {"DefaultEndpointsProtocol": "http", "AccountName": self.account, "AccountKey": self.key}
        return ";".join(f"{k}={v}" for k, v in (parts | {"BlobEndpoint": f"{url}/{self.account}"}).items())

    def airflow_connection(self):
        return {"conn_type": "wasb", "extra": {"connection_string": self._connection_string(self.proxy.url)}}

    def make_bucket(self, bucket):
        self.client.create_container(bucket)

    def put(self, bucket, key, content):
        self.client.get_blob_client(bucket, key).upload_blob(content, overwrite=True)

    def get(self, bucket, key):
        return self.client.get_blob_client(bucket, key).download_blob().readall()

    def keys(self, bucket):
        return {blob.name for blob in self.client.get_container_client(bucket).list_blobs()}


class Disk:
    """A folder on this machine's disk, with the sides of an emulator; a bucket is a folder."""

    scheme = "file"
    proxy = None

    def __init__(self, folder):
        self.folder = folder

    def root(self, bucket):
        return f"file://{self.folder / bucket}"

    def make_bucket(self, bucket):
        (self.folder / bucket).mkdir()

    def put(self, bucket, key, content):
        path = self.folder / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def get(self, bucket, key):
        return (self.folder / bucket / key).read_bytes()

    def keys(self, bucket):
        root = self.folder / bucket
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


class Bucket:
    """
    An empty bucket of a test's own.

    :ivar root: its URI, as a user writes it
    :ivar proxy: counts what reaches it by that URI; None for a disk
    """

    def __init__(self, store, name, *, root=None):
        store.make_bucket(name)
        self.name = name
        self.store = store
        self.root = root or store.root(name)
        self.proxy = store.proxy
        if self.proxy:
            self.proxy.reset()

    def __repr__(self):
        return self.root

    @property
    def scheme(self):
        return self.store.scheme

    def uri(self, key):
        return f"{self.root}/{key}"

    def put(self, key, content):
        """Put an object there, as another program would."""
        self.store.put(self.name, key, content)

    def get(self, key):
        """Read an object, as another program would."""
        return self.store.get(self.name, key)

    def keys(self):
        """Return all keys that another program finds there."""
        return self.store.keys(self.name)
