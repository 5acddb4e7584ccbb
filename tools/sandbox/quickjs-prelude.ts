/** What the guest's code may use, and what the runner uses to read the guest's values. It runs inside QuickJS. */
export interface Prelude {
  /** Waits for the code's promise, and for its value if that is a promise too: JSON text. */
  finish(evaluated: Promise<{ value: unknown }>): Promise<string>
  /** `{message, line?, memory}` of whatever was thrown, as JSON text. */
  describe(thrown: unknown): string
}

/**
 * The runner sends this function's source into the guest, so it can use nothing from outside of itself. It keeps
 * the only references to `print` and `call`. A guest that replaces builtins can spoil its own result and no more:
 * only strings leave.
 */
export function prelude(
  print: (stream: string, text: string) => void,
  call: (name: string, ...args: string[]) => Promise<string>,
): Prelude {
  const { parse, stringify } = JSON
  const logTo =
    (stream: string) =>
    (...values: unknown[]) =>
      print(stream, values.map(show).join(' '))
  const log = logTo('stdout')
  const warn = logTo('stderr')

  function show(value: unknown): string {
    if (typeof value === 'string') return value
    try {
      if (value instanceof Error) return String(value)
      if (typeof value === 'function') return `[Function: ${value.name}]`
      return stringify(value, plain) ?? String(value)
    } catch {
      return '[a value that cannot be shown]'
    }
  }

  function plain(_key: string, value: unknown): unknown {
    if (typeof value === 'bigint') return value.toString()
    if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
    if (value instanceof Set) return [...value]
    if (value instanceof Map) {
      const entries: [unknown, unknown][] = [...value]
      return entries.every(([key]) => typeof key === 'string') ? Object.fromEntries(entries) : entries
    }
    if (value instanceof Error || value instanceof RegExp) return String(value)
    if (ArrayBuffer.isView(value)) return [...(value as Uint8Array)]
    return value
  }

  async function hostCall(name: string, ...args: string[]): Promise<string> {
    // Made now, because only now the guest's line is on the stack.
    const failure = new Error()
    try {
      return await call(name, ...args)
    } catch (reason) {
      failure.message = String(reason)
      throw failure
    }
  }

  function textArgument(value: unknown, what: string): string {
    if (typeof value === 'string') return value
    throw new TypeError(`${what} must be a string`)
  }

  function describe(thrown: unknown): string {
    try {
      if (!(thrown instanceof Error)) return stringify({ message: `Uncaught ${show(thrown)}`, memory: false })
      const text = `${thrown.name}: ${thrown.message}`
      const line = Number(/code\.js:(\d+)/.exec(String(thrown.stack))?.[1])
      const memory = thrown.name === 'InternalError' && thrown.message === 'out of memory'
      return stringify({ message: text, line: line > 0 ? line : undefined, memory })
    } catch {
      return '{"message":"The code threw a value that cannot be shown.","memory":false}'
    }
  }

  Object.assign(globalThis, {
    console: { log, info: log, debug: log, dir: log, table: log, warn, error: warn, trace: warn },
    readFile: async (path: unknown) => hostCall('readFile', textArgument(path, 'readFile: the path')),
    writeFile: async (path: unknown, content: unknown) => {
      const text = textArgument(content, 'writeFile: the content')
      return parse(await hostCall('writeFile', textArgument(path, 'writeFile: the path'), text))
    },
    listFiles: async (path: unknown = '.') => {
      return parse(await hostCall('listFiles', textArgument(path, 'listFiles: the path')))
    },
  })

  return {
    finish: async (evaluated) => stringify(await (await evaluated).value, plain) ?? 'null',
    describe,
  }
}
