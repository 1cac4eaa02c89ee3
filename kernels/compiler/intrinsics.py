"""What kernels call that is not Python: names for which each compiler has its own code, and tiles, which share it."""


class Intrinsic:
    """Something that kernels call by a global name, for this compiler and for Numba.

    name: under which this compiler knows it.  definition: how Numba types and lowers it, as ``numba.extending``'s
    ``intrinsic`` takes it; Numba is imported when it first meets the global.
    """

    def __init__(self, name, definition, prefer_literal=False):
        self.name, self._definition, self._prefer_literal = name, definition, prefer_literal
        self.__doc__ = definition.__doc__
        self._type = None

    @property
    def _numba_type_(self):
        """What Numba asks a global for."""
        if self._type is None:
            from numba.core.types import Function
            from numba.core.typing.templates import make_intrinsic_template

            template = make_intrinsic_template(
                self, self._definition, self.name, prefer_literal=self._prefer_literal, kwargs={}
            )
            self._type = Function(template)
        return self._type


def intrinsic(definition=None, **options):
    """Decorator that makes an ``Intrinsic`` of what ``numba.extending.intrinsic`` would take."""
    if definition is None:
        return lambda function: intrinsic(function, **options)
    return Intrinsic(definition.__name__, definition, **options)


class Tile(Intrinsic):
    """A function of integers that is written as LLVM by a recipe: ``tile((argument, ...))``.

    recipe: ``recipe(module, dtype)`` gives the function in a module of llvmlite's; dtype: None, or with ``typed`` that
    of the array which comes first in ``tile(like, (argument, ...))``.  identity: what tells its code from others'.
    """

    def __init__(self, name, arguments, recipe, identity, typed=False):
        self.arguments, self.recipe, self.identity, self.typed = arguments, recipe, identity, typed
        super().__init__(name, self._numba_definition())

    def _numba_definition(self):
        def given(context, like, values):
            from numba import types

            def codegen(context, builder, signature, packed):
                function = self.recipe(builder.module, None if like is None else str(like.dtype))
                builder.call(function, [builder.extract_value(packed[-1], i) for i in range(self.arguments)])
                return context.get_dummy_value()

            numbers = types.UniTuple(types.intp, self.arguments)
            return types.void(*([numbers] if like is None else [like, numbers])), codegen

        def typed_tile(typingctx, like, values):
            return given(typingctx, like, values)

        def tile(typingctx, values):
            return given(typingctx, None, values)

        return typed_tile if self.typed else tile
