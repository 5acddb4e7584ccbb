/** Those that agents' code begins with: reading them from the library's archive takes a while. */
export const IMPORTS = `
import ast, asyncio, base64, bisect, builtins, collections, copy, csv, dataclasses, datetime, decimal, enum
import fractions, functools, heapq, inspect, io, itertools, json, math, operator, os, random, re, statistics
import string, sys, textwrap, time, traceback, types, typing, uuid
`

/**
 * What the guest's code may use, and what the runner calls to run it. It runs inside CPython, once, before the
 * interpreter is sealed. A guest can find and replace all of it, and so spoil its own result and no more: only text
 * leaves, and the next call finds the interpreter as it was.
 */
export const PRELUDE = String.raw`
_host = os.open('/dev/host', os.O_RDWR)
# The code may replace those of the module.
_dumps, _loads = json.dumps, json.loads

class _Blocked:
    """Keeps the bridge to JavaScript from being imported by mistake; the seal keeps it from being used."""
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in _BRIDGE:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

_BRIDGE = {'js', 'pyodide_js', 'pyodide', '_pyodide', '_pyodide_core', 'micropip'}
sys.meta_path[:] = [_Blocked(), *(f for f in sys.meta_path if type(f).__module__.partition('.')[0] not in _BRIDGE)]
for _name in [name for name in sys.modules if name.partition('.')[0] in _BRIDGE]:
    del sys.modules[_name]
sys.excepthook, sys.displayhook = sys.__excepthook__, sys.__displayhook__

def _tell(*words):
    os.write(_host, _dumps(words).encode())

def _request(*words):
    _tell(*words)
    return b''.join(iter(lambda: os.read(_host, 1 << 20), b''))

def _call(*words):
    answer = _request(*words)
    text = answer[1:].decode()
    if answer[:1] == b'+':
        return text
    raise (FileNotFoundError if ' does not exist' in text else OSError)(text)

def _path(path, what):
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str):
        raise TypeError(f'{what}: the path must be a string')
    return path

def read_file(path):
    return _call('readFile', _path(path, 'read_file'))

def write_file(path, content):
    if not isinstance(content, str):
        raise TypeError('write_file: the content must be a string')
    return _loads(_call('writeFile', _path(path, 'write_file'), content))

def list_files(path='.'):
    return _loads(_call('listFiles', _path(path, 'list_files')))

class _File(io.BytesIO):
    """A file of the conversation: its bytes are fetched when it is opened and sent when it is closed."""
    def __init__(self, path, mode):
        self.name, self.mode, self._writes = path, mode, mode != 'r'
        super().__init__(b'' if 'w' in mode or 'x' in mode else self._fetch('a' in mode))
        if 'a' in mode:
            self.seek(0, io.SEEK_END)

    def _fetch(self, or_empty):
        try:
            return base64.b64decode(_call('readBytes', self.name))
        except FileNotFoundError:
            if or_empty:
                return b''
            raise

    def writable(self):
        return self._writes

    def write(self, data):
        if not self._writes:
            raise io.UnsupportedOperation('not writable')
        return super().write(data)

    def close(self):
        if not self.closed and self._writes:
            _call('writeBytes', self.name, base64.b64encode(self.getvalue()).decode())
        super().close()

_inside = io.open

def _open(file, mode='r', buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    path = os.fspath(file) if isinstance(file, (str, os.PathLike)) else None
    if not isinstance(path, str) or path.startswith('/') or opener is not None:
        return _inside(file, mode, buffering, encoding, errors, newline, closefd, opener)
    kind = mode.replace('b', '').replace('t', '')
    if kind not in {'r', 'w', 'a', 'x', 'r+', 'w+', 'a+', 'x+'}:
        raise ValueError(f"invalid mode: '{mode}'")
    if kind[0] == 'x' and any(entry['path'] == path for entry in list_files()):
        raise FileExistsError(f'{path} exists')
    raw = _File(path, kind)
    return raw if 'b' in mode else io.TextIOWrapper(raw, encoding or 'utf-8', errors, newline, write_through=True)

builtins.open = io.open = _open

class _Loop(asyncio.BaseEventLoop):
    """asyncio without a network: timers and tasks alone."""
    def __init__(self):
        super().__init__()
        self._selector = self
    def select(self, timeout):
        if timeout is None:
            raise RuntimeError('The code awaits something that nothing will complete.')
        time.sleep(timeout)
        return []
    def _process_events(self, events):
        pass
    def _write_to_self(self):
        pass

def _await(main, *, debug=None, loop_factory=None):
    loop = _Loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()

asyncio._set_running_loop(None)
asyncio.run = asyncio.runners.run = _await
asyncio.new_event_loop = asyncio.events.new_event_loop = _Loop

def _plain(value):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value) if -2**53 < value < 2**53 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _plain(inner) for key, inner in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, (bytes, bytearray)):
        return value.decode(errors='replace')
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, collections.abc.Iterable) and not isinstance(value, type):
        return [_plain(inner) for inner in value]
    return str(value)

def _evaluate(code):
    """The value of the last expression, as in a notebook."""
    tree = ast.parse(code, 'code.py')
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    main = types.ModuleType('__main__')
    main.__dict__.update(read_file=read_file, write_file=write_file, list_files=list_files)
    sys.modules['__main__'] = main
    def step(node, mode):
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        step = compile(node, 'code.py', mode, flags, dont_inherit=True)
        value = eval(step, main.__dict__)
        return _await(value) if step.co_flags & inspect.CO_COROUTINE else value
    step(tree, 'exec')
    value = None if last is None else step(ast.Expression(last.value), 'eval')
    return _await(value) if inspect.iscoroutine(value) else value

def _describe(error):
    try:
        message = f'{type(error).__name__}: {error}' if str(error) else type(error).__name__
    except BaseException:
        message = type(error).__name__
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == 'code.py']
    if isinstance(error, SyntaxError) and error.filename == 'code.py':
        message, lines = f'{type(error).__name__}: {error.msg}', [error.lineno]
    return {'message': message[:4000], 'line': lines[-1] if lines else None}

def _ended(code):
    try:
        return {'status': 'ok', 'value': _dumps(_plain(_evaluate(code)), ensure_ascii=False)}
    except SystemExit as error:
        if error.code in (None, 0):
            return {'status': 'ok', 'value': 'null'}
        return {'status': 'guest_error', **_describe(error)}
    except MemoryError:
        # What filled the memory hangs on the code's own names.
        sys.modules.pop('__main__', None)
        return {'status': 'memory'}
    except RecursionError as error:
        deep = 'The code recurses too deeply, or holds something nested too deeply or that contains itself.'
        return {'status': 'guest_error', **_describe(error), 'message': deep}
    except BaseException as error:
        return {'status': 'guest_error', **_describe(error)}

def _run():
    random.seed()
    outcome = _ended(_request('code').decode())
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass
    _tell('done', outcome)

def _warm_up():
    own = sys.modules['__main__']
    outcomes = [_ended('import asyncio\nawait asyncio.sleep(0)\nprint("", end="")\n[{1: 2.0}]'), _ended('1 +')]
    sys.modules['__main__'] = own
    assert [outcome['status'] for outcome in outcomes] == ['ok', 'guest_error'], outcomes
`
