"""The decorator of all kernels: numba, cached on disk, free of Python's lock, each program optimised once.

``numba.njit`` turns every function that a kernel calls into a library of its own: optimised together with
what it calls, turned into machine code, wrapped for Python and written to disk, although nobody but the
kernel calls it. Where calls are nested, the innermost functions are optimised again at every level. Here
the functions that a kernel calls stay intermediate code until the kernel that Python calls is complete;
the whole of it is optimised, once, and kept. That takes half the time; results are the same to the last bit.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numba
from numba import config, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.registry import CPUDispatcher

_Dispatcher: Any = CPUDispatcher  # whose annotations know nothing of what is used here
_config: Any = config

_OPTIONS = {"nopython": True, "nogil": True}
_INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@cache
def sources_digest(folder: Path) -> str:
    """One hash of all source files of a package, and of this one, which compiles them."""
    files = [*sorted(folder.glob("*.py")), Path(__file__)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def kernel(
    function: Callable[..., Any] | None = None,
    *,
    noalias: bool = False,
    inline: bool = False,
    apart: bool = False,
) -> Any:
    """Compile a function for Python, and for other kernels, with numba.

    The cache is void once any file of the function's package changes: numba alone looks at the file of the
    outermost function, so a kernel that calls one from an edited file would go on running the old code.
    ``noalias`` promises that no array which the function writes overlaps another of its arguments: loops
    that read at computed places can then use vector registers. ``inline`` puts it into its callers.
    ``apart`` leaves each function a library of its own, as numba does, where that gives the faster code.
    """
    if function is None:
        return partial(kernel, noalias=noalias, inline=inline, apart=apart)
    if _config.DISABLE_JIT:
        return function
    options = _OPTIONS | {"forceinline": inline}
    if apart or not known_inside(numba.__version__):
        return _plain(function, options, noalias)
    compiled = Kernel(function, targetoptions=options, pipeline_class=_Pipeline)
    compiled.enable_caching()
    compiled._cache._cache_file._source_stamp = sources_digest(Path(function.__code__.co_filename).parent)
    if noalias:
        for face in (compiled, compiled.inner):
            face._compiler._customize_flags = _no_alias
    return compiled


def known_inside(version: str) -> bool:
    """Whether this file was tried with the insides of a version of numba; others compile as numba does.

    >>> known_inside("0.68.1"), known_inside("0.69.0")
    (True, False)
    """
    return version.split(".")[:2] == ["0", "68"]


def _plain(function: Callable[..., Any], options: dict[str, Any], noalias: bool) -> Any:
    """The same by numba's own means, which take twice as long to compile."""
    compiled: Any = numba.jit(cache=True, **options)(function)
    compiled._cache._cache_file._source_stamp = sources_digest(Path(function.__code__.co_filename).parent)
    if noalias:
        compiled._compiler._customize_flags = _no_alias
    return compiled


def _no_alias(flags: Any) -> Any:
    """numba's own flag, which ``njit`` has no option for."""
    flags.noalias = True
    return flags


class Kernel(_Dispatcher):
    """A function with two faces: Python calls it as a program of its own, kernels call ``inner``."""

    def __init__(self, py_func: Callable[..., Any], *args: Any, targetoptions: Any = None, **kwargs: Any):
        options = targetoptions or _OPTIONS
        self.inner = _Inner(py_func, targetoptions=options | _INNER)
        super().__init__(py_func, *args, targetoptions=options, **kwargs)

    @property
    def _numba_type_(self) -> types.Type:
        return types.Dispatcher(self.inner)


class _Inner(_Dispatcher):
    """What kernels call: compiled once for a type, not once more for every constant that is passed."""

    def get_call_template(self, args: tuple[types.Type, ...], kws: dict[str, types.Type]) -> Any:
        plain = tuple(types.unliteral(arg) for arg in args)
        return super().get_call_template(plain, {key: types.unliteral(arg) for key, arg in kws.items()})


class _Part(JITCodeLibrary):
    """A function, and nothing of what it calls, as it was lowered: no machine code."""

    def finalize(self) -> None:
        self._raise_if_finalized()
        self._finalized = True

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self.codegen._data_layout  # the program's passes do the rest

    def own_module(self) -> Any:
        return super()._get_module_for_linking()

    def _get_module_for_linking(self) -> Any:
        """With all that it calls, for functions that are not kernels."""
        module = self.own_module().clone()
        for library in _all_libraries(self)[1:]:
            module.link_in(_module(library), preserve=True)
        return module


class _Program(JITCodeLibrary):
    """A function and all that it calls, optimised and turned into machine code as one."""

    def finalize(self) -> None:
        for library in _all_libraries(self)[1:]:
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(_module(library), preserve=True)
        self._linking_libraries = []
        super().finalize()


def _module(library: JITCodeLibrary) -> Any:
    return library.own_module() if isinstance(library, _Part) else library._get_module_for_linking()


def _all_libraries(root: JITCodeLibrary) -> list[JITCodeLibrary]:
    """The parts that a library needs, itself first, each one after all that need it.

    Linking drops functions that nobody has asked for yet.
    """
    seen, order = set(), []

    def visit(library: JITCodeLibrary) -> None:
        if library in seen:
            return
        seen.add(library)
        if library is root or isinstance(library, _Part):
            for needed in library._linking_libraries:
                visit(needed)
        order.append(library)

    visit(root)
    return order[::-1]


class _Pipeline(Compiler):
    """numba's compiler, for a program: what it calls meanwhile are parts."""

    def _compile_core(self) -> Any:
        codegen = self.state.targetctx.codegen()
        library = _Program(codegen, self.state.func_id.func_qualname)
        library.enable_object_caching()
        self.state.library = library
        with _in_parts(codegen):
            return super()._compile_core()


@contextmanager
def _in_parts(codegen: Any) -> Iterator[None]:
    """While numba's lock is held: libraries made here are parts, which have no place for an environment.

    Garbage waits: looking for it again and again among so many objects takes an eighth of the time.
    """

    def set_env(name: str, env: Any) -> None:
        if codegen._engine.is_symbol_defined(name):
            type(codegen).set_env(codegen, name, env)

    collects = gc.isenabled()
    gc.disable()
    before = {key: codegen.__dict__.get(key) for key in ("_library_class", "set_env")}
    codegen._library_class, codegen.set_env = _Part, set_env
    try:
        yield
    finally:
        if collects:
            gc.enable()
        for key, value in before.items():
            if value is None:
                delattr(codegen, key)
            else:
                setattr(codegen, key, value)
