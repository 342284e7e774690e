"""What templates of a job see of sealed texts."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import msgspec

from tiercel_engine.storage.claims import INLINE_BYTES_MAX, pack
from tiercel_engine.storage.lazy import Vault, variables_of
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.sealing import Sealer
from tiercel_schemas.common import Payload

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


def test_one_member_of_a_value_behind_a_claim_check_is_given(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    trigger = {"id": "hook", "variables": {"body": "x" * INLINE_BYTES_MAX}}
    packed = pack(trigger, storage, "kestra:///trigger.json")
    assert packed.claim is not None
    claim = {"$claim": msgspec.to_builtins(packed.claim), "$member": "variables"}
    payload = Payload(json=json.dumps({"trigger": claim}))

    variables = variables_of(payload, storage)

    assert variables["trigger"]["body"] == trigger["variables"]["body"]
