import { RuntimeError } from './errors.ts'
import type { DecisionType, Hold, Voice, Vote } from './hold.ts'
import { type Needs, peopleOf } from './needs.ts'
import { type Author, hasRole, isRole, type Person } from './people.ts'

type Asked = Pick<Hold, 'needs' | 'requested_by' | 'proposal' | 'votes'>

/** Whether so many, and so many seniors, are for it. */
export function isQuorum(
  votes: Voice[],
  { approvers, seniors }: Pick<Needs, 'approvers' | 'seniors'>,
): boolean {
  const people = new Set(votes.map(({ by }) => by))
  const senior = new Set(votes.filter((vote) => vote.senior).map(({ by }) => by))
  return people.size >= approvers && senior.size >= seniors
}

/**
 * The votes that still count, of people as they are now: who is let in no longer or may not decide it any more has none,
 * and what was said with a key that is revoked since counts no more: it may have been somebody else who said so. Who is no
 * senior any more counts as none. Whoever is no principal of ours counts as when they said it.
 */
export function countingVotes(
  { votes, needs, escalated_at }: Pick<Hold, 'votes' | 'needs'> & { escalated_at: unknown },
  authors: Author[],
): Vote[] {
  return votes.flatMap((vote) => {
    const author = authors.find(({ identity }) => identity === vote.by)
    if (author === undefined) return [vote]
    if (author.disabled_at !== null || !hasRole(author, 'approver')) return []
    if (vote.key_id !== undefined && author.revoked.includes(vote.key_id)) return []
    // Handed on, it keeps the votes of those who were asked before.
    if (escalated_at === null && !mayDecide(needs.who, author)) return []
    return [{ ...vote, senior: vote.senior === true && hasRole(author, 'senior'), roles: author.roles }]
  })
}

/** Those of the voices whom these needs ask, or would ask once nobody has decided in time. */
export function admitted<One extends Voice>(voices: One[], needs: Needs, escalated: boolean): One[] {
  const { who, on_expiry: end } = needs
  const asked = escalated && typeof end === 'object' ? [...who, ...end.escalate.to] : who
  return voices.filter(({ by, senior, roles = [senior === true ? 'senior' : 'approver'] }) =>
    mayDecide(asked, { identity: by, roles }),
  )
}

/** Why the person may not say that; `undefined` where they may. */
export function refusalOf(hold: Asked, person: Person, type: DecisionType): RuntimeError | undefined {
  const { needs, requested_by, proposal } = hold
  const releases = type === 'approve' || type === 'edit'
  if (person.kind === 'agent') return notYours(`${person.identity} is an agent, and agents decide nothing.`)
  if (person.alone) return releases ? whyNotAlone(needs, person) : undefined
  if (requested_by.includes(person.identity))
    return selfApproval(
      `${person.identity} ${requested_by.length > 1 ? 'had a part in' : 'started'} this run. Somebody else has to decide.`,
    )
  if (!mayDecide(needs.who, person))
    return notYours(`This is decided by: ${needs.who.join(', ')}. ${person.identity} is none of them.`)
  if (type !== 'approve') return undefined
  if (proposal?.by === person.identity)
    return selfApproval(`${person.identity} wrote these arguments. Somebody else has to approve them.`)
  if (hold.votes.some(({ by }) => by === person.identity))
    return new RuntimeError('already_voted', `${person.identity} has approved already. ${stillNeeds(hold)}`)
  return undefined
}

/** Whether the person is named, or has a role that is. */
export function mayDecide(who: string[], person: Pick<Person, 'identity' | 'roles'>): boolean {
  return who.some((one) => (isRole(one) ? hasRole(person, one) : one === person.identity))
}

/** There is one principal without keys, for whom alone self-approval is no question. */
function whyNotAlone(needs: Needs, person: Person): RuntimeError | undefined {
  const only = 'It can only be rejected or answered, until there are keys (holdpoint keys create).'
  if (needs.approvers > 1 || needs.seniors > 0)
    return notYours(`This call needs ${peopleOf(needs)}, and without keys there is one. ${only}`)
  if (!mayDecide(needs.who, person))
    return notYours(`This is decided by: ${needs.who.join(', ')}, and without keys nobody is. ${only}`)
  return undefined
}

/** What a call that waits still needs, in words. */
export function stillNeeds({ needs, votes }: Pick<Asked, 'needs' | 'votes'>): string {
  const people = Math.max(0, needs.approvers - votes.length)
  const seniors = Math.max(0, needs.seniors - votes.filter((vote) => vote.senior).length)
  if (seniors >= people && seniors > 0)
    return `It still needs ${seniors === 1 ? 'a senior' : `${seniors} seniors`}.`
  return `It still needs ${peopleOf({ approvers: people, seniors })}.`
}

function notYours(message: string): RuntimeError {
  return new RuntimeError('hold_not_yours', message)
}

function selfApproval(message: string): RuntimeError {
  return new RuntimeError('self_approval', `self_approval: ${message}`)
}
