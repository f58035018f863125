"""The matrix product of torch's own BLAS library, callable from compiled functions."""

import ctypes
from pathlib import Path

import llvmlite.binding as llvm
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import get_cython_function_address, intrinsic
from numba.np.arrayobj import make_array

_SYMBOL = "scorebench_{}"
_ROUTINES = {types.float32: "sgemm", types.float64: "dgemm"}


def _address(routine: str) -> int:
    """Address of the BLAS routine, in torch's library or otherwise in scipy's."""
    library = Path(torch.__file__).parent / "lib"
    for name in ("libtorch_cpu.so", "libtorch_cpu.dylib"):
        if (library / name).exists():
            function = getattr(ctypes.CDLL(str(library / name)), f"{routine}_", None)
            if function is not None:
                return ctypes.cast(function, ctypes.c_void_p).value or 0
    address: int = get_cython_function_address("scipy.linalg.cython_blas", routine)
    return address


for _routine in _ROUTINES.values():
    llvm.add_symbol(_SYMBOL.format(_routine), _address(_routine))


def _lowered(context, flip_right, flip_left, rows, columns, inner, left, right, out):
    number = out.dtype
    if not left.dtype == right.dtype == number or number not in _ROUTINES:
        raise TypingError(f"{left} times {right} cannot be written to {out}: use one type for all")
    real = ir.FloatType() if number == types.float32 else ir.DoubleType()
    char, whole = ir.IntType(8), ir.IntType(32)

    def build(context, builder, signature, arguments):
        def stored(value):
            return cgutils.alloca_once_value(builder, value)

        def flag(flipped):
            return stored(builder.select(flipped, char(ord("T")), char(ord("N"))))

        sizes = [stored(builder.trunc(size, whole)) for size in arguments[2:5]]
        arrays = [
            make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args[5:], arguments[5:], strict=True)
        ]
        strides = [
            stored(builder.trunc(cgutils.unpack_tuple(builder, array.shape, 2)[1], whole))
            for array in arrays
        ]
        left, right, out = (array.data for array in arrays)
        kinds = [part.type for part in (left, right, out)]
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(
                ir.VoidType(),
                [char.as_pointer()] * 2
                + [whole.as_pointer()] * 3
                + [real.as_pointer(), kinds[1], whole.as_pointer(), kinds[0], whole.as_pointer()]
                + [real.as_pointer(), kinds[2], whole.as_pointer()],
            ),
            _SYMBOL.format(_ROUTINES[number]),
        )
        # BLAS is column-major, so it computes the transposed product.
        builder.call(
            function,
            [
                flag(arguments[0]), flag(arguments[1]), sizes[1], sizes[0], sizes[2],
                stored(real(1)), right, strides[1], left, strides[0],
                stored(real(0)), out, strides[2],
            ],
        )  # fmt: skip
        return context.get_dummy_value()

    size = types.intp
    flags = types.boolean, types.boolean
    return types.void(*flags, size, size, size, left, right, out), build


# gemm(flip_right, flip_left, m, n, k, left, right, out): out (m, n) = left · right with inner
# dimension k; a flipped factor is transposed.
gemm = intrinsic(_lowered)
