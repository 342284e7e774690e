"""Consumer groups of a log that lives in one process: who owns which partition.

Rebalancing is cooperative. A change of members gives a new *target*; a member that has to give a
partition away does so in its own next `poll` (its listener runs there), and only then may the new
owner take it. An owner that does not poll within `HANDOVER_S` is passed over: its next commit for
that partition is refused. Must not know how records are stored. Every method is called with the
log's write lock held, so ownership never changes in the middle of a commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Protocol

from tiercel_engine.eventlog.base import TopicPartition

#: How long a partition's old owner may go without polling before it is taken from it, in seconds.
HANDOVER_S = 6.0


class Member(Protocol):
    """What a group knows of a consumer."""

    name: str
    topics: frozenset[str]

    def group_changed(self) -> None: ...

    def fence(self) -> None: ...


class Group:
    """The members of one consumer group, its assignment and its stored offsets."""

    def __init__(self, name: str, offsets: dict[TopicPartition, int]) -> None:
        self.name = name
        self.offsets = offsets
        #: Grows with every change; a member compares it with the one it settled on.
        self.generation = 0
        self._members: dict[str, Member] = {}
        self._target: dict[TopicPartition, str] = {}
        self._owner: dict[TopicPartition, Member] = {}
        self._moved_at_s = 0.0

    def join(self, member: Member, partitions: Iterable[TopicPartition]) -> None:
        """Add `member`; an earlier one of the same name is fenced and loses all it owned."""
        earlier = self._members.get(member.name)
        if earlier is not None:
            self._forget(earlier)
            earlier.fence()
        self._members[member.name] = member
        self.rebalance(partitions)

    def leave(self, member: Member, partitions: Iterable[TopicPartition]) -> None:
        """Remove `member` and free what it owned. A fenced member has nothing left to remove."""
        self._forget(member)
        if self._members.get(member.name) is member:
            del self._members[member.name]
            self.rebalance(partitions)

    def rebalance(self, partitions: Iterable[TopicPartition]) -> None:
        """Compute who shall own what, and tell everybody."""
        topics = {name: member.topics for name, member in self._members.items()}
        self._target = assign(partitions, topics, self._target)
        self._changed()

    def strip(self, partitions: Iterable[TopicPartition]) -> None:
        """Take partitions from whoever owns them, at once, as a lost session does."""
        for partition in partitions:
            self._owner.pop(partition, None)
        self._changed()

    def owns(self, member: Member, partition: TopicPartition) -> bool:
        return self._owner.get(partition) is member

    def wanted(self, member: Member) -> set[TopicPartition]:
        """What `member` shall own, whether or not it is free yet."""
        return {tp for tp, name in self._target.items() if self._members.get(name) is member}

    def take(self, member: Member) -> set[TopicPartition]:
        """Give `member` what it shall own and what is free, or was not handed over in time."""
        late = time.monotonic() - self._moved_at_s > HANDOVER_S
        taken = set()
        for partition in self.wanted(member):
            owner = self._owner.get(partition)
            if owner is None or (late and owner is not member):
                self._owner[partition] = member
                taken.add(partition)
        return taken

    def release(self, member: Member, partitions: Iterable[TopicPartition]) -> None:
        """`member` has given these up; wake those who wait for them."""
        for partition in partitions:
            if self._owner.get(partition) is member:
                del self._owner[partition]
        self._changed()

    def assigned_names(self) -> Mapping[TopicPartition, str]:
        """The target assignment, by member name."""
        return self._target

    def _forget(self, member: Member) -> None:
        self._owner = {tp: owner for tp, owner in self._owner.items() if owner is not member}

    def _changed(self) -> None:
        self.generation += 1
        self._moved_at_s = time.monotonic()
        for member in self._members.values():
            member.group_changed()


def assign(
    partitions: Iterable[TopicPartition],
    members: Mapping[str, frozenset[str]],
    current: Mapping[TopicPartition, str],
) -> dict[TopicPartition, str]:
    """Spread partitions evenly over members, moving as few as possible.

    Args:
        partitions: every partition there is.
        members: member name -> the topics it reads.
        current: who was to own what before.
    """
    owned: dict[str, list[TopicPartition]] = {name: [] for name in sorted(members)}
    homeless: list[TopicPartition] = []
    for partition in sorted(partitions):
        name = current.get(partition, "")
        if name in members and partition.topic in members[name]:
            owned[name].append(partition)
        else:
            homeless.append(partition)
    for partition in homeless:
        readers = [name for name in owned if partition.topic in members[name]]
        if readers:
            owned[min(readers, key=lambda name: len(owned[name]))].append(partition)
    while (move := _unfair(owned, members)) is not None:
        giver, taker, partition = move
        owned[giver].remove(partition)
        owned[taker].append(partition)
    return {partition: name for name, mine in owned.items() for partition in mine}


def _unfair(
    owned: Mapping[str, list[TopicPartition]], members: Mapping[str, frozenset[str]]
) -> tuple[str, str, TopicPartition] | None:
    """One partition whose move makes the spread more even; each move does, so it ends."""
    by_load = sorted(owned, key=lambda name: len(owned[name]))
    for giver in reversed(by_load):
        for taker in by_load:
            if len(owned[giver]) - len(owned[taker]) <= 1:
                break
            for partition in reversed(owned[giver]):
                if partition.topic in members[taker]:
                    return giver, taker, partition
    return None
