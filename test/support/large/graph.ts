import { AIMessage, HumanMessage } from '@langchain/core/messages'
import { Annotation, END, interrupt, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'

/** Graphs whose states have what is large in them: as many characters as `size` says. */

const State = Annotation.Root({
  ...MessagesAnnotation.spec,
  size: Annotation<number>,
  note: Annotation<string>,
  document: Annotation<string>,
  bytes: Annotation<Uint8Array>,
  nested: Annotation<{ page: string; scan: Uint8Array; title: string }>,
  read: Annotation<number>,
  tags: Annotation<string[]>,
})

const image = (size: number) => `data:image/png;base64,${'iVBO'.repeat(Math.ceil(size / 4))}`

/** One node writes it, in every kind of place; the next reads it. */
export const writes = new StateGraph(State)
  .addNode('before', () => ({ note: 'before' }))
  .addNode('write', ({ size }, { writer }) => {
    writer?.({ said: 's'.repeat(size) })
    return {
      note: 'written',
      document: 'd€'.repeat(size / 2),
      bytes: new Uint8Array(size * 2).fill(7),
      nested: { page: 'p'.repeat(size * 2), scan: new Uint8Array(size * 2).fill(9), title: 'of the page' },
      messages: [
        new AIMessage({ id: 'long', content: 'm"'.repeat(size) }),
        new HumanMessage({
          id: 'image',
          content: [
            { type: 'text', text: 'Look' },
            { type: 'image_url', image_url: { url: image(size * 2) } },
          ],
        }),
      ],
    }
  })
  .addNode('count', ({ document, messages, bytes }) => ({
    read: document.length + (messages[0]?.text.length ?? 0) + bytes.length,
  }))
  .addEdge(START, 'before')
  .addEdge('before', 'write')
  .addEdge('write', 'count')
  .addEdge('count', END)
  .compile()

/** Asks about something large, which a person has to see as it is. */
export const asks = new StateGraph(State)
  .addNode('ask', ({ size }) => ({ note: String(interrupt({ about: 'a'.repeat(size * 2) })).slice(0, 10) }))
  .addEdge(START, 'ask')
  .addEdge('ask', END)
  .compile()
