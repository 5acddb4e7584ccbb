import { useStream } from '@langchain/react'
import { createRoot } from 'react-dom/client'
import { type Asked, Chat, headers, inWords, rememberThread, settings } from './chat.tsx'

/** A page as its users write it, with `@langchain/react`. */
function App() {
  const stream = useStream<{ messages: unknown[] }, Asked>({
    apiUrl: settings.get('api') ?? location.origin,
    assistantId: settings.get('assistant') ?? 'react',
    threadId: settings.get('thread'),
    onThreadId: rememberThread,
    transport: settings.get('transport') === 'websocket' ? 'websocket' : 'sse',
    defaultHeaders: headers,
  })
  const { messages } = stream
  const say = (text: string) => ({ messages: [{ type: 'human', content: text }] })
  // `useMessageMetadata` gives all messages the parent of the newest checkpoint, so the history is asked.
  const rewrite = async (text: string) => {
    const asked = messages.findLast(({ type }) => type === 'human')
    const states = await stream.client.threads.getHistory<{ messages?: { id: string }[] }>(
      stream.threadId ?? '',
    )
    const before = states.find(({ values }) => !(values.messages ?? []).some(({ id }) => id === asked?.id))
    await stream.submit(say(text), { forkFrom: before?.checkpoint.checkpoint_id ?? undefined })
  }
  return (
    <Chat
      messages={messages.map(({ id = '', type, text, ...message }) => ({
        id,
        type,
        text,
        calls: ((message as { tool_calls?: { name: string }[] }).tool_calls ?? []).map(({ name }) => name),
      }))}
      toolCalls={stream.toolCalls.map(({ name, status }) => `${name}: ${status}`)}
      interrupts={stream.interrupts.map(({ id = '', value }) => ({ id, value: value ?? {} }))}
      running={stream.isLoading}
      error={inWords(stream.error)}
      send={(text) => void stream.submit(say(text))}
      // What is refused stands in `stream.error` as well.
      answer={(interruptId, decision) => void stream.respond(decision, { interruptId }).catch(() => {})}
      stop={() => void stream.stop()}
      rewrite={(text) => void rewrite(text)}
    />
  )
}

createRoot(document.body.appendChild(document.createElement('div'))).render(<App />)
