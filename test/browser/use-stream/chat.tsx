import { type FormEvent, useEffect, useState } from 'react'

/** What either hook knows of a conversation, in the words of this page. */
export interface Conversation {
  messages: { id: string; type: string; text: string; calls: string[] }[]
  /** `name: state`. */
  toolCalls: string[]
  interrupts: { id: string; value: Asked }[]
  running: boolean
  error: string | undefined
  send(text: string): void
  answer(interruptId: string, decision: object): void
  stop(): void
  /** Asks again from before the person's last words. */
  rewrite(text: string): void
}

/** LangChain's human-in-the-loop request, as far as the page shows it. Both hooks add the names in camel case. */
export interface Asked {
  actionRequests?: { name: string; args: Record<string, unknown> }[]
  reviewConfigs?: { allowedDecisions: string[] }[]
}

/** What the address says: `?api=…&assistant=…&thread=…&key=…&transport=…`. */
export const settings = new URLSearchParams(location.search)

/** One object for all renderings: `@langchain/react` connects anew for another one. */
export const headers: Record<string, string> = settings.has('key')
  ? { authorization: `Bearer ${settings.get('key')}` }
  : {}

/** The thread stands in the address, as in a link to a conversation, so that a reload finds it. */
export function rememberThread(threadId: string): void {
  settings.set('thread', threadId)
  history.replaceState(null, '', `?${settings.toString()}`)
}

declare global {
  interface Window {
    /** The last message's text at each rendering. */
    seen: string[]
  }
}
window.seen = []

export function Chat({ messages, toolCalls, interrupts, running, error, ...act }: Conversation) {
  const [text, setText] = useState('')
  useEffect(() => {
    window.seen.push(messages.at(-1)?.text ?? '')
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    act.send(text)
    setText('')
  }
  return (
    <main>
      <ol aria-label="Messages">
        {messages.map(({ id, type, text: said, calls }) => (
          <li key={id} data-type={type}>
            {[said, ...calls].join(' ')}
          </li>
        ))}
      </ol>
      <ul aria-label="Tool calls">
        {toolCalls.map((call, index) => (
          <li key={index}>{call}</li>
        ))}
      </ul>
      {interrupts.map(({ id, value }) => (
        <Question key={id} value={value} answer={(decision) => act.answer(id, decision)} />
      ))}
      <p role="status">{running ? 'running' : 'at rest'}</p>
      {error === undefined ? null : <p role="alert">{error}</p>}
      <form onSubmit={submit}>
        <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} />
        <button>Send</button>
        <button type="button" onClick={() => act.rewrite(text)}>
          Rewrite
        </button>
        <button type="button" onClick={() => act.stop()}>
          Stop
        </button>
      </form>
    </main>
  )
}

function Question({ value, answer }: { value: Asked; answer(decision: object): void }) {
  const [request] = value.actionRequests ?? []
  const allowed = value.reviewConfigs?.[0]?.allowedDecisions ?? []
  const decisions: Record<string, object> = {
    approve: { type: 'approve' },
    edit: {
      type: 'edit',
      editedAction: { name: request?.name, args: { ...request?.args, subject: 'Edited in the page' } },
    },
    reject: { type: 'reject', message: 'Not now.' },
    respond: { type: 'respond', message: 'It is sent already.' },
  }
  return (
    <section aria-label="Question">
      <pre>{JSON.stringify(request)}</pre>
      {allowed.map((word) => (
        <button key={word} onClick={() => answer({ decisions: [decisions[word]] })}>
          {word}
        </button>
      ))}
    </section>
  )
}

export function inWords(error: unknown): string | undefined {
  if (error === undefined || error === null) return undefined
  return error instanceof Error ? error.message : JSON.stringify(error)
}
