"""Object stores for tests: what answers as S3, Google Cloud Storage and Azure Blob Storage do.

S3 is moto's server. Google's is the same: its XML API, the one that the storage library speaks, is
S3's but for the names of two headers, which a layer in front translates. No emulator of Google's
store that could be installed here takes it: fake-gcs-server 1.56 answers 400 to `PUT
/bucket/object`, gcp-storage-emulator 2026.7 leaves the ETag out and lists nothing.

Azure's is Microsoft's own emulator, Azurite: the program that `TIERCEL_TEST_AZURITE` names, the
`azurite-blob` on the path, or one that npm installs once into the user's cache. Without npm its
tests are skipped, and say so.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from moto.server import create_backend_app
from werkzeug.serving import make_server

from tiercel_cli.kafka_broker import free_port

BUCKET = "house"
AZURITE = "azurite@3.37.0"
#: The account that Azurite has unless told otherwise; both are in its documentation.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
INSTALL_TIMEOUT_S = 300.0
START_TIMEOUT_S = 60.0

Application = Callable[[dict[str, Any], Any], Any]
_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host,"
    " Signature=none"
)


@contextmanager
def s3() -> Iterator[str]:
    """S3 and the environment by which clients find it, until the block ends; its URL."""
    with (
        _served(create_backend_app("s3")) as address,
        _environment(
            {
                "AWS_ENDPOINT": address,
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_REGION": "us-east-1",
            }
        ),
    ):
        _call("PUT", f"{address}/{BUCKET}", {"Authorization": _AUTHORIZATION})
        yield f"s3://{BUCKET}"


@contextmanager
def gcs() -> Iterator[str]:
    """Google Cloud Storage's XML API, as `s3`."""
    backend = create_backend_app("s3")

    def translated(request: dict[str, Any], start: Any) -> Any:
        request["HTTP_AUTHORIZATION"] = _AUTHORIZATION
        if "HTTP_X_GOOG_COPY_SOURCE" in request:
            request["HTTP_X_AMZ_COPY_SOURCE"] = request.pop("HTTP_X_GOOG_COPY_SOURCE")
        if request.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None) == "0":
            request["HTTP_IF_NONE_MATCH"] = "*"
        return backend(request, start)

    with _served(translated) as address:
        key = {
            "gcs_base_url": address,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        with _environment({"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key)}):
            _call("PUT", f"{address}/{BUCKET}", {})
            yield f"gs://{BUCKET}"


@contextmanager
def azure(folder: Path) -> Iterator[str]:
    """Azurite in `folder`, as `s3`. Skips the test when there is none."""
    port = free_port()
    options = ["--blobPort", str(port), "--inMemoryPersistence", "--silent", "--disableTelemetry"]
    process = subprocess.Popen(
        [_azurite(), *options, "--skipApiVersionCheck"], cwd=folder, stdout=subprocess.DEVNULL
    )
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    try:
        _make_container(process, endpoint)
        with _environment(
            {
                "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
                "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY,
                "AZURE_STORAGE_ENDPOINT": endpoint,
                "AZURE_ALLOW_HTTP": "true",
            }
        ):
            yield f"az://{BUCKET}"
    finally:
        process.terminate()
        process.wait(START_TIMEOUT_S)


def _azurite() -> str:
    known = os.environ.get("TIERCEL_TEST_AZURITE") or shutil.which("azurite-blob")
    if known:
        return known
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("Azurite needs npm, which is not here: install Node.js.")
    home = Path.home() / ".cache" / "tiercel-tests" / AZURITE
    program = home / "node_modules" / ".bin" / "azurite-blob"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "installed").exists():
            quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(
                [npm, "install", *quiet, "--prefix", str(home), AZURITE],
                check=True,
                timeout=INSTALL_TIMEOUT_S,
            )
            (home / "installed").touch()
    return str(program)


def _make_container(process: subprocess.Popen[bytes], endpoint: str) -> None:
    """Make the container as soon as the emulator answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        date = formatdate(usegmt=True)
        path = f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
        signed = f"PUT{chr(10) * 12}x-ms-date:{date}\nx-ms-version:2021-12-02\n{path}"
        key = base64.b64decode(ACCOUNT_KEY)
        signature = base64.b64encode(hmac.digest(key, signed.encode(), hashlib.sha256)).decode()
        headers = {
            "x-ms-date": date,
            "x-ms-version": "2021-12-02",
            "Authorization": f"SharedKey {ACCOUNT}:{signature}",
            "Content-Type": "",
        }
        try:
            return _call("PUT", f"{endpoint}/{BUCKET}?restype=container", headers)
        except ConnectionRefusedError:
            pass
        except urllib.request.HTTPError:
            raise
        except OSError as error:
            if not isinstance(getattr(error, "reason", None), ConnectionRefusedError):
                raise
        assert process.poll() is None, f"Azurite ended with {process.returncode}."
        assert time.monotonic() < deadline, "Expected Azurite to answer in time, but it did not."
        time.sleep(0.05)


def _call(method: str, url: str, headers: Mapping[str, str]) -> None:
    data = b"" if method == "PUT" else None
    request = urllib.request.Request(url, data, dict(headers), method=method)
    with urllib.request.urlopen(request, timeout=START_TIMEOUT_S) as answer:
        answer.read()


@contextmanager
def _served(application: Application) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield
