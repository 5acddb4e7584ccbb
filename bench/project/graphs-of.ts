import type * as LangGraph from '@langchain/langgraph'

/** Steps of `tool_loop`: as many calls of its tool, each asked for by a message. */
const TOOL_CALLS = 20

/**
 * The graphs that every side runs, made of that side's own LangGraph. No model and no tool that does anything: what is
 * measured is what is around them.
 */
export function graphsOf({
  Annotation,
  END,
  interrupt,
  MessagesAnnotation,
  START,
  StateGraph,
}: typeof LangGraph) {
  const Counted = Annotation.Root({ count: Annotation<number> })
  const Long = Annotation.Root({ ...MessagesAnnotation.spec, steps: Annotation<number> })
  const Asked = Annotation.Root({ answer: Annotation<string> })

  const more = ({ count }: typeof Counted.State) => ({ count: count + 1 })
  return {
    /** As little as a graph can do. */
    two_nodes: new StateGraph(Counted)
      .addNode('first', more)
      .addNode('second', more)
      .addEdge(START, 'first')
      .addEdge('first', 'second')
      .addEdge('second', END)
      .compile(),

    /** An agent's loop: a message that calls a tool, and its result, twenty times, and a last message. */
    tool_loop: new StateGraph(MessagesAnnotation)
      .addNode('model', ({ messages }) => {
        const calls = messages.filter(({ type }) => type === 'tool').length
        if (calls === TOOL_CALLS) return { messages: [{ type: 'ai', content: 'That was all.' }] }
        const call = { id: `call-${calls}`, name: 'look', args: { at: calls }, type: 'tool_call' as const }
        return { messages: [{ type: 'ai', content: '', tool_calls: [call] }] }
      })
      .addNode('tools', ({ messages }) => {
        const [call] = (messages.at(-1) as { tool_calls?: { id?: string; args: object }[] }).tool_calls ?? []
        const content = JSON.stringify({ seen: call?.args, text: 'x'.repeat(200) })
        return { messages: [{ type: 'tool', tool_call_id: call?.id ?? '', content }] }
      })
      .addEdge(START, 'model')
      .addConditionalEdges('model', ({ messages }) => {
        const { tool_calls: calls } = messages.at(-1) as { tool_calls?: unknown[] }
        return (calls?.length ?? 0) > 0 ? 'tools' : END
      })
      .addEdge('tools', 'model')
      .compile(),

    /** One message of 1 KB for each of `steps` steps. */
    long_thread: new StateGraph(Long)
      .addNode('step', ({ messages }) => ({
        messages: [{ type: 'ai', content: `${messages.length} `.padEnd(1_000, 'x') }],
      }))
      .addEdge(START, 'step')
      .addConditionalEdges('step', ({ messages, steps }) => (messages.length < steps ? 'step' : END))
      .compile(),

    /** Stops for a person, and goes on. */
    asks: new StateGraph(Asked)
      .addNode('ask', () => ({ answer: String(interrupt('Go on?')) }))
      .addEdge(START, 'ask')
      .addEdge('ask', END)
      .compile(),
  }
}
