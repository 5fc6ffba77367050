"""Whatever Python can do with an expression; what it prints must not depend on who watches."""
import asyncio
import dataclasses
import functools
import inspect
import pickle
import sys
import threading
import traceback
import warnings

import numpy as np

import helper

total = 0


def counts(n):
    """A docstring."""
    global total
    for i in range(n):
        global_before = total
        total += i
    return total, global_before


def outer():
    k = np.zeros(2)

    def inner(x):
        nonlocal k
        k = k + x
        return k

    return inner


def generator(x):
    for i in range(3):
        got = yield x * i + ((yield i) or 0)
        x = x if got is None else got


class Base:
    def f(self, x):
        return x + 1


class Derived(Base):
    __secret = 3
    squares = [i * i for i in range(4)]

    def f(self, x):
        return super().f(x) * self.__secret

    @property
    def doubled(self):
        return [2 * s for s in self.squares]

    @staticmethod
    def static(*args, key=None, **others):
        return sum(args) + (key or 0), sorted(others)

    @classmethod
    def named(cls):
        return cls.__name__


@dataclasses.dataclass
class Record:
    x: float = 1.0 + 2
    y: list = dataclasses.field(default_factory=lambda: [1 + 1])


@functools.lru_cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


class Order:
    """Prints what is evaluated, and when."""

    def __init__(self, name):
        self.name = name

    def __add__(self, other):
        print("add", self.name, other.name)
        return Order(self.name + other.name)

    def __getitem__(self, index):
        print("item", index)
        return self

    def __setitem__(self, index, value):
        print("set", index, value.name)

    def __iadd__(self, other):
        print("iadd", other.name)
        return self

    def __call__(self, *args, **kwargs):
        print("call", [a.name for a in args], sorted(kwargs))
        return self

    def __lt__(self, other):
        return "less"

    def __neg__(self):
        return self

    def __repr__(self):
        return self.name


def named(name):
    print("name", name)
    return Order(name)


async def waits(x):
    await asyncio.sleep(0)
    return x + 1


def fails(x):
    y = x * 2
    return (
        y
        @ np.zeros(7)
    )


print(counts(5), counts.__doc__, outer()(np.ones(2)))
g = generator(np.arange(2.0))
print(next(g), g.send(1.0), g.send(np.ones(1)), list(g))
d = Derived()
print(d.f(2), d.doubled, d.static(1, *[2, 3], key=4, **{"a": 1}), Derived.named())
print(Record(), fib(20), [x for x in range(5) if x * x > 3], {k: v + 1 for k, v in {"a": 1}.items()})
a = named("a") + named("b") + named("c")
a[named("i")] = named("v")
a[0] += named("w")
print(a(named("x"), k=named("y")).name, a < a, (-a).name, a[1:2, ...].name, a[:, 1].name)
print(asyncio.run(waits(np.ones(2))))
match (1 + 1, np.ones(2).sum()):
    case (2, s) if s > 1:
        print("matched", s)
if (n := 5 * 2) > 3:
    print(n, f"{n + 1} {np.float32(2) * 3:.2f} {'x' * n!r}")
lines = [0] * 3
lines[0], lines[1] = 1 + 1, 2 * 2
x, *rest = [i + 1 for i in range(4)]
print(lines, x, rest, 1 < 2 < 3, not x, ~x, -x, x if x else rest, "a" in "abc")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    np.log(np.zeros(1)) / np.zeros(1)
    print([(str(w.message), w.lineno) for w in caught])
try:
    fails(np.ones(3))
except ValueError:
    traceback.print_exc(file=sys.stdout)
try:
    {}["a" + "b"]
except KeyError as error:
    print(error, error.__traceback__.tb_lineno)
print(pickle.loads(pickle.dumps(Record(2))), inspect.getsource(fib).splitlines()[0], sorted(vars())[:3], __name__, __file__, sys.argv[0])
print(sys.argv[1:], sys.modules["__main__"].total, sys.path[0].endswith("programs"), __doc__)
print(np.random.default_rng(1).random(), np.random.seed(3), np.random.rand(), helper.Model()(np.eye(3, dtype=np.float32)).dtype)
results = []
threads = [threading.Thread(target=lambda i=i: results.append((np.ones(1000) * i).sum())) for i in range(4)]
[t.start() for t in threads], [t.join() for t in threads]
print(sorted(map(float, results)))
z = np.ones((100, 100))
z_view = z[2:5]
z_view *= 3
z[z > 2] = 0
z[:, np.arange(3)] -= 1
t = np.exp(z, out=np.empty_like(z))
print(z.sum(), t.sum(), sys.getrefcount(z), (z + z).flags.owndata, z_view.base is z)
print("to stderr", file=sys.stderr)
sys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else "no status")
