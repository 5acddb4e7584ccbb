import { type PendingWrite, WRITES_IDX_MAP } from '@langchain/langgraph-checkpoint'
import { type Decoder, decode, type Written } from './decode.ts'
import { type Chunks, encode, type Encoder } from './encode.ts'
import { loaded, refsIn, type Row } from './rows.ts'

/** A row of `checkpoint_writes`, without its place. */
export interface WriteRow {
  idx: number
  channel: string
  type: string | null
  blob: Buffer
  packed: string | null
  refs: string | null
}

/**
 * What a task wrote is one row, in which each value is as a checkpoint has it. Interrupts, answers and errors have rows
 * and places of their own, where the newest counts.
 */
export async function rowsOf(
  encoder: Encoder,
  writes: readonly PendingWrite[],
  chunks: Chunks,
): Promise<WriteRow[]> {
  const own = writes.filter(([channel]) => channel in WRITES_IDX_MAP)
  const usual = writes.filter(([channel]) => !(channel in WRITES_IDX_MAP))
  const [rows, values] = await Promise.all([
    Promise.all(own.map((write) => specialRow(encoder, write))),
    Promise.all(usual.map(([channel, value]) => encode(encoder, value, chunks, { channel }))),
  ])
  if (usual.length === 0) return rows
  const refs = values.flatMap((value) => value.refs)
  const packed = usual.map(([channel], index) => `[${JSON.stringify(channel)},${values[index]?.text}]`)
  return [
    ...rows,
    {
      idx: writes.findIndex(([channel]) => !(channel in WRITES_IDX_MAP)),
      channel: '',
      type: null,
      blob: Buffer.alloc(0),
      packed: `[${packed.join()}]`,
      refs: refs.length === 0 ? null : `{${refs.join()}}`,
    },
  ]
}

/** Of any size: what is asked of people is shown to them exactly. */
async function specialRow({ serde }: Encoder, [channel, value]: PendingWrite): Promise<WriteRow> {
  const [type, bytes] = await serde.dumpsTyped(value)
  return {
    idx: WRITES_IDX_MAP[channel] ?? 0,
    channel,
    type,
    blob: Buffer.from(bytes),
    packed: null,
    refs: null,
  }
}

/** Columns of `checkpoint_writes`, from `idx` on. */
export function writeColumns(rows: readonly WriteRow[]): unknown[][] {
  return [
    rows.map(({ idx }) => idx),
    rows.map(({ channel }) => channel),
    rows.map(({ type }) => type),
    rows.map(({ blob }) => blob),
    rows.map(({ packed }) => packed),
    rows.map(({ refs }) => refs),
  ]
}

/** Task, channel and value of each, in the order of tasks and of what each wrote. */
export async function writesIn(decoder: Decoder, rows: readonly Row[]): Promise<[string, string, unknown][]> {
  const ordered = rows
    .filter(({ kind }) => kind === 'write')
    .toSorted((one, other) => (one.id === other.id ? one.idx - other.idx : one.id < other.id ? -1 : 1))
  const lists = await Promise.all(
    ordered.map(async (row): Promise<[string, string, unknown][]> => {
      const { id: task, metadata: channel, type, blob, body } = row
      if (body === null) return [[task, channel ?? '', await loaded(decoder.serde, type, blob)]]
      const refs = refsIn(row.refs)
      let used = 0
      const values = (JSON.parse(body) as [string, Written][]).map(([name, written]) => {
        const { value, used: own } = decode(decoder, written, refs.slice(used))
        used += own
        return [name, value] as const
      })
      return await Promise.all(
        values.map(async ([name, value]): Promise<[string, string, unknown]> => [task, name, await value]),
      )
    }),
  )
  return lists.flat()
}
