import { z } from 'zod'

const DAY_S = 86_400
const Seconds = z
  .int()
  .min(1)
  .max(3_650 * DAY_S)
/** Roles and identities. */
const Who = z.array(z.string().min(1).max(200)).min(1).max(100)

/**
 * What releases a hold: so many distinct people of `who`, so many of them seniors. `expires_in`: seconds from when it is
 * asked; null waits. `on_expiry`: what becomes of one that nobody has decided by then.
 */
export const Needs = z.object({
  approvers: z.int().min(1).max(100),
  seniors: z.int().min(0).max(100),
  who: Who,
  expires_in: Seconds.nullable(),
  on_expiry: z.union([
    z.enum(['reject', 'wait']),
    z.object({ escalate: z.object({ to: Who, expires_in: Seconds }) }),
  ]),
})
export type Needs = z.infer<typeof Needs>

/** Where neither a rule nor a risk says more. */
export const ONE_PERSON: Needs = {
  approvers: 1,
  seniors: 0,
  who: ['approver'],
  expires_in: 4 * 3_600,
  on_expiry: 'reject',
}

/** In words: "2 people (1 of them senior)". */
export function peopleOf({ approvers, seniors }: Pick<Needs, 'approvers' | 'seniors'>): string {
  const people = approvers === 1 ? 'a person' : `${approvers} people`
  if (seniors === 0) return people
  return approvers === 1 ? 'a senior' : `${people} (${seniors} of them senior)`
}
