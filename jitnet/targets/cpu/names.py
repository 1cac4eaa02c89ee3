"""Names of a step's functions, by what they do."""

from ...core.program import Batch
from ...kernels.literals import identifier
from ..axes import Rows, Shares
from .schedule import Schedule, Section

LONGEST = 60


def name_sections(schedule: Schedule) -> None:
    """Name every section after its calls; none gets a name twice."""
    taken: set[str] = set(schedule.program.reserved)
    along_the_batch = [s for s in schedule.sections if isinstance(s.axis, Batch)]
    for section in [*schedule.preparing, *schedule.sections]:
        wanted = name = identifier(_name(section, schedule, len(along_the_batch) == 1))[:LONGEST]
        number = 1
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name)
        section.name = name


def _name(section: Section, schedule: Schedule, alone: bool) -> str:
    phases = list(dict.fromkeys(call.phase for call in section.calls))
    if section in schedule.preparing:
        return "prepare_weights"
    if schedule.regions is None:
        return "all_calls"
    if not schedule.regions and len(section.calls) == 1:
        return section.calls[0].opcode.rpartition(".")[2]
    if "update" in phases:
        opcodes = {call.opcode.rpartition(".")[2] for call in section.calls if call.phase == "update"}
        alone = opcodes.pop() if len(opcodes) == 1 else ""
        return {"accumulate_update": "accumulate", "count_step": "count_step"}.get(alone, "update")
    if phases == ["gradients"]:
        return "sum_gradients"
    if phases == ["prepare"]:
        return "prepare_weights"
    if section.calls[0].opcode.startswith("attention_") and isinstance(section.axis, Shares):
        return f"{_first_layer(section)}_{'_'.join(section.calls[0].opcode.split('_')[:2])}"
    if isinstance(section.axis, Shares):
        return f"{_first_layer(section)}_weight_gradient"
    if isinstance(section.axis, Rows):
        return f"{_first_layer(section)}_product"
    if not isinstance(section.axis, Batch):
        if phases == ["result"]:
            return "sum_results"
        return f"{_first_layer(section)}_{_what(section)}"
    directions = [phase for phase in ("forward", "backward") if phase in phases]
    direction = "_".join(directions) or "forward"
    if alone:
        return direction
    layers = list(dict.fromkeys(call.layer for call in section.calls if call.layer and call.phase in directions))
    if not layers:
        return direction
    return f"{direction}_{layers[0]}" if len(layers) == 1 else f"{direction}_{layers[0]}_to_{layers[-1]}"


def _first_layer(section: Section) -> str:
    return next((call.layer for call in section.calls if call.layer), "") or "whole"


def _what(section: Section) -> str:
    """What a section without an axis is there for, by its first call."""
    opcode = section.calls[0].opcode.rpartition(".")[2]
    if "batch_norm" in opcode or opcode == "chunk_counts":
        return "statistics"
    return opcode if opcode != "sum_partials" else "sums"
