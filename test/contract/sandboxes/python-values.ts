/** Code, and the value that comes back. */
export const PYTHON_VALUES: [code: string, value: unknown][] = [
  ['1 + 1', 2],
  ['x = read_file("a.csv")\nlen(x)', 8],
  [
    'import csv\nlist(csv.reader(open("a.csv")))',
    [
      ['x', 'y'],
      ['1', '2'],
    ],
  ],
  ['import csv\nlist(csv.DictReader(open("a.csv", encoding="utf-8")))', [{ x: '1', y: '2' }]],
  ['from pathlib import Path\nPath("a.csv").read_text()', 'x,y\n1,2\n'],
  ['open("a.csv", "rb").read(3)', 'x,y'],
  ['{"a": 1, "b": [2], 3: None}', { a: 1, b: [2], 3: null }],
  ['x = 5', null],
  ['# nothing', null],
  ['print("x")', null],
  ['if True:\n  42', null],
  ['sum(i for i in range(4))\n', 6],
  ['(i for i in range(3))', [0, 1, 2]],
  [
    '[2**70, float("nan"), {1}, (2,), b"ab", {"k": {}.keys()}]',
    ['1180591620717411303424', 'nan', [1], [2], 'ab', { k: [] }],
  ],
  ['import datetime\ndatetime.date(2026, 1, 2)', '2026-01-02'],
  ['from decimal import Decimal\nDecimal("1.10")', '1.10'],
  ['from dataclasses import dataclass\n@dataclass\nclass P:\n  x: int\nP(1)', { x: 1 }],
  ['import enum\nclass C(enum.IntEnum):\n  A = 1\n[C.A, True]', [1, true]],
  ['class A: pass\nstr(type(A()))', "<class '__main__.A'>"],
  ['import asyncio\nasync def f():\n  await asyncio.sleep(0.001)\n  return 7\nasyncio.run(f())', 7],
  ['import asyncio\nawait asyncio.gather(*(asyncio.sleep(0, i) for i in range(3)))', [0, 1, 2]],
  ['async def f(): return 3\nf()', 3],
  [
    'import statistics, math, re, json\n[statistics.mean([1, 2]), math.pi > 3, re.sub("a", "b", "a")]',
    [1.5, true, 'b'],
  ],
  ['import sqlite3\nc = sqlite3.connect(":memory:")\nc.execute("select 1 + 1").fetchone()', [2]],
  ['import tempfile\nwith tempfile.NamedTemporaryFile() as f:\n  n = f.write(b"x")\nn', 1],
  ["'\\0\\ud800'", '\ufffd\ufffd'],
  ['import sys\nsys.exit()', null],
]

/** Code, what its error says, and the line that it names. */
export const PYTHON_ERRORS: [code: string, message: RegExp, line: number | undefined][] = [
  ['\n\nfoo.bar', /NameError: name 'foo' is not defined/, 3],
  ['a = 1\nb = ', /SyntaxError/, 2],
  ['def f():\n  raise ValueError("v")\nf()', /ValueError: v/, 2],
  ['\nread_file("nope")', /FileNotFoundError: nope does not exist/, 2],
  ['open("nope")', /FileNotFoundError: nope does not exist/, 1],
  ['read_file("../../secret")', /relative to the workspace/, 1],
  ['write_file("x", 1)', /content must be a string/, 1],
  ['import numpy', /ModuleNotFoundError: No module named 'numpy'/, 1],
  ['input()', /EOFError|OSError/, 1],
  ['raise SystemExit("no")', /SystemExit: no/, 1],
  ['import asyncio\nawait asyncio.Future()', /nothing will complete/, undefined],
  ['def f(): return f()\nf()', /recurses too deeply/, 1],
  ['x = 1\nassert x == 2, "two"', /AssertionError: two/, 2],
]
