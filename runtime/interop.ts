import { z } from 'zod'
import type { Json } from './json.ts'

/**
 * Three families of clients ask people, each in a shape of its own, and a graph's interrupt is seldom in the shape that
 * the client at hand reads:
 *
 * | | asks with | is answered with |
 * |---|---|---|
 * | LangChain's `humanInTheLoopMiddleware`, JavaScript (langchain 1.5) | `{actionRequests, reviewConfigs: [{actionName, allowedDecisions, argsSchema}]}` | `{decisions: [{type: approve, edit (editedAction) or reject (message)}]}` |
 * | the same in Python, and Agent Chat UI | `{action_requests, review_configs: [{action_name, allowed_decisions, args_schema}]}` | `{decisions: [… edited_action]}` |
 * | Agent Inbox's `HumanInterrupt` | `{action_request: {action, args}, config, description}`, alone, in a list, or as JSON text | a list of `{type: accept, ignore, response or edit, args}` |
 *
 * Agent Inbox answers the first two with its own fields in their envelope: `{decisions: [{type: approve, edit, reject
 * or ignore, args}]}`, where `args` is `{action, args}`, or the text of a rejection.
 *
 * Interrupts are shown with the names of both languages, and each answer is turned into what the interrupt's maker
 * reads. Interrupts of any other shape pass untouched, in both directions.
 */
export interface Interop {
  /** An interrupt's value as clients get it. */
  show(value: unknown): unknown
  /** A client's answer as the maker of the interrupt reads it; an answer in no known shape stays as it is. */
  read(asked: unknown, answer: Json): Json
}

/** Passes everything as it is. */
export const untouched: Interop = { show: (value) => value, read: (_asked, answer) => answer }

const Action = z.object({ name: z.string(), args: z.record(z.string(), z.json()) })
const Args = z.record(z.string(), z.json())

/** What middleware in JavaScript makes. */
const CamelRequest = z.looseObject({
  actionRequests: z.array(z.looseObject({ name: z.string() })).min(1),
  reviewConfigs: z.array(
    z.looseObject({
      actionName: z.string(),
      allowedDecisions: z.array(z.string()),
      argsSchema: z.unknown().optional(),
    }),
  ),
})
/** What middleware in Python makes, and we. */
const SnakeRequest = z.looseObject({ action_requests: z.array(z.looseObject({ name: z.string() })).min(1) })
/** What Agent Inbox calls a `HumanInterrupt`. */
const InboxRequest = z.looseObject({
  action_request: z.looseObject({ action: z.string() }),
  config: z.looseObject({}),
})

const InboxAnswers = z
  .array(
    z.discriminatedUnion('type', [
      z.object({ type: z.literal('accept'), args: z.unknown().optional() }),
      z.object({ type: z.literal('ignore'), args: z.unknown().optional() }),
      z.object({ type: z.literal('response'), args: z.string() }),
      z.object({ type: z.literal('edit'), args: z.object({ action: z.string(), args: Args }) }),
    ]),
  )
  .min(1)
const Decisions = z.object({
  decisions: z
    .array(
      z.looseObject({
        type: z.enum(['approve', 'edit', 'reject', 'respond', 'ignore']),
        args: z.union([Args, z.string(), z.null()]).optional(),
        edited_action: Action.optional(),
        editedAction: Action.optional(),
        message: z.string().optional(),
      }),
    )
    .min(1),
})

/** A decision in nobody's shape. */
interface Decided {
  type: 'approve' | 'edit' | 'reject' | 'respond'
  edited?: { name: string | undefined; args: Record<string, Json> }
  message?: string
  /** The call that the client was shown, where it says so. */
  shown?: { name: string; args: Record<string, Json> }
  /** What else the client sent with it. */
  rest: Record<string, unknown>
}

export const interop: Interop = {
  show(value) {
    const request = CamelRequest.safeParse(value)
    if (!request.success) return value
    return {
      ...request.data,
      action_requests: request.data.actionRequests,
      review_configs: request.data.reviewConfigs.map(
        ({ actionName, allowedDecisions, argsSchema, ...rest }) => ({
          ...rest,
          // Both spellings: some clients read one inside the other.
          actionName,
          allowedDecisions,
          ...(argsSchema === undefined ? {} : { argsSchema, args_schema: argsSchema }),
          action_name: actionName,
          allowed_decisions: allowedDecisions,
        }),
      ),
    }
  },
  read(asked, answer) {
    const decided = decidedOf(answer, namesIn(asked))
    if (decided === undefined) return answer
    if (CamelRequest.safeParse(asked).success) return forMiddleware(decided, namesIn(asked), 'editedAction')
    if (isHold(asked)) return forHolds(decided)
    if (SnakeRequest.safeParse(asked).success) return forMiddleware(decided, namesIn(asked), 'edited_action')
    const inbox = inboxOf(asked)
    return inbox === undefined || InboxAnswers.safeParse(answer).success ? answer : forInbox(decided, inbox)
  },
}

function decidedOf(answer: Json, names: string[]): Decided[] | undefined {
  const list = InboxAnswers.safeParse(answer)
  if (list.success) {
    return list.data.map((one): Decided => {
      switch (one.type) {
        case 'accept':
          return { type: 'approve', rest: {}, ...shownIn(one.args) }
        case 'ignore':
          return { type: 'reject', rest: {} }
        case 'response':
          return { type: 'respond', message: one.args, rest: {} }
        case 'edit':
          return { type: 'edit', edited: { name: one.args.action, args: one.args.args }, rest: {} }
      }
    })
  }
  const decisions = Decisions.safeParse(answer)
  if (!decisions.success) return undefined
  return decisions.data.decisions.map(
    ({ type, args, edited_action, editedAction, message, ...rest }, index) => {
      const inbox = inboxAction(args, names[index])
      const said = message ?? (typeof args === 'string' ? args : undefined)
      const own = typeof args === 'object' && args !== null && inbox === undefined ? args : undefined
      const edited =
        edited_action ??
        editedAction ??
        (type === 'edit' ? inbox : undefined) ??
        (own && { name: undefined, args: own })
      return {
        type: type === 'ignore' ? 'reject' : type,
        rest,
        ...(edited === undefined ? {} : { edited }),
        ...(said === undefined ? {} : { message: said }),
        ...(type === 'approve' ? shownIn(args) : {}),
      }
    },
  )
}

function shownIn(args: unknown): Pick<Decided, 'shown'> {
  const action = z.object({ action: z.string(), args: Args }).safeParse(args)
  return action.success ? { shown: { name: action.data.action, args: action.data.args } } : {}
}

/** What Agent Inbox calls an action. A tool may have arguments of these names: the call's own name tells them apart. */
function inboxAction(args: unknown, name: string | undefined): z.infer<typeof Action> | undefined {
  const action = z.strictObject({ action: z.string(), args: Args }).safeParse(args)
  if (!action.success || action.data.action !== name) return undefined
  return { name, args: action.data.args }
}

function forHolds(decided: Decided[]): Json {
  return {
    decisions: decided.map(({ type, edited, message, shown, rest }) => ({
      ...(rest as Record<string, Json>),
      type,
      ...(edited === undefined ? {} : { args: edited.args }),
      ...(message === undefined ? {} : { message }),
      ...(shown === undefined ? {} : { shown }),
    })),
  }
}

/** The middleware knows no `respond`: a rejection's message is what the model gets instead of the result. */
function forMiddleware(decided: Decided[], names: string[], key: 'editedAction' | 'edited_action'): Json {
  return {
    decisions: decided.map(({ type, edited, message, rest }, index) => ({
      ...(rest as Record<string, Json>),
      type: type === 'respond' ? 'reject' : type,
      ...(edited === undefined
        ? {}
        : { [key]: { name: edited.name ?? names[index] ?? '', args: edited.args } }),
      ...(message === undefined ? {} : { message }),
    })),
  }
}

function forInbox(decided: Decided[], actions: string[]): Json {
  return decided.map(({ type, edited, message }, index) => {
    switch (type) {
      case 'approve':
        return { type: 'accept', args: null }
      case 'edit':
        return {
          type: 'edit',
          args: { action: edited?.name ?? actions[index] ?? '', args: edited?.args ?? {} },
        }
      case 'respond':
        return { type: 'response', args: message ?? '' }
      case 'reject':
        return message === undefined ? { type: 'ignore', args: null } : { type: 'response', args: message }
    }
  })
}

function isHold(asked: unknown): boolean {
  return typeof asked === 'object' && asked !== null && 'type' in asked && asked.type === 'holdpoint.hold'
}

function namesIn(asked: unknown): string[] {
  const camel = CamelRequest.safeParse(asked)
  if (camel.success) return camel.data.actionRequests.map(({ name }) => name)
  const snake = SnakeRequest.safeParse(asked)
  return snake.success ? snake.data.action_requests.map(({ name }) => name) : []
}

/** The actions of an inbox's interrupt, which may be one, a list, or either as JSON text. */
function inboxOf(asked: unknown): string[] | undefined {
  const value = typeof asked === 'string' ? parsed(asked) : asked
  const list = z
    .array(InboxRequest)
    .min(1)
    .safeParse(Array.isArray(value) ? value : [value])
  return list.success ? list.data.map(({ action_request: { action } }) => action) : undefined
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
