"""Compiled kernels on disk: written once, loaded without Numba, made anew when anything they depend on changes."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import fastact as fa
from fastact.runtime import cache

USE = """
import sys, numpy as np, fastact as fa
x = np.linspace(-4, 4, 100, dtype="f4")
y = fa.relu(x)
assert (y == np.maximum(x, 0)).all(), y
print("compiled" if "numba" in sys.modules else "loaded")
"""


def kernels(folder):
    return sorted(folder.rglob("relu.float32*.o"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kernels"


@pytest.fixture(scope="module")
def compiled(python, tmp_path_factory):
    """A folder that one process has compiled into."""
    folder = tmp_path_factory.mktemp("compiled") / "kernels"
    assert python(USE, FASTACT_CACHE_DIR=folder) == "compiled"
    return folder


@pytest.fixture
def filled(compiled, folder):
    return shutil.copytree(compiled, folder)


def test_compiled_once_then_loaded_without_numba(python, filled):
    folder = filled
    (kept,) = kernels(folder)
    before = kept.stat().st_mtime_ns
    assert python(USE, FASTACT_CACHE_DIR=folder) == "loaded"
    assert kept.stat().st_mtime_ns == before
    assert not list(folder.rglob(".writing-*"))


def damages(contents):
    middle = len(contents) // 2
    return {
        "truncated": contents[:middle],
        "one bit flipped": contents[:middle] + bytes([contents[middle] ^ 1]) + contents[middle + 1 :],
        "one bit of the checksum flipped": contents[:20] + bytes([contents[20] ^ 1]) + contents[21:],
        "one byte longer": contents + b"\0",
        "empty": b"",
        "only the magic": contents[:17],
        "garbage": os.urandom(5000),
    }


def test_damaged_files_are_built_anew(folder, monkeypatch):
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(folder))
    contents, built = b"machine code" * 100, []

    def build():
        built.append(1)
        return contents

    assert cache.cached("kernel", build) == cache.cached("kernel", build) == contents
    assert len(built) == 1
    (kept,) = folder.rglob("kernel.o")
    for damage, damaged in damages(kept.read_bytes()).items():
        kept.write_bytes(damaged)
        before = len(built)
        assert cache.cached("kernel", build) == contents, damage
        assert len(built) == before + 1, f"the file was {damage} and still used"
        assert cache.cached("kernel", build) == contents
        assert len(built) == before + 1, f"the file was {damage} and not replaced"
    cache.cached("kernel", build, salt=b"a")
    cache.cached("kernel", build, salt=b"b")
    assert len(list(folder.rglob("kernel*.o"))) == 3, "another salt is another file"


def test_a_damaged_kernel_is_compiled_anew(python, filled):
    folder = filled
    (kept,) = kernels(folder)
    kept.write_bytes(damages(kept.read_bytes())["one bit flipped"])
    assert python(USE, FASTACT_CACHE_DIR=folder) == "compiled"
    assert python(USE, FASTACT_CACHE_DIR=folder) == "loaded"


def test_a_folder_in_place_of_a_file_costs_only_the_cache(python, filled):
    folder = filled
    (kept,) = kernels(folder)
    kept.unlink()
    kept.mkdir()
    assert python(USE, FASTACT_CACHE_DIR=folder) == "compiled"


def test_any_edit_of_a_kernels_sources_compiles_anew(python, folder, tmp_path):
    copy = tmp_path / "copy" / "fastact"
    shutil.copytree(Path(fa.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    path = os.pathsep.join([str(copy.parent), os.environ.get("PYTHONPATH", "")])

    def digests(sources):
        """Those of a process that edits the sources, one after the other: as it starts, and with each edit."""
        code = f"import fastact; from fastact.runtime import cache; sources = {[str(source) for source in sources]}\n"
        code += "print(fastact.__file__, cache.digest())\n"
        code += "for source in sources:\n"
        code += "    with open(source, 'a') as file: file.write('\\n# edited\\n')\n"
        code += "    cache.digest.cache_clear()\n    print(cache.digest())\n"
        code += "    with open(source) as file: text = file.read()\n"
        code += "    with open(source, 'w') as file: file.write(text.removesuffix('\\n# edited\\n'))\n"
        where, *found = run(code).split()
        assert where.startswith(str(copy)), "the copy must be what is imported"
        return found

    def run(code):
        env = dict(os.environ, PYTHONPATH=path, FASTACT_CACHE_DIR=str(folder))
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, cwd=copy.parent)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run(USE) == "compiled"
    assert run(USE) == "loaded"
    callers = {folder: sorted((copy / folder).rglob("*.py")) for folder in cache.MAKE_NO_KERNEL}
    assert all(callers.values()), "a folder that makes no kernel is gone"
    sources = sorted(set(copy.rglob("*.py")).difference(*callers.values()))
    usual, *found = digests(sources)
    assert len({usual, *found}) == 1 + len(sources), "an edit of some source left the digest as it was"
    for source in (files[-1] for files in callers.values()):
        source.write_text(source.read_text() + "\n# edited\n")
    assert digests([]) == [usual], "an edit that no kernel is made from changed the digest"
    assert run(USE) == "loaded", "the sources are as they were"
    edited = copy / "maths" / "exp.py"
    edited.write_text(edited.read_text() + "\n# edited\n")
    assert run(USE) == "compiled"
    assert len(kernels(folder)) == 2


def test_off_writes_nothing(python, tmp_path):
    places = {name: tmp_path / name for name in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "TMPDIR")}
    places["TMPDIR"].mkdir()
    show = "from fastact.runtime import cache; print(cache.directory())"
    assert python(show, FASTACT_CACHE_DIR="off", **places) == "None"
    assert python(USE, FASTACT_CACHE_DIR="OFF", **places) == "compiled"
    assert not [f for place in places.values() for f in place.rglob("*") if f.is_file()]


def test_what_is_no_longer_used_is_removed(folder, monkeypatch):
    monkeypatch.setenv("FASTACT_CACHE_DIR", str(folder))
    (folder / "something-else").mkdir(parents=True, mode=0o700)
    for i in range(6):
        monkeypatch.setattr(cache, "digest", lambda i=i: f"version{i}")
        cache.cached("kernel", lambda: b"code")
        os.utime(folder / f"kernels-version{i}", (i, i))
    assert sorted(f.name for f in folder.iterdir()) == [*(f"kernels-version{i}" for i in range(2, 6)), "something-else"]

    monkeypatch.setattr(cache, "MOST_SALTED", 3)
    for i in range(6):
        cache.cached("own", lambda: b"code", salt=bytes([i]))
    assert len(list(folder.glob("kernels-version5/own.*.o"))) == 3
    assert cache.cached("kernel", lambda: b"anew") == b"code", "only kernels of users' own ops are limited"

    monkeypatch.setattr(cache, "MOST_UNFINISHED", 2)
    for i in range(5):
        (folder / "kernels-version5" / f".writing-{i}").write_bytes(b"half")
    cache.cached("another", lambda: b"code")
    assert len(list(folder.glob("kernels-version5/.writing-*"))) == 2


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system does not say who can write to a folder")
def test_a_folder_that_others_can_write_to_is_refused(python, tmp_path):
    public, private = tmp_path / "public", tmp_path / "private"
    public.mkdir()
    command = "import warnings; warnings.simplefilter('error', RuntimeWarning)\n" + USE
    show = USE + "from fastact.runtime import cache; print(cache.directory())"
    for mode in (0o777, 0o770, 0o1777):
        public.chmod(mode)
        places = {"FASTACT_CACHE_DIR": public, "NUMBA_CACHE_DIR": None, "XDG_CACHE_HOME": private}
        out = python(show, flags=["-W", "ignore"], **places)
        assert out.split()[1] == str(private / "fastact")
        assert not list(public.iterdir())
        with pytest.raises(AssertionError, match=f"other users can write to it .mode {mode:03o}"):
            python(command, **places)
    public.chmod(0o755)
    assert python(USE, FASTACT_CACHE_DIR=public) == "compiled"
    if os.getuid() == 0:
        os.chown(public, 12345, -1)
        with pytest.raises(AssertionError, match="belongs to another user"):
            python(command, FASTACT_CACHE_DIR=public)


@pytest.mark.skipif(sys.platform != "linux", reason="where a user's cache is differs")
def test_order_of_places(python, tmp_path):
    """FASTACT_CACHE_DIR, NUMBA_CACHE_DIR, the user's cache, a temporary directory: the first that can be written."""
    (tmp_path / "file").write_text("a file where a directory should be")
    blocked = tmp_path / "file" / "below"
    names = ["FASTACT_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"]
    show = "from fastact.runtime import cache; print(cache.directory())"
    for good in range(3):
        places = {name: blocked if i < good else tmp_path / f"{good}{name}" for i, name in enumerate(names)}
        expected = places[names[good]] / ("fastact" if good else "")
        assert python(show, HOME=tmp_path / "home", **places) == str(expected)
    places = dict.fromkeys(names, blocked)
    assert python(show, HOME=tmp_path / "home", **places | {"XDG_CACHE_HOME": None}) == str(
        tmp_path / "home/.cache/fastact"
    )
    (tmp_path / "temporary").mkdir()
    found = python(show, HOME=blocked, TMPDIR=tmp_path / "temporary", **places)
    assert found == str(tmp_path / "temporary" / f"fastact-{os.getuid()}")
    # Somebody else's world-writable directory is no place for machine code that will be run.
    assert os.stat(found).st_mode & 0o777 == 0o700


def test_nowhere_to_write(python, tmp_path):
    (tmp_path / "file").write_text("")
    blocked = tmp_path / "file" / "below"
    code = "import tempfile; tempfile.tempdir = " + repr(str(blocked)) + "\n" + USE
    code += "from fastact.runtime import cache; print(cache.directory())"
    places = dict.fromkeys(["HOME", "XDG_CACHE_HOME", "FASTACT_CACHE_DIR", "NUMBA_CACHE_DIR"], blocked)
    assert python(code, **places).split() == ["compiled", "None"]


def test_no_home_directory(python, tmp_path):
    code = "import os; os.chdir(" + repr(str(tmp_path)) + ")\n" + USE
    environment = dict.fromkeys(["HOME", "XDG_CACHE_HOME", "FASTACT_CACHE_DIR", "NUMBA_CACHE_DIR"], None)
    python(code, TMPDIR=tmp_path, **environment)
    assert not (tmp_path / "~").exists()


def test_two_processes_on_an_empty_cache(folder):
    env = dict(os.environ, FASTACT_CACHE_DIR=str(folder))
    env["PYTHONPATH"] = os.pathsep.join([str(Path(fa.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", USE + "assert (fa.relu(np.full(400_001, 2, 'f4')) == 2).all()"]
    both = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in both:
        out, errors = process.communicate(timeout=300)
        assert (process.returncode, out.strip()) == (0, "compiled"), errors
    assert len(kernels(folder)) == 1
    assert not list(folder.rglob(".writing-*"))


def test_large_arrays_are_loaded_without_compiling(python, folder):
    code = USE + "assert (fa.relu(np.full(400_001, 2, 'f4')) == 2).all(); print('fastact.kernels.jit' in sys.modules)"
    assert python(code, FASTACT_CACHE_DIR=folder).split() == ["compiled", "True"]
    assert python(code, FASTACT_CACHE_DIR=folder).split() == ["loaded", "False"]


@pytest.mark.parametrize("number", [1, 3])
def test_large_arrays_need_no_numba(number, python, folder):
    code = USE + "assert (fa.relu(np.full(400_001, 2, 'f4')) == 2).all(); print('numba' in sys.modules)"
    assert python(code, FASTACT_CACHE_DIR=folder, FASTACT_NUM_THREADS=number).split() == ["compiled", "True"]
    code = code.replace("assert (fa", f"fa.set_num_threads({number}); assert (fa", 1)
    assert python(code, FASTACT_CACHE_DIR=folder).split() == ["loaded", "False"]


def test_numbas_settings_are_part_of_the_key(python, tmp_path):
    """One run with ``NUMBA_OPT=0`` must not leave every later process with its slow kernels."""
    show = "from fastact.runtime import cache; print(cache.digest())"
    usual = python(show)
    changed = [
        ("NUMBA_OPT", "0"),
        ("NUMBA_CPU_NAME", "haswell"),
        ("NUMBA_LOOP_VECTORIZE", "0"),
        ("NUMBA_CPU_FEATURES", "+sse2"),
        ("NUMBA_CPU_FEATURES", ""),
    ]
    assert len({usual, *(python(show, **{name: value}) for name, value in changed)}) == 6
    assert python(show, NUMBA_NUM_THREADS="1") == usual
    (tmp_path / ".numba_config.yaml").write_text("opt: 0")
    assert python(f"import os; os.chdir({str(tmp_path)!r}); {show}") != usual


@pytest.mark.parametrize(
    "settings",
    [{}, {"NUMBA_CPU_NAME": "generic"}, {"NUMBA_CPU_FEATURES": "+sse2"}, {"NUMBA_ENABLE_AVX": "0"}],
    ids=lambda settings: next(iter(settings), "none"),
)
def test_code_is_made_for_the_processor_that_numba_chooses(settings, python):
    """LLVM's passes are Numba's, instructions are chosen by fastact: they must agree."""
    code = """
from fastact.kernels import target
chosen = target.cpu()
from numba.core import registry
print(chosen == tuple(map(str, registry.cpu_target.target_context.codegen().magic_tuple())))
"""
    assert python(code, **settings) == "True"


def test_numbas_file_of_settings_chooses_the_processor(python, tmp_path):
    (tmp_path / ".numba_config.yaml").write_text("cpu_name: generic")
    code = f"import os; os.chdir({str(tmp_path)!r}); from fastact.kernels import target; print(target.cpu()[1:])"
    assert python(code) == "('generic', '')"


def test_the_sources_in_a_zip_file_are_part_of_the_key(python, tmp_path):
    package, digests = Path(fa.__file__).parent, set()
    show = "import sys; sys.path.insert(0, {}); from fastact.runtime import cache; print(cache.__file__); print(cache.digest())"
    for edit in ("", "# an edit"):
        archive = tmp_path / f"fastact{len(edit)}.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for source in package.rglob("*.py"):
                name = source.relative_to(package.parent)
                file.writestr(str(name), source.read_text() + (edit if source.name == "exp.py" else ""))
        place, digest = python(show.format(repr(str(archive)))).splitlines()
        assert place.startswith(str(archive))
        digests.add(digest)
    assert len(digests) == 2


def test_kernels_are_compiled_where_numba_is_told_not_to(python):
    """``NUMBA_DISABLE_JIT`` is for who debugs functions of their own, which stay as they are."""
    code = USE + "import numba; f = lambda x: x; assert numba.njit(f) is f"
    code += "; assert fa.elementwise(lambda x: 2 * x)(1.5) == 3 and fa.softmax([0.0, 0.0]).sum() == 1"
    assert python(code, NUMBA_DISABLE_JIT="1", FASTACT_CACHE_DIR="off") == "compiled"
