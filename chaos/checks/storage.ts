import { verifyIn } from '../../storage/verify-storage.ts'
import { type Evidence, fact, type Line, none } from './check.ts'

/** The states after all that was killed: nothing in them refers to what is not there. */
export async function checkStorage({ query }: Pick<Evidence, 'query'>): Promise<Line[]> {
  const { chunks, faults } = await verifyIn({
    async query<Row>(sql: string, values?: unknown[]) {
      const rows = await query<Row>(sql, values)
      return { rows, rowCount: rows.length }
    },
  })
  return [fact('parts that states are made of', chunks), none('faults in the states', faults)]
}
