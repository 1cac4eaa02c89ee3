"""Copies of gradients that are left out: where nothing can tell the copy from the original.

The rewrite alone, over programs of a few calls; what they compute is compared by the reference target.
"""

import dataclasses

from programs import Sketch, check, unchanged

from jitnet.core.program import Out
from jitnet.core.rewrites.copies import remove_copies


def add(program: Sketch, a, b) -> None:
    """b += a"""
    program.call("shape.copy_backward", dy=a, dx=Out(b, True), accumulate=True)


def copied(program: Sketch, first=None, second=None):
    """An original and its copy: two buffers."""
    source, copy = first or program.batch("source", 3), second or program.batch("copy", 3)
    program.copy(program.given("x", *source.shape), source)
    program.call("shape.copy_backward", dy=source, dx=Out(copy), accumulate=False)
    return source, copy


def test_the_original_is_not_read_once_the_copy_is_added_to():
    def make(program):
        source, copy = copied(program)
        program.relu_backward(program.given("y", 3), source, program.given("of the source", 3))
        add(program, program.given("other", 3), copy)
        program.copy(copy, program.given("of the copy", 3))

    after = check(make, remove_copies, ["copy_forward", "relu_backward", "copy_backward", "copy_forward"])
    assert len({buffer.root for call in after.calls for buffer in call.buffers if buffer.kind == "batch"}) == 1


def test_both_are_read_only():
    def make(program):
        source, copy = copied(program)
        program.copy(copy, program.given("of the copy", 3))
        program.copy(source, program.given("of the source", 3))

    check(make, remove_copies, ["copy_forward"] * 3)


def test_a_copy_under_another_shape():
    """Views of the copy become views of the original."""

    def make(program):
        _, copy = copied(program, program.batch("source", 2, 3), program.batch("copy", 6))
        rows = program.as_rows(copy, 3)
        add(program, program.given("other", 6), copy)
        program.copy(rows, program.as_rows(program.given("of the copy", 2, 3), 3))

    after = check(make, remove_copies, ["copy_forward", "copy_backward", "copy_forward"])
    view = after.calls[-1]["x"]
    assert (view.root.name, view.shape, view.rows) == ("source", (3,), 2)


def test_a_copy_of_a_copy():
    def make(program):
        _, copy = copied(program)
        third = program.batch("third", 3)
        program.call("shape.copy_backward", dy=copy, dx=Out(third), accumulate=False)
        add(program, program.given("other", 3), third)
        program.copy(third, program.given("last", 3))

    check(make, remove_copies, ["copy_forward", "copy_backward", "copy_forward"])


def test_copies_that_stay():
    def original_read_after_the_copy_changed(program):
        source, copy = copied(program)
        add(program, program.given("other", 3), copy)
        add(program, source, program.given("of the source", 3))
        program.copy(copy, program.given("of the copy", 3))

    def read_and_added_to_at_once(program):
        source, copy = copied(program)
        add(program, source, copy)
        program.copy(copy, program.given("of the copy", 3))

    def original_changes(program):
        source, copy = copied(program)
        add(program, program.given("other", 3), source)
        program.copy(source, program.given("of the source", 3))
        program.copy(copy, program.given("of the copy", 3))

    def added_to_what_is_there(program):
        source, total = program.batch("source", 3), program.batch("total", 3)
        program.copy(program.given("x", 3), source)
        program.copy(program.given("y", 3), total)
        add(program, source, total)
        program.copy(total, program.given("last", 3))

    def over_what_was_there(program):
        """The copy's memory was used before."""
        source, copy = program.batch("source", 3), program.batch("copy", 3)
        program.copy(program.given("y", 3), copy)
        program.copy(copy, program.given("earlier", 3))
        copied(program, source, copy)
        program.copy(copy, program.given("last", 3))

    def to_the_caller(program):
        copied(program, second=program.given("gradient", 3))

    def of_the_callers(program):
        source, copy = program.given("dy", 3), program.batch("copy", 3)
        program.call("shape.copy_backward", dy=source, dx=Out(copy), accumulate=False)
        add(program, program.given("other", 3), copy)
        program.copy(copy, program.given("last", 3))

    def between_sizes(program):
        """Of a gradient that has no batch axis."""
        source, copy = program.temporary("source", (3,), "float32", "whole"), program.batch("copy", 3)
        program.call("shape.fill", y=Out(source), value=1.0)
        program.call("shape.fill", y=Out(copy), value=2.0)
        program.copy(copy, program.given("last", 3))

    for make in (
        original_read_after_the_copy_changed, read_and_added_to_at_once, original_changes, added_to_what_is_there,
        over_what_was_there, to_the_caller, of_the_callers, between_sizes,
    ):  # fmt: skip
        unchanged(make, remove_copies)


def turns(program: Sketch, carried: bool, after=None) -> None:
    """Three turns that copy a source and add to the copy; the source is of a turn, or of all."""
    source, copy = program.batch("source", 3), program.batch("copy", 3)
    if carried:
        program.copy(program.given("x", 3), source)
    with program.loop("time", 3) as time:
        if not carried:
            program.copy(program.given("x", 3), source)
        program.call("shape.copy_backward", dy=source, dx=Out(copy), accumulate=False)
        add(program, program.given("other", 3), copy)
        program.put(copy, program.given("last", 9), time, 3)
    if after:
        program.copy(source if after == "source" else copy, program.given("after", 3))


def test_copies_of_a_turn():
    check(lambda p: turns(p, False), remove_copies, ["copy_forward", "copy_backward", "concatenate_forward"])
    unchanged(lambda program: turns(program, True), remove_copies)  # the next turn copies it again
    for after in ("source", "copy"):
        unchanged(lambda program, after=after: turns(program, False, after), remove_copies)

    def read_by_the_next_turn(program):
        source, copy = program.batch("source", 3), program.batch("copy", 3)
        with program.loop("time", 3) as time:
            program.put(source, program.given("before", 9), time, 3)
            program.copy(program.given("x", 3), source)
            program.call("shape.copy_backward", dy=source, dx=Out(copy), accumulate=False)
            add(program, program.given("other", 3), copy)
            program.put(copy, program.given("last", 9), time, 3)

    unchanged(read_by_the_next_turn, remove_copies)


def test_a_copy_that_turns_add_to_while_they_read_the_original():
    def make(program):
        source, copy = copied(program)
        with program.loop("time", 3) as time:
            program.put(source, program.given("last", 9), time, 3)
            add(program, program.given("other", 3), copy)
        program.copy(copy, program.given("of the copy", 3))

    unchanged(make, remove_copies)


def test_copies_of_steps():
    def make(program):
        source, copy = (program.temporary(name, (3,), "float32", "batch", steps=3) for name in ("source", "copy"))
        program.copy(program.given("x", 3, 3), source)
        program.call("shape.copy_backward", dy=source.at(0), dx=Out(copy.at(1)), accumulate=False)
        program.copy(copy.at(1), program.given("last", 3))

    unchanged(make, remove_copies)


def test_views_keep_their_names():
    """Only the memory moves: what a step's source shows stays readable."""
    program = Sketch()
    _, copy = copied(program)
    view = dataclasses.replace(copy, name="d_dense")
    add(program, program.given("other", 3), view)
    remove_copies(program)
    assert [(b.name, b.root.name) for b in program.calls[-1].buffers] == [("other", "other"), ("d_dense", "source")]
