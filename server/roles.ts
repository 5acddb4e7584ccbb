import { HTTPException } from 'hono/http-exception'
import { hasRole, type Person, type Role } from '../runtime/people.ts'
import type { AuthEvent } from './auth.ts'

const READS = /:(read|search|get|list_namespaces)$/

/** Throws 403 unless the person has one of the roles that may. */
export function checkRole(person: Person, event: AuthEvent, value: Record<string, unknown>): void {
  const needed = roleFor(event)
  // To answer what is held is the approvers' work, also by a run's command. `checkAnswer` sees that it is no more.
  if (event === 'threads:create_run' && onlyResumes(value) && hasRole(person, 'approver')) return
  needRole(person, needed)
}

export function needRole(person: Person, role: Role): void {
  if (hasRole(person, role)) return
  const has = person.roles.length === 0 ? 'no role' : person.roles.join(', ')
  throw new HTTPException(403, {
    message: `This needs the role ${role}; ${person.identity} has ${has}. Whoever runs this server can give it.`,
  })
}

function roleFor(event: AuthEvent): Role {
  if (event === 'approvals:decide') return 'approver'
  return READS.test(event) ? 'viewer' : 'operator'
}

/** What a run may be asked for with that, without another being asked for. */
const HARMLESS = new Set([
  'assistant_id',
  'durability',
  'feedback_keys',
  'if_not_exists',
  'multitask_strategy',
  'stream_mode',
  'stream_resumable',
  'stream_subgraphs',
])

function onlyResumes({ kwargs }: Record<string, unknown>): boolean {
  const { command, ...others } = (kwargs ?? {}) as { command?: object | null; [name: string]: unknown }
  if (command == null || !('resume' in command)) return false
  return (
    Object.entries(others).every(([name, given]) => HARMLESS.has(name) || saysNothing(given)) &&
    Object.entries(command).every(([name, given]) => name === 'resume' || saysNothing(given))
  )
}

/** Clients send `{}` for what they do not mean. */
function saysNothing(given: unknown): boolean {
  return given == null || (typeof given === 'object' && Object.keys(given).length === 0)
}
