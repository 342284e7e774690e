"""What templates on a worker may read, and what they are refused."""

from __future__ import annotations

import base64
import socket
from pathlib import Path
from typing import Any

import pytest

from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import NotFound, UserError
from tiercel_engine.expression.context import RenderContext
from tiercel_engine.expression.render import Renderer
from tiercel_engine.outside.lookups import StoredLookups, WorldLookups
from tiercel_engine.storage import uri
from tiercel_engine.storage.kv import KvStore
from tiercel_engine.storage.namespace_files import NamespaceFiles
from tiercel_engine.storage.objects import Storage

VARIABLES: dict[str, Any] = {
    "flow": {"id": "flow", "namespace": "acme.test"},
    "execution": {"id": "e1"},
    "trigger": {"namespace": "acme.test", "flowId": "parent", "executionId": "e0"},
}
MINE = uri.input_file("acme.test", "flow", "e1", "file", "a.txt")
PARENTS = uri.task_file("acme.test", "parent", "e0", "split", "r", "batch.txt")
FOREIGN = uri.input_file("acme.test", "flow", "e2", "file", "a.txt")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(tmp_path)
    for address in (MINE, PARENTS, FOREIGN):
        storage.put(address, f"at {address}".encode())
    storage.put(uri.namespace_file("acme.test", "dir/n.txt"), b"namespace file")
    storage.put(uri.namespace_file("acme.other", "n.txt"), b"other namespace")
    return storage


@pytest.fixture
def secrets() -> list[str]:
    return []


@pytest.fixture
def lookups(storage: Storage, secrets: list[str]) -> WorldLookups:
    return WorldLookups(storage, KvStore(storage, FakeClock()), secrets.append)


def test_a_file_of_the_namespace_is_read_by_its_revision(
    lookups: WorldLookups, storage: Storage
) -> None:
    NamespaceFiles(storage, "acme.test").put("dir/n.txt", [b"changed"])
    assert lookups.read("dir/n.txt", 1, VARIABLES) == "namespace file"
    for revision in (None, 2):
        assert lookups.read("dir/n.txt", revision, VARIABLES) == "changed"
        assert lookups.file_uri("dir/n.txt", revision, VARIABLES).endswith("/_files/dir/n.txt")
    with pytest.raises(UserError, match="revision 3"):
        lookups.read("dir/n.txt", 3, VARIABLES)


@pytest.mark.parametrize("address", [MINE, PARENTS])
def test_files_of_the_execution_and_of_its_trigger_are_read(
    lookups: WorldLookups, address: str
) -> None:
    assert lookups.read(address, None, VARIABLES) == f"at {address}"
    assert lookups.file_size(address, VARIABLES) == len(f"at {address}")
    assert lookups.file_exists(address, VARIABLES)
    assert not lookups.is_file_empty(address, VARIABLES)


@pytest.mark.parametrize(
    "address",
    [
        FOREIGN,
        "kestra:///acme/other/_files/n.txt",
        "kestra:///acme/test/_kv/key.ion",
        "kestra:///_checkpoints/t/0",
        MINE + "/../../../../../../_kv/key.ion",
        "../../_kv/key.ion",
    ],
)
def test_what_belongs_to_others_is_refused(lookups: WorldLookups, address: str) -> None:
    for ask in (lookups.file_size, lookups.file_exists, lookups.is_file_empty):
        with pytest.raises(UserError) as caught:
            ask(address, VARIABLES)
        assert not isinstance(caught.value, NotFound)
    with pytest.raises(UserError):
        lookups.read(address, None, VARIABLES)


def test_a_path_is_a_file_of_the_namespace(lookups: WorldLookups) -> None:
    assert lookups.read("dir/n.txt", None, VARIABLES) == "namespace file"
    address = lookups.file_uri("dir/n.txt", None, VARIABLES)
    assert address == "kestra:///acme/test/_files/dir/n.txt"
    assert lookups.read(address, None, VARIABLES) == "namespace file"
    assert not lookups.file_exists("missing.txt", VARIABLES)


def test_a_secret_is_decoded_and_will_be_masked(
    lookups: WorldLookups, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_API_KEY", "b3BlbiBzZXNhbWU=")

    assert lookups.secret("api_key", None, None, False, VARIABLES) == "open sesame"
    assert secrets == ["open sesame"]
    with pytest.raises(NotFound, match="Cannot find secret for key 'nope'"):
        lookups.secret("nope", None, None, False, VARIABLES)


def test_a_sub_key_is_a_member_of_a_secret_object(
    lookups: WorldLookups, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    coded = base64.b64encode(b'{"user": "ali", "port": 80}').decode()
    monkeypatch.setenv("SECRET_DOOR", f"{coded[:8]}\n{coded[8:]}\n")
    monkeypatch.setenv("SECRET_PLAIN", "b3BlbiBzZXNhbWU=")

    assert lookups.secret("door", None, "user", False, VARIABLES) == "ali"
    assert lookups.secret("door", None, "port", False, VARIABLES) == "80"
    assert secrets == ["ali", "80"]
    with pytest.raises(NotFound, match="sub-key 'pin'"):
        lookups.secret("door", None, "pin", False, VARIABLES)
    with pytest.raises(UserError, match="JSON object"):
        lookups.secret("plain", None, "pin", False, VARIABLES)


def test_templates_reach_the_lookups(lookups: WorldLookups) -> None:
    renderer = Renderer(RenderContext(lookups=lookups))
    variables = {**VARIABLES, "inputs": {"mine": MINE, "foreign": FOREIGN}}

    assert renderer.text("{{ read(inputs.mine) }}", variables) == f"at {MINE}"
    with pytest.raises(UserError, match="didn't belong to the current execution"):
        renderer.text("{{ read(inputs.foreign) }}", variables)


def test_a_pair_is_found_in_the_namespace_and_in_those_above(
    lookups: WorldLookups, storage: Storage
) -> None:
    pairs = KvStore(storage, FakeClock())
    pairs.set("acme", "above", {"a": 1})
    pairs.set("acme.test", "own", "text")
    pairs.set("acme.other", "other", 3)

    assert lookups.kv("above", None, True, VARIABLES) == {"a": 1}
    assert lookups.kv("own", None, True, VARIABLES) == "text"
    assert lookups.kv("other", "acme.other", True, VARIABLES) == 3
    assert lookups.kv("above", "acme.other", False, VARIABLES) is None
    with pytest.raises(NotFound, match="The key 'other' does not exist"):
        lookups.kv("other", None, True, VARIABLES)


@pytest.mark.parametrize(
    ("day", "country", "part", "expected"),
    [
        ("2024-07-14", "FR", None, True),
        ("2024-07-15", "fr", None, False),
        ("2024-01-06", "DE", None, False),
        ("2024-01-06", "DE", "BY", True),
        ("2024-01-06", "DE", "DE-BY", True),
        ("2024-07-04", "US", "", True),
    ],
)
def test_public_holidays_are_those_of_a_country_or_a_part_of_it(
    lookups: WorldLookups, day: str, country: str, part: str | None, expected: bool
) -> None:
    assert lookups.is_public_holiday(day, country, part) is expected


@pytest.mark.parametrize(("country", "part"), [(None, None), ("XX", None), ("DE", "nowhere")])
def test_holidays_of_no_country_are_refused(
    lookups: WorldLookups, country: str | None, part: str | None
) -> None:
    with pytest.raises(UserError, match="isPublicHoliday"):
        lookups.is_public_holiday("2024-01-01", country, part)


def test_a_random_port_is_free(lookups: WorldLookups) -> None:
    port = lookups.free_port()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))


def test_a_task_runs_no_flow_by_an_expression(lookups: WorldLookups) -> None:
    with pytest.raises(UserError, match="use the task Subflow"):
        lookups.subflow({"namespace": "a", "id": "b"}, VARIABLES)


def test_a_trigger_sends_no_requests_but_reads_what_is_stored(storage: Storage) -> None:
    pairs = KvStore(storage, FakeClock())
    pairs.set("acme.test", "own", 1)
    lookups = StoredLookups(storage, pairs, lambda secret: None)

    assert lookups.kv("own", None, True, VARIABLES) == 1
    with pytest.raises(UserError, match="cannot be called by a trigger"):
        lookups.http({"uri": "http://127.0.0.1"}, VARIABLES)
