"""What an execution is and what happens to it next: pure code, no I/O, no clock of its own.

Theory of operation. An execution is the fold of its events (`apply`). A command goes in by one
door (`process.process`), which decides through a `Step`: `step.emit(event)` applies the event and
records it; jobs, revocations and other outgoing records are collected beside it. `advance`
resolves what becomes runnable until nothing changes any more. The executor commits what the Step
holds in one transaction; a Step that is dropped has never happened.
"""
