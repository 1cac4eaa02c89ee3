"""Tiles of recurrent layers: a product with the states, and what the gates do with it, while it is in the cache.

The products of a tile's rows are left on the stack, and each row that exists then passes through the gates: a tile at
the end of the rows costs no code of its own.
"""

from llvmlite import ir

from jitnet.kernels.cpu.tiles.simd import _INDEX, _INT, _POINTER, _tile


class _Cell:
    """Arithmetic of gates, on an ``Emitter``."""

    def __init__(self, e):
        self.e, self.builder = e, e.builder
        self.one = self.constant(1.0)

    def constant(self, value):
        return ir.Constant(self.e.vector, [self.e.element(value)] * self.e.lanes)

    def integers(self, value):
        return ir.Constant(ir.VectorType(_INDEX, self.e.lanes), [_INDEX(value)] * self.e.lanes)

    def polynomial(self, x, first, *coefficients):
        """By Horner's rule, the highest power first."""
        value = self.constant(first)
        for coefficient in coefficients:
            value = self.e.multiply_add(value, x, self.constant(coefficient))
        return value

    def negative(self, x):
        return self.builder.fsub(self.constant(-0.0), x)

    def product(self, *factors):
        value = factors[0]
        for factor in factors[1:]:
            value = self.builder.fmul(value, factor)
        return value

    def rest(self, x):
        """1 - x"""
        return self.builder.fsub(self.one, x)

    def rest_of_square(self, x):
        """1 - x^2"""
        return self.e.multiply_add(self.negative(x), x, self.one)

    def _lane_by_lane(self, name, x):
        function = self.e._external(name, self.e.element, [self.e.element])
        for lane in range(self.e.lanes):
            value = self.builder.call(function, [self.builder.extract_element(x, _INDEX(lane))])
            x = self.builder.insert_element(x, value, _INDEX(lane))
        return x

    def _within(self, x, most):
        """x from -most to most; NaN of NaN."""
        builder, least, most = self.builder, self.constant(-most), self.constant(most)
        x = builder.select(builder.fcmp_ordered("<", x, least), least, x)
        return builder.select(builder.fcmp_ordered(">", x, most), most, x)

    def _power_of_two(self, x):
        """2^x for x from -126 to 126 (the polynomial of Cephes, S. L. Moshier 1989, single precision)."""
        e, builder = self.e, self.builder
        nearest = e._external(f"llvm.rint.{e._suffix}", e.vector, [e.vector])
        whole = builder.call(nearest, [x])
        value = self.polynomial(
            builder.fsub(x, whole), 1.535336188319500e-4, 1.339887440266574e-3, 9.618437357674640e-3,
            5.550332471162809e-2, 2.402264791363012e-1, 6.931472028550421e-1, 1.0,
        )  # fmt: skip
        integers = ir.VectorType(_INDEX, e.lanes)
        exponent = builder.shl(builder.fptosi(whole, integers), self.integers(23))
        return builder.bitcast(builder.add(builder.bitcast(value, integers), exponent), e.vector)

    def sigmoid(self, x):
        builder = self.builder
        if self.e.itemsize == 8:
            power = self._lane_by_lane("llvm.exp.f64", self.negative(x))
        else:
            power = self._power_of_two(self._within(builder.fmul(x, self.constant(-1.44269504088896341)), 126.0))
        return builder.fdiv(self.one, builder.fadd(self.one, power))

    def tanh(self, x):
        """2 t / (1 + t^2), t = tanh(x / 2) = a / b, with a and b as in ``runtime.vector_math``."""
        e, builder = self.e, self.builder
        if e.itemsize == 8:
            return self._lane_by_lane("tanh", x)
        x = self._within(x, 9.3)
        square = builder.fmul(x, x)
        a = builder.fmul(x, self.polynomial(square, 5.218157821218483e-5, 1.4659494161605835e-2, 0.5))
        b = self.polynomial(square, 1.0196470157097792e-6, 1.1588349007070065e-3, 0.11265219748020172, 1.0)
        product = builder.fmul(a, b)
        below = e.multiply_add(b, b, builder.fmul(a, a))
        return self._within(builder.fdiv(builder.fadd(product, product), below), 1.0)  # rounding may exceed it

    # ---- a step forward: from the products and from z to the new state

    def lstm(self, sums, z, _, c):
        """(gates, tanh of the new c), new h, new c"""
        i, f, g, o = (self.builder.fadd(a, b) for a, b in zip(sums, z, strict=True))
        i, f, g, o = self.sigmoid(i), self.sigmoid(f), self.tanh(g), self.sigmoid(o)
        c = self.e.multiply_add(f, c, self.product(i, g))
        shown = self.tanh(c)
        return [i, f, g, o], shown, self.product(o, shown), c

    def gru(self, sums, z, h, _):
        """gates, the candidate's part of h, new h, nothing"""
        u, r = (self.sigmoid(self.builder.fadd(sums[g], z[g])) for g in (0, 1))
        new = self.tanh(self.e.multiply_add(r, sums[2], z[2]))
        return [u, r, new], sums[2], self.e.multiply_add(u, self.builder.fsub(h, new), new), None

    def gru_gates(self, sums, z, h, _):
        """gates, and twice what is left of h after the reset, and u"""
        u, r = (self.sigmoid(self.builder.fadd(a, b)) for a, b in zip(sums, z, strict=True))
        left = self.product(r, h)
        return [u, r], left, left, u

    def gru_candidate(self, sums, z, h, u):
        new = self.tanh(self.builder.fadd(sums[0], z[0]))
        return [new], None, self.e.multiply_add(u, self.builder.fsub(h, new), new), None

    def simple_rnn(self, sums, z, *_):
        value = self.tanh(self.builder.fadd(sums[0], z[0]))
        return [value], None, value, None

    def simple_rnn_relu(self, sums, z, *_):
        value = self.e.relu(self.builder.fadd(sums[0], z[0]))
        return [value], None, value, None

    # ---- a step back: from the gradient of the new state

    def lstm_gradient(self, d, dc, gates, shown, c):
        """Gradients of z and of the products, what goes on to the state before, and to its c."""
        i, f, g, o = gates
        total = self.e.multiply_add(self.product(d, o), self.rest_of_square(shown), dc)
        dz = [
            self.product(total, g, i, self.rest(i)),
            self.product(total, c, f, self.rest(f)),
            self.product(total, i, self.rest_of_square(g)),
            self.product(d, shown, o, self.rest(o)),
        ]
        return dz, dz, self.e.zero, self.product(total, f)

    def gru_gradient(self, d, _, gates, candidate, h):
        u, r, new = gates
        d_new = self.product(d, self.rest(u), self.rest_of_square(new))
        du = self.product(d, self.builder.fsub(h, new), u, self.rest(u))
        dr = self.product(d_new, candidate, r, self.rest(r))
        return [du, dr, d_new], [du, dr, self.product(d_new, r)], self.product(d, u), None

    def gru_candidate_gradient(self, d, _, gates, new, h):
        (u,) = gates
        d_new = self.product(d, self.rest(u), self.rest_of_square(new))
        return [self.product(d, self.builder.fsub(h, new), u, self.rest(u))], [d_new], self.product(d, u), None

    def gru_gates_gradient(self, d, dh, gates, _, h):
        """d: the gradient of what is left of h after the reset; dh: what else goes on to the state before."""
        (r,) = gates
        return [self.product(d, h, r, self.rest(r))], [], self.e.multiply_add(d, r, dh), None

    def simple_rnn_gradient(self, d, _, gates, *others):
        dz = [self.product(d, self.rest_of_square(gates[0]))]
        return dz, dz, self.e.zero, None

    def simple_rnn_relu_gradient(self, d, _, gates, *others):
        dz = [self.e.where_positive(gates[0], d)]
        return dz, dz, self.e.zero, None


def _products(e, a_rows, b, depth, vectors, sums):
    """sums[i][v] += the sum over k of A[i, k] B[k, v], with B in one piece: vectors side by side."""
    builder, rows, unroll = e.builder, len(a_rows), 2

    def multiply(count):
        def body(carried):
            offset, b_now, *sums = carried
            for _ in range(count):
                b_values = [e.load(b_now, v * e.lanes) for v in range(vectors)]
                for i in range(rows):
                    a_value = e.broadcast(a_rows[i], offset)
                    for v in range(vectors):
                        at = i * vectors + v
                        sums[at] = e.multiply_add(a_value, b_values[v], sums[at])
                offset = builder.add(offset, _INT(1))
                b_now = e.advance(b_now, vectors * e.lanes)
            return [offset, b_now, *sums]

        return body

    carried = e.loop(builder.sdiv(depth, _INT(unroll)), [_INT(0), b, *sums], multiply(unroll))
    return e.loop(builder.srem(depth, _INT(unroll)), carried, multiply(1))[2:]


def _row_after_row(e, sums, valid_rows, body):
    """``body(i, the sums of row i)`` for the rows that exist."""
    vectors, builder = len(sums[0]), e.builder
    kept = builder.alloca(e.vector, size=_INT(len(sums) * vectors))
    kept.align = e.lanes * e.itemsize
    for at, value in enumerate(value for row in sums for value in row):
        e.store(value, kept, at * e.lanes)

    def row(carried):
        (i,) = carried
        first = e.advance(kept, builder.mul(i, _INT(vectors * e.lanes)))
        body(i, [e.load(first, v * e.lanes) for v in range(vectors)])
        return [builder.add(i, _INT(1))]

    e.loop(e.minimum(valid_rows, _INT(len(sums))), [_INT(0)], row)


def _prefetch(e, pointer):
    """Begin to read what will be written, too."""
    function = e._external("llvm.prefetch.p0", ir.VoidType(), [_POINTER, _INDEX, _INDEX, _INDEX])
    e.builder.call(function, [pointer, _INDEX(1), _INDEX(3), _INDEX(1)])


def _not_masked(e, mask, i, mask_row):
    """Whether row i's step counts, as a condition of one bit."""
    value = e.builder.load(e.advance(e.pointer(mask), e.builder.mul(i, mask_row)), typ=e.element, align=e.itemsize)
    return e.builder.fcmp_unordered("!=", value, e.element(0.0))


def recurrent_tile(*, dtype, lanes, hardware_masks, cell, gates_of_cell, rows, whole, masked, keep, sequences):
    """One step of ``rows`` samples and one vector of units.

    Arguments: addresses h, weights, z, h_now, h_next, c, gates, before, cells, extra, y, bias, mask; depth, units: the
    number of all units; the distances from a sample to the next, h_row in states, z_row in z and gates, c_row in c,
    steps_row in before, cells, extra and y, mask_row; valid_rows, valid_units; ahead: 1 or -1, to the next step.

    h: the states of all units, h_now and h_next: of these, before and after.  ``extra`` takes LSTM's tanh(c) and GRU's
    candidates.  GRU that resets first has a tile for its gates, which leaves r h in the place of h_next and u in that
    of c, and one for its candidate, which reads them.  Without ``whole``, units from ``valid_units`` on are left alone;
    with ``masked``, rows whose mask is 0 keep their states; with ``keep`` is written what the backward pass reads; with
    ``sequences`` y.
    """

    def emit(
        e, h, h_row, weights, depth, z, z_row, units, h_now, h_next, c, c_row, steps_row, gates, before, cells, extra,
        y, bias, mask, mask_row, valid_rows, valid_units, ahead,
    ):  # fmt: skip
        builder, arithmetic = e.builder, _Cell(e)
        lanes_mask = None if whole else e.lane_mask(valid_units)
        last = builder.sub(valid_rows, _INT(1))
        index = [_INT(0)] + [e.minimum(_INT(i), last) for i in range(1, rows)]
        a_rows = [e.advance(e.pointer(h), builder.mul(i, h_row)) for i in index]
        first = [e.zero] * gates_of_cell
        places = [builder.mul(units, _INT(g)) for g in range(gates_of_cell)]
        width = builder.mul(units, _INT(gates_of_cell))
        if cell == "gru":
            first = [e.load(e.pointer(bias), place, lanes_mask) for place in places]
        sums = _products(e, a_rows, e.pointer(weights), depth, gates_of_cell, first * rows)
        sums = [sums[i * gates_of_cell : (i + 1) * gates_of_cell] for i in range(rows)]

        def row(i, values):
            at_state, at_step = builder.mul(i, h_row), builder.mul(i, steps_row)
            at_z, at_c = builder.mul(i, z_row), builder.mul(i, c_row)

            def load(address, offset):
                return e.load(e.pointer(address), offset, lanes_mask)

            def store(value, address, offset):
                e.store(value, e.pointer(address), offset, lanes_mask)

            # rows lie so far apart that the processor itself foresees nothing
            for place in places:
                _prefetch(e, e.advance(e.pointer(z), builder.add(builder.add(at_z, place), builder.mul(ahead, width))))
            from_z = [load(z, builder.add(at_z, place)) for place in places]
            h_old = load(h_now, at_state) if keep or masked or cell.startswith("gru") else None
            c_old = load(c, at_c) if cell in ("lstm", "gru_candidate") else None
            now, other, h_new, c_new = getattr(arithmetic, cell)(values, from_z, h_old, c_old)
            if masked:
                counts = _not_masked(e, mask, i, mask_row)
                h_new = builder.select(counts, h_new, h_old)
                c_new = builder.select(counts, c_new, c_old) if cell == "lstm" else c_new
                now = [builder.select(counts, value, e.zero) for value in now]
                other = None if other is None else builder.select(counts, other, e.zero)
            store(h_new, h_next, at_state)
            if cell in ("lstm", "gru_gates"):
                store(c_new, c, at_c)
            if sequences:
                store(h_new, y, at_step)
            if keep:
                for value, place in zip(now, places, strict=True):
                    store(value, gates, builder.add(at_z, place))
                if cell != "gru_candidate":
                    store(h_old, before, at_step)
                if cell == "lstm":
                    store(c_old, cells, at_step)
                if other is not None:
                    store(other, extra, at_step)

        _row_after_row(e, sums, valid_rows, row)

    constants = dict(
        cell=cell, gates=gates_of_cell, rows=rows, whole=whole, masked=masked, keep=keep, sequences=sequences
    )  # fmt: skip
    return _tile("recurrent", dtype, lanes, 23, emit, constants, hardware_masks)


def recurrent_gradient_tile(
    *, dtype, lanes, hardware_masks, cell, gates_of_cell, rows, vectors, whole, masked, sequences
):  # fmt: skip
    """One step back of ``rows`` samples and ``vectors`` vectors of units.

    Arguments: addresses d_next, weights, dh, dc, dy, gates, earlier, extra, dz, dk, mask; and numbers as of
    ``recurrent_tile``.

    d_next: the gradients of the products of the step after this one; depth: how many, or 0 in the last step; dh: what
    else is added to the gradient of the state, which is replaced by what goes on to the step before; earlier: LSTM's c
    before this step, or h.  Of GRU that resets first, the tile of the candidate comes first and writes its gradient as
    dk; that of the gates multiplies by it (d_next), and adds to dh.  The others as in ``recurrent_tile``.
    """

    def emit(
        e, d_next, z_row, weights, depth, dh, dc, c_row, units, steps_row, dy, gates, earlier, extra, dz, dk, mask,
        mask_row, valid_rows, valid_units, ahead,
    ):  # fmt: skip
        builder, arithmetic = e.builder, _Cell(e)
        masks = [None if whole else e.lane_mask(builder.sub(valid_units, _INT(v * e.lanes))) for v in range(vectors)]
        last = builder.sub(valid_rows, _INT(1))
        index = [_INT(0)] + [e.minimum(_INT(i), last) for i in range(1, rows)]
        next_row = steps_row if cell == "gru_gates" else z_row
        a_rows = [e.advance(e.pointer(d_next), builder.mul(i, next_row)) for i in index]
        sums = _products(e, a_rows, e.pointer(weights), depth, vectors, [e.zero] * (rows * vectors))
        sums = [sums[i * vectors : (i + 1) * vectors] for i in range(rows)]
        with_extra = cell in ("lstm", "gru", "gru_candidate")
        with_earlier = with_extra or cell == "gru_gates"
        places = [builder.mul(units, _INT(g)) for g in range(gates_of_cell)]
        width = builder.mul(units, _INT(2 if cell.startswith("gru_") else gates_of_cell))

        def row(i, values):
            at_state, at_step, at_z = builder.mul(i, c_row), builder.mul(i, steps_row), builder.mul(i, z_row)

            def one_vector(v):
                lanes_mask, shift = masks[v], v * e.lanes

                def load(address, offset):
                    return e.load(e.pointer(address), builder.add(offset, _INT(shift)), lanes_mask)

                def store(value, address, offset):
                    e.store(value, e.pointer(address), builder.add(offset, _INT(shift)), lanes_mask)

                for place in places:
                    at = builder.add(builder.add(at_z, place), builder.add(builder.mul(ahead, width), _INT(shift)))
                    _prefetch(e, e.advance(e.pointer(gates), at))
                at = builder.add(at_step, builder.add(builder.mul(ahead, units), _INT(shift)))
                for address in [earlier] * with_earlier + [extra] * with_extra:
                    _prefetch(e, e.advance(e.pointer(address), at))
                stays = load(dh, at_state)
                d = values[v] if cell == "gru_gates" else builder.fadd(values[v], stays)
                if sequences:
                    d = builder.fadd(d, load(dy, at_step))
                now = [load(gates, builder.add(at_z, place)) for place in places]
                if cell != "gru_gates":
                    stays = d
                dc_old = load(dc, at_state) if cell == "lstm" else stays
                other = load(extra, at_step) if with_extra else None
                old = load(earlier, at_step) if with_earlier else None
                of_z, of_product, dh_new, dc_new = getattr(arithmetic, f"{cell}_gradient")(d, dc_old, now, other, old)
                if masked:
                    counts = _not_masked(e, mask, i, mask_row)
                    of_z = [builder.select(counts, value, e.zero) for value in of_z]
                    of_product = [builder.select(counts, value, e.zero) for value in of_product]
                    dh_new = builder.select(counts, dh_new, stays)
                    dc_new = builder.select(counts, dc_new, dc_old) if cell == "lstm" else None
                for value, place in zip(of_z, places, strict=True):
                    store(value, dz, builder.add(at_z, place))
                if cell == "gru":
                    for value, place in zip(of_product, places, strict=True):
                        store(value, dk, builder.add(at_z, place))
                if cell == "gru_candidate":
                    store(of_product[0], dk, at_step)
                store(dh_new, dh, at_state)
                if cell == "lstm":
                    store(dc_new, dc, at_state)

            one_vector(0)
            for v in range(1, vectors):
                if whole or not e.hardware_masks:
                    with builder.if_then(builder.icmp_signed(">", valid_units, _INT(v * e.lanes))):
                        one_vector(v)
                else:
                    one_vector(v)

        _row_after_row(e, sums, valid_rows, row)

    constants = dict(
        cell=cell, gates=gates_of_cell, rows=rows, vectors=vectors, whole=whole, masked=masked, sequences=sequences
    )  # fmt: skip
    return _tile("recurrent_gradient", dtype, lanes, 20, emit, constants, hardware_masks)
