"""Deploys one program to a running emulator as a Lambda function, invokes it, and prints its answer and its log.

Run it with the interpreter that `up --install-only` prints:

    $(tests/rig/up --install-only) tests/rig/smoke.py --port PORT target/release/bootstrap tests/events/plan.json
"""

import argparse
import base64
import io
import json
import sys
import time
import zipfile
from pathlib import Path

import boto3
from botocore.client import BaseClient
from botocore.config import Config

_BUCKET = "hf-local"
_FUNCTION = "smoke"


def main() -> None:
    parser = argparse.ArgumentParser(description="Invokes a bootstrap in a running emulator.")
    parser.add_argument("--port", type=int, required=True, help="where the emulator listens")
    parser.add_argument("--timeout", type=int, default=60, help="the function's, in seconds")
    parser.add_argument("bootstrap", type=Path, help="the program")
    parser.add_argument("event", type=Path, nargs="*", help="files with events, each for one invocation")
    arguments = parser.parse_args()
    _deploy(arguments.port, arguments.bootstrap.read_bytes(), arguments.timeout)
    function = _client("lambda", arguments.port)
    for event in [path.read_bytes() for path in arguments.event] or [b"{}"]:
        _invoke(function, event)


def _client(service: str, port: int) -> BaseClient:
    """A client that knows the emulator, and not the person's own account."""
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(read_timeout=910, retries={"total_max_attempts": 1}),
    )


def _deploy(port: int, bootstrap: bytes, timeout: int) -> None:
    """Puts the program into a bucket, and makes the function from there."""
    storage = _client("s3", port)
    storage.create_bucket(Bucket=_BUCKET)
    storage.put_object(Bucket=_BUCKET, Key="smoke.zip", Body=_zipped(bootstrap))
    functions = _client("lambda", port)
    if any(function["FunctionName"] == _FUNCTION for function in functions.list_functions()["Functions"]):
        functions.delete_function(FunctionName=_FUNCTION)
    functions.create_function(
        FunctionName=_FUNCTION,
        Runtime="provided.al2023",
        Handler="bootstrap",
        Role="arn:aws:iam::000000000000:role/smoke",
        Code={"S3Bucket": _BUCKET, "S3Key": "smoke.zip"},
        Timeout=timeout,
        MemorySize=2048,
        Environment={"Variables": {"HYPERFRAMES_RENDER_BUCKET": _BUCKET}},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=_FUNCTION, WaiterConfig={"Delay": 1})


def _zipped(bootstrap: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        file.writestr(entry, bootstrap, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _invoke(functions: BaseClient, event: bytes) -> None:
    began = time.monotonic()
    answer = functions.invoke(FunctionName=_FUNCTION, Payload=event, LogType="Tail")
    ms = (time.monotonic() - began) * 1000
    print(f"--- {answer.get('FunctionError', 'answer')}, {ms:.0f} ms")
    print(json.dumps(json.loads(answer["Payload"].read()), indent=2))
    sys.stdout.write(base64.b64decode(answer["LogResult"]).decode())


main()
