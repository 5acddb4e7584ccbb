/**
 * Whether a value would be dumped as it was before, without dumping it: a twentieth of the time, and a long list is
 * looked at in every step. What a dump is made of is kept as a flat list of the keys, values and objects in their order,
 * and compared with what is there now, so that a change in place is seen. Values whose dump may depend on more than
 * that (other classes, `Map`, `Date`, functions) have no such list and are dumped every time.
 */
export type Trace = readonly unknown[]

const MESSAGES = new Set([
  ...['AI', 'Human', 'System', 'Tool', 'Function', 'Chat', 'Base'].flatMap((kind) => [
    `${kind}Message`,
    `${kind}MessageChunk`,
  ]),
  'RemoveMessage',
  'Serializable',
])
const DEEPEST = 32
const END = Symbol('end')

export function traceOf(value: object): Trace | undefined {
  const trace: unknown[] = []
  return visit(value, 0, (part) => {
    trace.push(part)
    return true
  })
    ? trace
    : undefined
}

export function isUnchanged(value: object, trace: Trace): boolean {
  let at = 0
  return visit(value, 0, (part) => Object.is(trace[at++], part)) && at === trace.length
}

/** Meets everything that the dump of `value` depends on, in an order of its own. False as soon as `meet` says so. */
function visit(value: unknown, depth: number, meet: (part: unknown) => boolean): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'function' && meet(value)
  if (depth > DEEPEST || !meet(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  if (Array.isArray(value)) {
    if (prototype !== Array.prototype || 'toJSON' in value || !meet(value.length)) return false
    for (const item of value) if (!visit(item, depth + 1, meet)) return false
    return true
  }
  if (prototype === Object.prototype || prototype === null)
    return !('toJSON' in value) && fields(value, depth, meet)
  return isMessage(value, prototype as object) && meet(prototype) && message(value, depth, meet)
}

function fields(value: object, depth: number, meet: (part: unknown) => boolean): boolean {
  for (const key in value) {
    if (!meet(key) || !visit((value as Record<string, unknown>)[key], depth + 1, meet)) return false
  }
  return meet(END)
}

interface Message {
  lc_serializable: unknown
  lc_namespace: unknown
  lc_kwargs: Record<string, unknown>
}

/** What `Serializable.toJSON` reads: the arguments of the constructor, as the message has them by now. */
function message(value: object & Partial<Message>, depth: number, meet: (part: unknown) => boolean): boolean {
  const { lc_kwargs: given, lc_namespace, lc_serializable } = value
  if (typeof given !== 'object' || !meet(lc_serializable) || !visit(lc_namespace, depth + 1, meet))
    return false
  for (const key in given) {
    const held = key in value ? (value as Record<string, unknown>)[key] : given[key]
    if (!meet(key) || !visit(held, depth + 1, meet)) return false
  }
  return meet(END)
}

const judged = new WeakMap<object, boolean>()

function isMessage(value: object, prototype: object): boolean {
  if (Object.hasOwn(value, 'toJSON')) return false
  let known = judged.get(prototype)
  if (known === undefined) judged.set(prototype, (known = isMessageClass(prototype)))
  return known
}

/** LangChain's own classes, of whichever copy of it, and none that says otherwise how it is dumped. */
function isMessageClass(prototype: object): boolean {
  let isSerializable = false
  for (
    let one: object | null = prototype;
    one !== null && one !== Object.prototype;
    one = Object.getPrototypeOf(one) as object | null
  ) {
    const { name } = one.constructor
    isSerializable = name === 'Serializable'
    if (!MESSAGES.has(name)) return false
    if (!isSerializable && ['toJSON', 'lc_attributes', 'lc_secrets'].some((own) => Object.hasOwn(one, own)))
      return false
  }
  return isSerializable
}
