"""Sets of indices as bits, shared between states: one bit per member, however many there are.

A set is a persistent map of words. Words without members are left out, so what has been and gone
costs nothing. An index is looked up, added and taken out in constant time.
"""

from __future__ import annotations

from collections.abc import Iterator

from immutables import Map

#: Word number -> bits of its members.
IndexSet = Map[int, int]

WORD_BITS = 512
EMPTY: IndexSet = Map()


def has(words: IndexSet, index: int) -> bool:
    """Whether the index is a member."""
    word, bit = divmod(index, WORD_BITS)
    return bool(words.get(word, 0) >> bit & 1)


def added(words: IndexSet, index: int) -> IndexSet:
    """The set with this index, too."""
    word, bit = divmod(index, WORD_BITS)
    return words.set(word, words.get(word, 0) | 1 << bit)


def removed(words: IndexSet, index: int) -> IndexSet:
    """The set without this index."""
    word, bit = divmod(index, WORD_BITS)
    return _with_word(words, word, words.get(word, 0) & ~(1 << bit))


def with_range(words: IndexSet, first: int, count: int) -> IndexSet:
    """The set with `count` indices from `first` on."""
    for word, mask in _masks(first, first + count - 1):
        words = words.set(word, words.get(word, 0) | mask)
    return words


def moved(source: IndexSet, target: IndexSet, first: int, last: int) -> tuple[IndexSet, IndexSet]:
    """Both sets after the members of `source` from `first` to `last` went over to `target`."""
    for word, mask in _masks(first, last):
        bits = source.get(word, 0) & mask
        if bits:
            source = _with_word(source, word, source[word] & ~bits)
            target = target.set(word, target.get(word, 0) | bits)
    return source, target


def members(words: IndexSet, first: int = 0) -> Iterator[int]:
    """The members from `first` on, in order."""
    for word in sorted(word for word in words if word >= first // WORD_BITS):
        bits = words[word]
        start = word * WORD_BITS
        if start < first:
            bits = bits >> (first - start) << (first - start)
        while bits:
            lowest = bits & -bits
            yield start + lowest.bit_length() - 1
            bits ^= lowest


def size(words: IndexSet) -> int:
    """How many members there are."""
    return sum(bits.bit_count() for bits in words.values())


def _masks(first: int, last: int) -> Iterator[tuple[int, int]]:
    """(word, the bits in it) of a range, both ends included."""
    for word in range(first // WORD_BITS, last // WORD_BITS + 1):
        low = max(first - word * WORD_BITS, 0)
        high = min(last - word * WORD_BITS, WORD_BITS - 1)
        yield word, (1 << high - low + 1) - 1 << low


def _with_word(words: IndexSet, word: int, bits: int) -> IndexSet:
    if bits:
        return words.set(word, bits)
    return words.delete(word) if word in words else words
