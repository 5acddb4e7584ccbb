import type { Message } from '@langchain/langgraph-sdk'
import { useStream } from '@langchain/langgraph-sdk/react'
import { useState } from 'react'
import { createRoot } from 'react-dom/client'
import { type Asked, Chat, headers, inWords, rememberThread, settings } from './chat.tsx'

/** The same page with the older hook of `@langchain/langgraph-sdk/react`, set as Agent Chat UI sets it. */
function App() {
  const [threadId, setThreadId] = useState(settings.get('thread'))
  const stream = useStream<{ messages: Message[] }, { InterruptType: Asked }>({
    apiUrl: settings.get('api') ?? location.origin,
    assistantId: settings.get('assistant') ?? 'react',
    threadId,
    onThreadId(id) {
      setThreadId(id)
      rememberThread(id)
    },
    fetchStateHistory: true,
    reconnectOnMount: true,
    defaultHeaders: headers,
  })
  const { messages } = stream
  const say = (text: string) => ({ messages: [{ type: 'human' as const, content: text }] })
  const options = { streamSubgraphs: true, streamResumable: true }
  const rewrite = (text: string) => {
    const asked = messages.findLast(({ type }) => type === 'human')
    const before = asked && stream.getMessagesMetadata(asked)?.firstSeenState?.parent_checkpoint
    void stream.submit(say(text), { ...options, ...(before ? { checkpoint: before } : {}) })
  }
  return (
    <Chat
      messages={messages.map((message, index) => ({
        id: message.id ?? `${index}`,
        type: message.type,
        text: textOf(message),
        calls: message.type === 'ai' ? (message.tool_calls ?? []).map(({ name }) => name) : [],
      }))}
      toolCalls={toolCallsOf(messages)}
      interrupts={stream.interrupts.map(({ id = '', value }) => ({ id, value: value ?? {} }))}
      running={stream.isLoading}
      error={inWords(stream.error)}
      send={(text) => void stream.submit(say(text), options)}
      answer={(_id, decision) => void stream.submit(undefined, { ...options, command: { resume: decision } })}
      stop={() => void stream.stop()}
      rewrite={rewrite}
    />
  )
}

function toolCallsOf(messages: Message[]): string[] {
  const answered = new Set(messages.map((message) => (message.type === 'tool' ? message.tool_call_id : '')))
  return messages
    .flatMap((message) => (message.type === 'ai' ? (message.tool_calls ?? []) : []))
    .map(({ id = '', name }) => `${name}: ${answered.has(id) ? 'finished' : 'running'}`)
}

function textOf({ content }: Message): string {
  if (typeof content === 'string') return content
  return content.map((part) => (part.type === 'text' ? part.text : '')).join('')
}

createRoot(document.body.appendChild(document.createElement('div'))).render(<App />)
