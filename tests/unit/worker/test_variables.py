"""What templates of a job see of sealed texts."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.sealing import Sealer
from tiercel_schemas.common import Payload
from tiercel_worker.variables import Vault, variables_of

SEALER = Sealer(base64.b64encode(b"k" * 32).decode())


def test_a_sealed_input_is_opened_when_it_is_read_and_masked_from_then_on(tmp_path: Path) -> None:
    masked: list[str] = []
    sealed = SEALER.seal("hush")
    payload = Payload(json=json.dumps({"inputs": {"deep": {"pin": sealed}, "plain": {"a": 1}}}))

    variables = variables_of(payload, Storage(str(tmp_path)), Vault(SEALER, masked.append))

    assert variables["inputs"]["plain"]["a"] == 1
    assert masked == []
    assert variables["inputs"]["deep"]["pin"] == "hush"
    assert masked == ["hush"]


def test_without_a_key_a_sealed_input_stays_sealed(tmp_path: Path) -> None:
    sealed = SEALER.seal("hush")
    payload = Payload(json=json.dumps({"inputs": {"pin": sealed}}))

    variables = variables_of(payload, Storage(str(tmp_path)))

    assert variables["inputs"]["pin"] == sealed
