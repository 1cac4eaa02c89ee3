"""What a session of Keras would hold."""


def clear_session(free_memory=True) -> None:
    """Start the automatic names of layers anew: dense, dense_1, ...; there is nothing else to clear.

    free_memory: accepted for Keras's sake: models are freed when nothing refers to them.
    """
    from jitnet.layers.base import clear_names

    clear_names()
