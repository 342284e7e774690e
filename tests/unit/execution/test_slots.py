"""The slots of a flow, held against a plain list of who runs and who waits."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiercel_engine.execution.slots import (
    CHUNK,
    GrantSlots,
    LimitSaved,
    SlotGap,
    Slots,
    SlotStep,
    decide,
    fold,
)
from tiercel_schemas.codec import decode, encode
from tiercel_schemas.concurrency import AnswerSlot, ReleaseSlot, RequestSlot
from tiercel_schemas.ids import FlowKey

KEY = FlowKey("main", "tests", "narrow")


def request(
    who: str,
    limit: int | None = 1,
    behavior: str = "QUEUE",
    revision: int = 1,
    forced: bool = False,
) -> RequestSlot:
    return RequestSlot(
        KEY.namespace, KEY.flow_id, who, revision, limit=limit, behavior=behavior, forced=forced
    )


def release(who: str) -> ReleaseSlot:
    return ReleaseSlot(KEY.namespace, KEY.flow_id, who)


class Desk:
    """Slots with everything that was done to them; every record is folded again, too."""

    def __init__(self) -> None:
        self.slots = Slots(KEY)
        self.folded = Slots(KEY)
        self.answers: list[tuple[str, str]] = []
        self.last: SlotStep | None = None

    def do(self, command: object) -> list[tuple[str, str]]:
        """Process a command; its answers."""
        self.last = step = decide(self.slots, command, 1)  # type: ignore[arg-type]
        if step.changes:
            batch = decode(encode(step.batch("Test")))
            self.folded = fold(fold(self.folded, batch), batch)
        self.slots = step.slots
        assert self.folded == self.slots
        told = list(answers_of(step))
        self.answers += told
        return told


def answers_of(step: SlotStep) -> Iterator[tuple[str, str]]:
    for to, answer in step.commands:
        assert isinstance(answer, AnswerSlot)
        assert to == answer.execution_id
        yield to, answer.outcome


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_slots_go_to_those_who_have_waited_longest(desk: Desk) -> None:
    assert desk.do(request("a")) == [("a", "GRANTED")]
    assert desk.do(request("b")) == [("b", "QUEUED")]
    assert desk.do(request("c")) == [("c", "QUEUED")]

    assert desk.do(release("a")) == [("b", "GRANTED")]
    assert desk.do(release("b")) == [("c", "GRANTED")]
    assert desk.do(release("c")) == []
    assert not desk.slots.holders


@pytest.mark.parametrize(("behavior", "outcome"), [("CANCEL", "CANCELLED"), ("FAIL", "FAILED")])
def test_one_too_many_is_refused_where_the_flow_says_so(
    desk: Desk, behavior: str, outcome: str
) -> None:
    desk.do(request("a", behavior=behavior))

    assert desk.do(request("b", behavior=behavior)) == [("b", outcome)]
    assert desk.do(release("a")) == []


def test_a_repeated_question_gets_the_same_answer_and_no_second_slot(desk: Desk) -> None:
    desk.do(request("a", limit=2))
    desk.do(request("b", limit=2))
    desk.do(request("c", limit=2))

    assert desk.do(request("a", limit=2)) == [("a", "GRANTED")]
    assert desk.do(request("c", limit=2)) == [("c", "QUEUED")]
    assert set(desk.slots.holders) == {"a", "b"}
    assert dict(desk.slots.queue) == {0: "c"}


def test_giving_back_twice_or_what_nobody_has_changes_nothing(desk: Desk) -> None:
    desk.do(request("a"))
    desk.do(request("b"))
    desk.do(release("a"))

    assert desk.do(release("a")) == []
    assert desk.do(release("stranger")) == []
    assert set(desk.slots.holders) == {"b"}


def test_leaving_the_queue_lets_the_others_keep_their_order(desk: Desk) -> None:
    for who in "abcd":
        desk.do(request(who))

    assert desk.do(release("b")) == []
    assert desk.do(release("a")) == [("c", "GRANTED")]
    assert desk.do(release("c")) == [("d", "GRANTED")]


def test_one_that_runs_already_counts_over_the_limit_until_it_gives_back(desk: Desk) -> None:
    desk.do(request("a"))
    desk.do(request("b"))
    desk.do(request("c"))

    assert desk.do(request("c", forced=True)) == []
    assert desk.do(release("a")) == []
    assert desk.do(release("c")) == [("b", "GRANTED")]


def test_a_higher_limit_lets_as_many_run_as_have_room(desk: Desk) -> None:
    for who in "abcd":
        desk.do(request(who))

    assert desk.do(LimitSaved(KEY, 2, 3, "QUEUE")) == [("b", "GRANTED"), ("c", "GRANTED")]
    assert desk.do(LimitSaved(KEY, 3, None, "QUEUE")) == [("d", "GRANTED")]


def test_a_lower_limit_stops_nobody_and_starts_nobody(desk: Desk) -> None:
    for who in "abc":
        desk.do(request(who, limit=2))

    assert desk.do(LimitSaved(KEY, 2, 1, "QUEUE")) == []
    assert desk.do(release("a")) == []
    assert desk.do(release("b")) == [("c", "GRANTED")]


def test_an_older_revision_says_nothing_about_the_limit(desk: Desk) -> None:
    desk.do(request("a", limit=1, revision=5))

    assert desk.do(request("b", limit=9, revision=4)) == [("b", "QUEUED")]


def test_a_long_queue_starts_by_several_commands(desk: Desk) -> None:
    desk.do(request("first"))
    for number in range(CHUNK + 1):
        desk.do(request(str(number)))

    assert len(desk.do(LimitSaved(KEY, 2, None, "QUEUE"))) == CHUNK
    assert desk.last is not None
    assert desk.last.more
    assert desk.do(GrantSlots(KEY)) == [(str(CHUNK), "GRANTED")]
    assert not desk.last.more


def test_a_gap_in_the_records_is_found() -> None:
    first = decide(Slots(KEY), request("a"), 1)
    second = decide(first.slots, request("b"), 1)

    with pytest.raises(SlotGap, match="Expected change 1"):
        fold(Slots(KEY), second.batch("Test"))


WHO = st.sampled_from("abcdef")
COMMANDS = st.lists(
    st.one_of(
        st.builds(request, WHO, st.just(2), forced=st.booleans()),
        st.builds(release, WHO),
        st.builds(LimitSaved, st.just(KEY), st.integers(1, 9), st.integers(1, 4), st.just("QUEUE")),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(COMMANDS)
def test_the_slots_are_those_of_a_plain_list(commands: list[object]) -> None:
    desk, holders, queue = Desk(), set[str](), list[str]()
    limit, revision = 0, 0

    for command in commands:
        answers = desk.do(command)
        if isinstance(command, RequestSlot):
            if revision == 0:
                limit, revision = 2, 1
            who = command.execution_id
            if command.forced:
                holders.add(who)
                queue = [each for each in queue if each != who]
            elif who not in holders and who not in queue:
                queue.append(who)
        elif isinstance(command, ReleaseSlot):
            holders.discard(command.execution_id)
            queue = [each for each in queue if each != command.execution_id]
        elif isinstance(command, LimitSaved) and command.flow_revision > revision:
            assert command.limit is not None
            limit, revision = command.limit, command.flow_revision
        while queue and len(holders) < limit:
            holders.add(queue.pop(0))

        assert set(desk.slots.holders) == holders
        assert [who for _, who in sorted(desk.slots.queue.items())] == queue
        assert all(desk.slots.queue[place] == who for who, place in desk.slots.places.items())
        assert {who for who, outcome in answers if outcome == "GRANTED"} <= holders
