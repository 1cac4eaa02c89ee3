"""What a target is."""

from ..core.program import Call, Program


class Target:
    """A machine that runs programs.

    A program means the same on every target; a target rewrites it to what it has kernels for, and runs it.
    """

    name: str

    def fuses(self, call: Call, epilogue: str) -> bool:
        """Whether ``epilogue`` can be part of the kernel of ``call`` (see ``core.rewrites.epilogues``)."""
        return False

    def rewrite(self, program: Program) -> None:
        """Rewrite ``program`` for speed."""
