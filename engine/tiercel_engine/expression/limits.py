"""Every bound of a render in one place, so that a template can neither hang nor flood its host."""

from __future__ import annotations

#: Characters of one rendered text, of one string built on the way and of one JSON text.
OUTPUT_CHARS_MAX = 10_000_000
#: Characters that each piece of a text counts besides its own, so that many tiny ones end too.
PIECE_CHARS = 8
#: Loop iterations, range items and container nodes visited by one outermost render.
STEPS_MAX = 1_000_000
#: Nodes of two values that one comparison walks.
COMPARED_NODES_MAX = 200_000
#: Renders inside renders, recursive passes of one `render()` and calls of macros inside macros.
RENDER_DEPTH_MAX = 100
#: Nesting of an expression or of statements; each level costs frames of the interpreter's stack.
NESTING_MAX = 120
#: Nesting of maps and lists that operators, text and containers of templates follow.
VALUE_DEPTH_MAX = 200
#: Bits of an integer that arithmetic may give (about 1,200 decimal digits).
INTEGER_BITS_MAX = 4_096
#: The largest power of ten, up or down, that a decimal number may have.
EXPONENT_MAX = 5_000
#: Compiled templates kept, and the longest text that is worth keeping.
CACHED_TEMPLATES_MAX = 4_096
CACHED_TEMPLATE_CHARS_MAX = 65_536
#: The longest template that is parsed at all.
TEMPLATE_CHARS_MAX = 2_000_000
#: Characters of a regular expression, and of the text that one is searched in.
PATTERN_CHARS_MAX = 1_000
REGEX_TEXT_CHARS_MAX = 1_000_000
#: Processor seconds that one operation of a regular expression may take; and where the whole
#: process waits for it.
MATCH_S = 1.0
QUICK_MATCH_S = 0.02
#: Results taken from one jq program.
JQ_RESULTS_MAX = 100_000
#: Steps of a render that a jq program counts which runs in a process of its own.
JQ_PROCESS_STEPS = 10_000
