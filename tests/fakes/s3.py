"""A real S3 server in this process (moto's), with one bucket; it can go away and come back at the same address."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

BUCKET = "models"


class Bucket:
    """The bucket, seen by the person who fills it."""

    def __init__(self) -> None:
        self._port = 0
        self._server = self._started()
        self._client.create_bucket(Bucket=BUCKET)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def put(self, key: str, content: bytes) -> str:
        """Store an object; return its URL."""
        self._client.put_object(Bucket=BUCKET, Key=key, Body=content)
        return f"s3://{BUCKET}/{key}"

    def get(self, key: str) -> bytes:
        return bytes(self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def keys(self) -> list[str]:
        return [one["Key"] for one in self._client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def go_away(self) -> None:
        """Refuse connections from now on; what is stored stays."""
        with contextlib.redirect_stdout(None):
            self._server.stop()

    def come_back(self) -> None:
        self._server = self._started()

    def _started(self) -> ThreadedMotoServer:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
        server.start()
        _, self._port = server.get_host_and_port()
        self._client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 1}, request_checksum_calculation="when_required"),
        )
        return server


@contextlib.contextmanager
def s3_bucket(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Bucket]:
    """Start a server, and let the environment lead everybody there, as in a pod."""
    import s3fs
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    s3_backends[DEFAULT_ACCOUNT_ID]["global"].reset()
    bucket = Bucket()
    for name, value in {
        "AWS_ENDPOINT_URL_S3": bucket.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(home / "none"),
        "XDG_CACHE_HOME": str(home / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()  # one of another test knows another address
    yield bucket
    with contextlib.suppress(Exception):  # it may be away already
        bucket.go_away()
    s3fs.S3FileSystem.clear_instance_cache()
