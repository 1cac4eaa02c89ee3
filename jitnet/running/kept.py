"""What training changes, kept so that it can be as before."""


class Kept:
    """Copies of variables, and of the states of optimizers."""

    def __init__(self, variables, optimizers):
        self._variables = [(variable, variable.numpy()) for variable in variables]
        self._optimizers = [(o, o.state(), o.iterations, o._layout is None) for o in dict.fromkeys(optimizers)]

    def restore(self) -> None:
        """Let all of them be as they were."""
        for variable, value in self._variables:
            variable.assign(value)
        for optimizer, state, iterations, had_none in self._optimizers:
            if had_none:
                optimizer._forget_state()
            optimizer.set_state(state)
            optimizer.iterations = iterations
